"""The floor of HTTP POST: the log to one bot, 32 posts at once, one after the other for each chat.

`python -m tests.bench.floor.push_post URL USER PASSWORD BOT`.
"""

import asyncio
import sys
from itertools import count

import aiohttp
from nats.aio.client import Client
from tests.bench.floor.cursor import SAVE_EVERY, begin, make_bucket, read_log, save
from tests.bench.floor.event_connector import Received
from tests.bench.floor.event_frontend import onebot
from tests.bench.floor.program import run

AT_ONCE = 32
"""As many as onebus has on their way; each has the chats of its own."""
WAITING = 16
JSON = {"Content-Type": "application/json"}

Events = asyncio.Queue[tuple[Received, int]]


async def main(client: Client) -> None:
    """Deliver."""
    await make_bucket(client)
    lanes: list[Events] = [asyncio.Queue(WAITING) for _ in range(AT_ONCE)]
    http = aiohttp.ClientSession()
    done = count(1)

    async def take(event: Received, sequence: int) -> None:
        await lanes[int(event.chat.id[1:]) % AT_ONCE].put((event, sequence))

    async def post(lane: Events) -> None:
        while True:
            event, sequence = await lane.get()
            body = onebot(event, sequence)
            async with http.post(sys.argv[4], data=body, headers=JSON) as response:
                await response.read()
            if next(done) % SAVE_EVERY == 0:
                await save(client, sequence)

    for lane in lanes:
        begin(post(lane))
    await read_log(client, take)


if __name__ == "__main__":
    run(main, *sys.argv[1:4])
