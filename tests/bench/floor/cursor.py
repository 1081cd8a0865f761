"""What the floors that go to a bot share: the log read in turn, and a cursor kept in a bucket."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine

from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.bench.floor.event_connector import Received
from tests.bench.floor.event_frontend import DECODER, make_stream

SAVE_EVERY = 16
"""Events after which the cursor is stored, as onebus does."""
_BUCKET = {
    "name": "KV_floor",
    "subjects": ["$KV.floor.>"],
    "max_msgs_per_subject": 1,
    "storage": "file",
    "allow_direct": True,
    "num_replicas": 1,
}

_running: set[asyncio.Task[None]] = set()


def begin(work: Coroutine[None, None, None]) -> None:
    """Do this until the program is killed; a fault shows as a bot that never gets all."""
    _running.add(asyncio.get_running_loop().create_task(work))


async def make_bucket(client: Client) -> None:
    """Where the cursor is kept."""
    body = json.dumps(_BUCKET).encode()
    await client.request("$JS.API.STREAM.CREATE.KV_floor", body, timeout=5)


async def save(client: Client, sequence: int) -> None:
    """Store the cursor, and wait for the ack."""
    await client.request("$KV.floor.cursor", b"%d" % sequence, timeout=5)


async def read_log(client: Client, take: Callable[[Received, int], Awaitable[None]]) -> None:
    """Give each entry and its sequence to `take`, which may hold the next one back."""

    async def on_entry(message: Msg) -> None:
        headers = message.headers
        if headers and "Status" in headers:
            if reply := message.reply or headers.get("Nats-Consumer-Stalled"):
                await client.publish(reply)
            return
        await take(DECODER.decode(message.data), int(message.reply.split(".", 7)[5]))

    inbox = client.new_inbox()
    await client.subscribe(inbox, cb=on_entry)
    await make_stream(client, consumer_inbox=inbox)
