"""Bots that are connected and wait: holds many WebSockets, answers their pings, says no more.

`python -m tests.bench.load.idle URL SOCKETS`: says `ready` when all are open, ends when one of them
does. `{}` in the path is replaced by the number of the socket.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from tests.bench.load.wire import WsClient
from tests.e2e.faults.stage import ROOT
from tests.e2e.processes import spawn

from onebus import descriptors

AT_ONCE = 16
CONNECT_S = 60.0


@asynccontextmanager
async def idle(url: str, sockets: int) -> AsyncIterator[None]:
    """Hold them in a process of its own; fails if any was closed meanwhile."""
    command = (sys.executable, "-m", "tests.bench.load.idle", url, str(sockets))
    running = await spawn("idle", *command, env={"PYTHONPATH": str(ROOT)})
    try:
        await running.says("ready", CONNECT_S)
        yield
        assert running.process.returncode is None, running.output
    finally:
        await running.kill()


async def hold(url: str, sockets: int) -> None:
    """Connect all, some at once, and wait for the first that is closed."""
    numbers = iter(range(sockets))
    open_ones: list[WsClient] = []

    async def connect() -> None:
        for number in numbers:
            client = WsClient(url.replace("{}", str(number)), lambda *_: None)
            open_ones.append(await client.connect())

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(connect())
    print("ready", flush=True)
    closed = [client.closed for client in open_ones]
    await asyncio.wait(closed, return_when=asyncio.FIRST_COMPLETED)
    print("a socket was closed")


if __name__ == "__main__":
    descriptors.allow_many()
    uvloop.run(hold(sys.argv[1], int(sys.argv[2])))
