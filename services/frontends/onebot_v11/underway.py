"""The calls that this process is answering, each until its deadline."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from onebus.inflight import InFlight


class Underway(InFlight):
    """Counts them, and ends them early when the process has no time left."""

    def __init__(self) -> None:
        super().__init__()
        self._limits: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def until(self, ends_at_s: float) -> AsyncIterator[None]:
        """One call, until this time of the loop's clock. Raises TimeoutError, in its own body."""
        with self.one():
            async with asyncio.timeout_at(ends_at_s) as limit:
                self._limits.add(limit)
                try:
                    yield
                finally:
                    self._limits.discard(limit)

    def give_up(self) -> None:
        """Let the time of all of them be over now."""
        now_s = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now_s)
