"""The floor of HTTP POST: the log to one bot, 32 posts at once, one after the other for each chat.

An answer acknowledges its event. What it promises is said in `cursor`. With `fresh` each post has
a connection of its own, as those of onebus have; else connections are kept, which onebus must not.

`python -m tests.bench.floor.push_post URL USER PASSWORD BOT [fresh]`.
"""

import asyncio
import sys

import aiohttp
from nats.aio.client import Client
from tests.bench.floor.cursor import AHEAD, Cursor, begin, read_log
from tests.bench.floor.event_connector import Received
from tests.bench.floor.event_frontend import onebot
from tests.bench.floor.program import run

AT_ONCE = 32
"""As many as onebus has on their way; each has the chats of its own."""
JSON = {"Content-Type": "application/json"}

Events = asyncio.Queue[tuple[Received, int]]


async def main(client: Client) -> None:
    """Deliver."""
    cursor = Cursor(client)
    await cursor.create()
    lanes: list[Events] = [asyncio.Queue(AHEAD) for _ in range(AT_ONCE)]
    connector = aiohttp.TCPConnector(force_close="fresh" in sys.argv, limit=AT_ONCE)
    http = aiohttp.ClientSession(connector=connector)

    async def take(event: Received, sequence: int) -> None:
        await cursor.begin(sequence)
        await lanes[int(event.chat.id[1:]) % AT_ONCE].put((event, sequence))

    async def post(lane: Events) -> None:
        while True:
            event, sequence = await lane.get()
            body = onebot(event, sequence)
            async with http.post(sys.argv[4], data=body, headers=JSON) as response:
                await response.read()
            await cursor.end([sequence])

    for lane in lanes:
        begin(post(lane))
    await read_log(client, take)


if __name__ == "__main__":
    run(main, *sys.argv[1:4])
