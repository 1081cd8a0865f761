"""Bots that are connected and do nothing: hold many WebSockets, answer pings, count the frames.

`python -m tests.bench.load.idle SOCKETS URL…`: says `ready` when all are open, as many at each
address, and ends when one of them does. A line on its input is answered by how many text frames
came to all of them.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, repeat

import uvloop
from tests.bench.load.wire import WsClient
from tests.e2e.faults.stage import ROOT

from onebus import descriptors

AT_ONCE = 16
CONNECT_S = 60.0


class Idle:
    """All of them, in a process of their own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """The next that it says; fails when it has ended."""
        assert self._process.stdout
        async with asyncio.timeout(CONNECT_S):
            line = await self._process.stdout.readline()
        assert line, "a socket was closed"
        return line.decode().strip()

    async def frames(self) -> int:
        """How many came until now."""
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        return int(await self.line())


@asynccontextmanager
async def idle(sockets: int, *urls: str) -> AsyncIterator[Idle]:
    """Hold so many, in equal parts; fails if any was closed meanwhile."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.load.idle", str(sockets), *urls),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        made = Idle(process)
        assert await made.line() == "ready"
        yield made
        await made.frames()
    finally:
        process.kill()
        await process.wait()


async def hold(sockets: int, urls: list[str]) -> None:
    """Connect all, some at once, and answer until the first is closed."""
    places = chain.from_iterable(repeat(urls, sockets // len(urls)))
    closed: list[asyncio.Future[None]] = []
    frames = 0

    def on_text(*_: object) -> None:
        nonlocal frames
        frames += 1

    async def connect() -> None:
        for url in places:
            client = await WsClient(url, on_text).connect()
            closed.append(client.closed)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(connect())
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: sys.stdin.readline() and print(frames, flush=True))
    print("ready", flush=True)
    await asyncio.wait(closed, return_when=asyncio.FIRST_COMPLETED)


if __name__ == "__main__":
    descriptors.allow_many()
    uvloop.run(hold(int(sys.argv[1]), sys.argv[2:]))
