"""Processes with a session and a lease each, in one: what they own, and how they end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from onebus.bus import Bus
from onebus.embedded import EmbeddedNats
from onebus.lease import Lease, Sessions

KEY = "account.t.one"


class Process:
    """What one process has: a connection, its view of the sessions, a lease."""

    def __init__(self, bus: Bus, keys: Sequence[str], exclusive: str = "") -> None:
        self.bus = bus
        self.sessions = Sessions(bus)
        self.lease = Lease(bus, "t", self.sessions, keys, exclusive=exclusive)
        self.own = self.lease._own
        self.working: dict[str, asyncio.Event] = {}
        self.started = 0
        self.busy = False
        self.events: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    def run(self, *keys: str) -> None:
        self._tasks = [
            asyncio.ensure_future(self.sessions.run()),
            asyncio.ensure_future(self.lease.run("account.t")),
        ]
        for key in keys:
            self.working[key] = asyncio.Event()
            hold = self.lease.hold(key, self._work(key), self._leave)
            self._tasks.append(asyncio.ensure_future(hold))

    def _work(self, key: str) -> Callable[[], Coroutine[Any, Any, None]]:
        async def work() -> None:
            assert self.lease.owned(key)
            self.started += 1
            self.working[key].set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.05)
                self.events.append(f"ended {key}")
                self.working[key].clear()

        return work

    async def _leave(self) -> bool:
        self.events.append("busy" if self.busy else "left")
        return not self.busy

    def held(self, keys: Sequence[str]) -> int:
        return sum(self.lease.owned(key) for key in keys)

    async def kill(self) -> None:
        """Everything stops where it is; nothing is given back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def check(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()

    async def owns(self, timeout_s: float = 12, key: str = KEY) -> None:
        await asyncio.wait_for(self.working[key].wait(), timeout_s)


@asynccontextmanager
async def processes(
    nats: EmbeddedNats, *names: str, keys: Sequence[str] = (KEY,), exclusive: str = ""
) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        made = []
        for name in names:
            bus = await stack.enter_async_context(Bus(nats.options(), name))
            await bus.wait_ready(5)
            made.append(Process(bus, keys, exclusive))
        try:
            yield made
        finally:
            for process in made:
                process.check()
                await process.kill()
