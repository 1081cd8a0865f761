"""NATS going away, for real: `kill -9` of the server of a test, and its way back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from onebus.bus import Bus
from onebus.embedded import EmbeddedNats


async def kill(server: EmbeddedNats) -> None:
    """`kill -9`, and wait until the process is gone."""
    process = server._process
    assert process
    process.kill()
    await process.wait()


@asynccontextmanager
async def outage(server: EmbeddedNats, *clients: Bus) -> AsyncIterator[None]:
    """NATS is away inside of the block; all clients have noticed, and are back after it."""
    await kill(server)
    for client in clients:
        await eventually(lambda client=client: not client.connected)  # type: ignore[misc]
    yield
    await server.start()
    for client in clients:
        await client.wait_ready(10)


@asynccontextmanager
async def frozen(server: EmbeddedNats) -> AsyncIterator[None]:
    """The server keeps its connections and does nothing, as behind a half-open link."""
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def eventually(condition: Callable[[], bool], timeout_s: float = 15) -> None:
    """Look again and again until it is so; for what tells nobody when it happens."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)
