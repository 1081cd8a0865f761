"""Replicas of a connector in memory, and the platform that plays with them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from onebus.api import session
from onebus.bus import StreamEntry
from onebus.connector import Connector, SelfInfo
from onebus.cursor import Cursor, feed_key
from onebus.errors import OnebusError
from onebus.event import Event
from onebus.ids import Account, AccountId, Platform
from onebus.testing.memory import Memory, MemoryKit
from onebus.testing.memory_bus import MemoryBucket
from onebus.testing.subject import Subject

CLOSE_S = 2.0
"""Cancelling and closing a connector takes no longer."""
WAIT_S = 20.0


class Stuck(AssertionError):
    """A connector did not do in time what it has to."""


class LostBucket(MemoryBucket):
    """Takes every write, and keeps none: its process dies before NATS has them."""

    async def _store(self, *_: object, **__: object) -> int:
        return 1


class DyingKit(MemoryKit):
    """The kit of a process that will die with everything in the log and no cursor saved."""

    def cursor(self, name: str) -> Cursor:
        """One that is never saved."""
        lost = LostBucket(self.memory.bus, "cursors")
        return self._cursors.setdefault(name, Cursor(lost, feed_key(self.account, name)))


class Replica:
    """One process of the connector. `url`: where its routes are, without a slash at the end."""

    def __init__(self, connector: Connector[Any], kit: MemoryKit) -> None:
        self.connector = connector
        self.kit = kit
        self.url = ""
        self.running: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> SelfInfo:
        """Open it, receive in the background, and serve its routes. Raises SetupError."""
        await self._serve()
        info = await self.connector.open()
        self.running = asyncio.ensure_future(self.connector.run())
        return info

    async def stop(self) -> None:
        """An orderly stop, as the host makes it. Raises Stuck."""
        await self._cancel()
        await self.kit.save_cursors()
        await self._close()

    async def die(self) -> None:
        """End without saving anything."""
        await self._cancel()
        await self._close()

    def check(self) -> None:
        """Raise what receiving ended with, if it did."""
        if self.running and self.running.done():
            self.running.result()
            raise Stuck("run() returned")

    async def _serve(self) -> None:
        application = web.Application()
        account = self.kit.account
        base = f"/{account.platform}/{account.account_id}"
        application.add_routes(
            web.RouteDef(route.method, base + route.path, route.handler, route.kwargs)
            for route in self.connector.routes()
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}{base}"

    async def _cancel(self) -> None:
        if self.running is None:
            return
        self.running.cancel()
        done, _ = await asyncio.wait({self.running}, timeout=CLOSE_S)
        if not done:
            raise Stuck(f"run() does not end within {CLOSE_S} s of being cancelled")

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.connector.close()
        except TimeoutError:
            raise Stuck(f"close() takes longer than {CLOSE_S} s") from None
        finally:
            if self._runner:
                await self._runner.cleanup()


class Play:
    """One installation with one account, and its platform."""

    def __init__(
        self,
        kind: type[Connector[Any]],
        subject: type[Subject],
        platform: str,
        http: aiohttp.ClientSession,
    ) -> None:
        self.kind = kind
        self.http = http
        self.memory = Memory()
        self.account = Account(Platform(platform), AccountId("contract"))
        self.later_s = 0.0
        """How far the tests' time is ahead."""
        self.subject = subject(self.account, self.now_s)
        self._replicas: list[Replica] = []
        self._there = AsyncExitStack()

    async def begin(self) -> None:
        """The platform is there from now on."""
        await self._there.enter_async_context(self.subject.serve())

    async def away(self) -> None:
        """The platform goes away."""
        await self._there.aclose()

    def now_s(self) -> float:
        """Unix seconds."""
        return time.time() + self.later_s

    def replica(self, *, dying: bool = False, **changed: Any) -> Replica:
        """A process that is not started yet. Raises Misconfigured."""
        make = DyingKit if dying else MemoryKit
        kit = make(self.memory, self.account, self.http, self.now_s)
        config = msgspec.convert(self.subject.config() | changed, self.kind.Config)
        replica = Replica(self.kind(config, kit), kit)
        self._replicas.append(replica)
        return replica

    async def started(self, *, dying: bool = False) -> Replica:
        """A process that serves the account."""
        replica = self.replica(dying=dying)
        await replica.start()
        return replica

    def entries(self) -> list[StreamEntry]:
        """The log, oldest first."""
        return list(self.memory.bus.entries(self.memory.log.stream))

    def events(self) -> list[Event]:
        """The log's events, oldest first."""
        return self.memory.events()

    async def deliver(self, replica: Replica, *numbers: int) -> None:
        """Give updates one after the other. Raises Stuck, NotTaken."""
        for number in numbers:
            await self.within(self.subject.deliver(replica, number), replica, f"update {number}")

    async def within(self, work: Any, replica: Replica, what: str) -> None:
        """Wait for something, as long as the connector receives. Raises Stuck."""
        task = asyncio.ensure_future(work)
        tasks = {task, replica.running} if replica.running else {task}
        await asyncio.wait(tasks, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            replica.check()
            raise Stuck(f"{what} was not confirmed within {WAIT_S} s")
        task.result()

    async def end(self) -> None:
        """Stop whatever still runs."""
        for replica in self._replicas:
            try:
                await replica.die()
            except OnebusError as error:
                logging.getLogger(__name__).debug("ending: %s", error)


@asynccontextmanager
async def play(
    kind: type[Connector[Any]], subject: type[Subject], platform: str
) -> AsyncIterator[Play]:
    """A platform that is there, and an installation of which nothing runs yet."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(session())
        made = Play(kind, subject, platform, http)
        stack.push_async_callback(made.away)
        await made.begin()
        stack.push_async_callback(made.end)
        yield made
