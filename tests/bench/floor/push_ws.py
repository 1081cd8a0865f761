"""The floor of reverse WebSocket: the log to one bot in its order, a ping at every 16 events.

A pong acknowledges what was written before its ping. What it promises is said in `cursor`.

`python -m tests.bench.floor.push_ws URL USER PASSWORD BOT`.
"""

import asyncio
import sys

import aiohttp
from aiohttp import WSMsgType
from nats.aio.client import Client
from tests.bench.floor.cursor import AHEAD, SAVE_EVERY, Cursor, begin, read_log
from tests.bench.floor.event_connector import Received
from tests.bench.floor.event_frontend import onebot
from tests.bench.floor.program import run


async def main(client: Client) -> None:
    """Connect to the bot, and deliver."""
    cursor = Cursor(client)
    await cursor.create()
    events: asyncio.Queue[tuple[Received, int]] = asyncio.Queue(AHEAD)
    pinged: dict[int, list[int]] = {}
    socket = await aiohttp.ClientSession().ws_connect(sys.argv[4], autoping=False)

    async def take(event: Received, sequence: int) -> None:
        await events.put((event, sequence))

    async def write() -> None:
        written: list[int] = []
        while True:
            event, sequence = await events.get()
            await cursor.begin(sequence)
            await socket.send_str(onebot(event, sequence).decode())
            written.append(sequence)
            if len(written) == SAVE_EVERY or events.empty():
                pinged[sequence], written = written, []
                await socket.ping(b"%d" % sequence)

    async def read() -> None:
        async for message in socket:
            if message.type is WSMsgType.PONG:
                await cursor.end(pinged.pop(int(message.data)))

    begin(write())
    begin(read())
    await read_log(client, take)


if __name__ == "__main__":
    run(main, *sys.argv[1:4])
