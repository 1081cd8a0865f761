"""The floor of reverse WebSocket: the log to one bot, pings at every 16 events, a cursor at pongs.

`python -m tests.bench.floor.push_ws URL USER PASSWORD BOT`.
"""

import asyncio
import sys

import aiohttp
from aiohttp import WSMsgType
from nats.aio.client import Client
from tests.bench.floor.cursor import SAVE_EVERY, begin, make_bucket, read_log, save
from tests.bench.floor.event_connector import Received
from tests.bench.floor.event_frontend import onebot
from tests.bench.floor.program import run

AHEAD = 64
"""Events that the bot has not acknowledged, as many as onebus allows."""


async def main(client: Client) -> None:
    """Connect to the bot, and deliver."""
    await make_bucket(client)
    events: asyncio.Queue[tuple[Received, int]] = asyncio.Queue(AHEAD)
    pending: dict[int, int] = {}
    room = asyncio.Semaphore(AHEAD)
    socket = await aiohttp.ClientSession().ws_connect(sys.argv[4], autoping=False)

    async def take(event: Received, sequence: int) -> None:
        await events.put((event, sequence))

    async def write() -> None:
        unasked = 0
        while True:
            event, sequence = await events.get()
            await room.acquire()
            await socket.send_str(onebot(event, sequence).decode())
            unasked += 1
            if unasked == SAVE_EVERY or events.empty():
                pending[sequence], unasked = unasked, 0
                await socket.ping(b"%d" % sequence)

    async def read() -> None:
        async for message in socket:
            if message.type is WSMsgType.PONG:
                sequence = int(message.data)
                await save(client, sequence)
                for _ in range(pending.pop(sequence)):
                    room.release()

    begin(write())
    begin(read())
    await read_log(client, take)


if __name__ == "__main__":
    run(main, *sys.argv[1:4])
