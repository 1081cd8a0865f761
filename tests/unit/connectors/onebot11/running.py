"""The connector of one account at work, over a bus in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from connectors.onebot11 import Config, Connector
from onebus.event import Event
from onebus.ids import parse_account
from onebus.testing.memory import Memory, MemoryKit

ACCOUNT = parse_account("onebot11.qq")
WAIT_S = 10.0


class At:
    """`ended` is what `run` ended with; `base` is where its own routes are."""

    def __init__(self, connector: Connector, kit: MemoryKit) -> None:
        self.connector = connector
        self.kit = kit
        self.base = ""
        self.task: asyncio.Future[None] | None = None

    async def events(self, count: int) -> list[Event]:
        """The log, once it has so many."""
        return await self.kit.memory.wait_for_events(count)

    async def run(self) -> None:
        """Open it, and let it receive."""
        await asyncio.wait_for(self.connector.open(), WAIT_S)
        self.task = asyncio.ensure_future(self.connector.run())

    async def ended(self) -> BaseException:
        """What receiving ended with."""
        assert self.task
        done, _ = await asyncio.wait({self.task}, timeout=WAIT_S)
        assert done, "it still runs"
        error = self.task.exception()
        assert error
        return error

    async def stop(self) -> None:
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.connector.close()


@asynccontextmanager
async def account(memory: Memory | None = None, **config: Any) -> AsyncIterator[At]:
    """An account that is neither open nor running yet."""
    async with aiohttp.ClientSession() as http:
        kit = MemoryKit(memory or Memory(), ACCOUNT, http)
        at = At(Connector(msgspec.convert(config, Config), kit), kit)
        app = web.Application()
        app.add_routes(at.connector.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        at.base = f"ws://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield at
        finally:
            await at.stop()
            await runner.cleanup()


@asynccontextmanager
async def running(memory: Memory | None = None, **config: Any) -> AsyncIterator[At]:
    """An account that is open and receives."""
    async with account(memory, **config) as at:
        await at.run()
        yield at
