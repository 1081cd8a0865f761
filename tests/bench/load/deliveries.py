"""Events from a platform's people to a bot that onebus goes to: `talk` posts them, `bot` counts."""

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct, convert
from tests.bench.load.events import IN_FLIGHT, WAIT_S, result, start
from tests.bench.measure import Load


class Had(Struct, frozen=True):
    """How many events a bot has had, when the first came, and when it said so."""

    events: int
    first_at_s: float
    at_s: float


class FarBot:
    """A bot in a process of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def has(self, count: int) -> Had:
        """Wait until it has had so many; 0: how many it has had by now."""
        assert self._process.stdin
        assert self._process.stdout
        async with asyncio.timeout(WAIT_S):
            self._process.stdin.write(b"%d\n" % count)
            return convert(json.loads(await self._process.stdout.readline()), Had)


@asynccontextmanager
async def far_bot(port: int) -> AsyncIterator[FarBot]:
    """A bot that listens here, until the end."""
    process = await start("bot", str(port), stdin=PIPE)
    assert process.stdout
    try:
        async with asyncio.timeout(WAIT_S):
            assert (await process.stdout.readline()).strip() == b"ready"
        yield FarBot(process)
    finally:
        process.kill()
        await process.wait()


async def say(posts: str, seconds: float) -> tuple[int, float]:
    """Post for so long, as much as goes; how many were stored, and the moment of the first."""
    options = ("--connections", str(IN_FLIGHT), "--seconds", str(seconds))
    async with asyncio.timeout(WAIT_S):
        said = await result(await start("talk", posts, *options))
    assert not said["failed"], said
    return said["count"], said["begun_at_s"]


async def deliveries_load(posts: str, bot: FarBot, seconds: float) -> Load:
    """Post for so long, and wait until the bot has had all."""
    before = await bot.has(0)
    count, begun_at_s = await say(posts, seconds)
    had = await bot.has(before.events + count)
    return Load(count, had.at_s - begun_at_s)
