"""The floor of a connector: an HTTP POST is appended to the log, if absent, and answered.

Bare aiohttp and nats-py, no checks, no state: what these libraries cost, and nothing else.

`python -m tests.bench.floor.event_connector URL USER PASSWORD PORT`.
"""

import json
import sys
from itertools import count

import msgspec
from aiohttp import web
from msgspec import Struct
from nats.aio.client import Client
from tests.bench.floor.program import run

ABSENT = {"Nats-Expected-Last-Subject-Sequence": "0"}
STREAM = "floor_events"
EVENTS = "floor.events.sandbox.demo.message"


class Said(Struct):
    """What is posted, as to the sandbox."""

    user: str
    message: str


class Text(Struct, tag="text"):
    """A segment."""

    text: str


class User(Struct):
    """Who wrote."""

    id: str
    name: str


class Chat(Struct):
    """Where."""

    kind: str
    id: str


class Received(Struct, tag="message_received"):
    """An entry of the log, in the shape that onebus gives it."""

    platform: str
    account: str
    time_ms: int
    chat: Chat
    message: str
    sender: User
    segments: list[Text]
    relation: str = "friend"


async def main(client: Client) -> None:
    """Serve."""
    numbers = count(1)

    async def say(request: web.Request) -> web.Response:
        said = msgspec.json.decode(await request.read(), type=Said)
        message = f"m{next(numbers):012x}"
        chat, user = Chat("private", said.user), User(said.user, said.user)
        event = Received("sandbox", "demo", 0, chat, message, user, [Text(said.message)])
        subject = f"{EVENTS}.p-{said.user}.{message}"
        ack = await client.request(subject, msgspec.json.encode(event), timeout=5, headers=ABSENT)
        if "error" in json.loads(ack.data):
            raise web.HTTPServiceUnavailable
        body = msgspec.json.encode({"message_id": message})
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/sandbox/demo/api/messages", say)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[4])).start()


if __name__ == "__main__":
    run(main, *sys.argv[1:4])
