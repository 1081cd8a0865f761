"""The floor of a connector: answers actions, and logs what is sent before it answers.

`python -m tests.bench.floor.connector URL USER PASSWORD`.
"""

import asyncio
import sys
import time
from itertools import count
from typing import Any

from msgspec.json import decode, encode
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig
from tests.bench.floor.program import ACTIONS, run

_, URL, USER, PASSWORD = sys.argv
NEW = {"Nats-Expected-Last-Subject-Sequence": "0"}


async def main(client: Client) -> None:
    """Serve."""
    config = StreamConfig(name="floor", subjects=["floor.events.>"], allow_direct=True)
    await client.jetstream().add_stream(config)
    numbers, tasks = count(int(time.time() * 1000)), set[Any]()

    async def send(message: Msg, params: dict[str, Any]) -> None:
        number = next(numbers)
        subject = f"floor.events.{params['user_id']}.{number}"
        event = encode({"message": number, "time": time.time(), **params})
        stored = await client.request(subject, event, timeout=5, headers=NEW)
        await message.respond(encode({"message_id": decode(stored.data)["seq"]}))

    async def on_action(message: Msg) -> None:
        call = decode(message.data)
        if call["action"] == "send_private_msg":
            task = asyncio.create_task(send(message, call["params"]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        else:
            await message.respond(encode({"user_id": 4503599627370496, "nickname": "demo"}))

    await client.subscribe(ACTIONS, cb=on_action)


run(main, URL, USER, PASSWORD)
