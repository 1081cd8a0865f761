"""The calls that this process is answering, each until its deadline."""

import asyncio
from types import TracebackType

from onebus.inflight import InFlight


class Underway(InFlight):
    """Counts them, and ends them early when the process has no time left."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: set[asyncio.Timeout] = set()

    def until(self, ends_at_s: float) -> "Limited":
        """One call, until this time of the loop's clock. Raises TimeoutError, in its own body."""
        return Limited(self, ends_at_s)

    def give_up(self) -> None:
        """Let the time of all of them be over now."""
        now_s = asyncio.get_running_loop().time()
        for limit in self.limits:
            if not limit.expired():
                limit.reschedule(now_s)


class Limited:
    """The time of one call; a class, because a generator takes three times as long."""

    __slots__ = ("_limit", "_underway")

    def __init__(self, underway: Underway, ends_at_s: float) -> None:
        self._underway = underway
        self._limit = asyncio.timeout_at(ends_at_s)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._underway.__enter__()
        self._underway.limits.add(self._limit)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._underway.limits.discard(self._limit)
        self._underway.__exit__()
        await self._limit.__aexit__(kind, error, traceback)
