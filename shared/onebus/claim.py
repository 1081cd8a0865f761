"""One claim as a process sees it, and the work that it does while the claim is its own."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from onebus.bucket import Entry

LEFT = "left "
"""Before the session in a free claim: its owner stops, and takes part in nothing any more."""


class Claim:
    """A claim that this process may want, as last seen, and the work that is done while it is ours.

    `revision`: of our own write while we hold it, else 0. `leaving`: it is being given back.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.entry: Entry | None = None
        self.seen_at_s = math.inf
        self.free_since_s = 0.0
        self.revision = 0
        self.wanted = False
        self.leaving = False
        self.leave: Callable[[], Awaitable[bool]] | None = None
        self.gained = asyncio.Event()
        self.lost = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def holder(self) -> str:
        """The session in it; empty when it was given back."""
        value = self.entry.value.decode() if self.entry else ""
        return "" if value.startswith(LEFT) else value

    def wrote(self, entry: Entry) -> bool:
        """Note what we wrote; False when we have seen already what another wrote after it."""
        newest = self.entry is None or self.entry.revision <= entry.revision
        if newest:
            self.entry, self.free_since_s = entry, 0.0
        return newest

    def win(self, revision: int) -> None:
        """It is ours; under a new session again, and the work goes on."""
        if not self.revision:
            self.lost = asyncio.Event()
        self.revision = revision
        if not self.leaving:
            self.gained.set()

    def lose(self) -> None:
        """It is not ours any more, and the work ends."""
        self.revision = 0
        self.end_work()

    def end_work(self) -> None:
        """`idle` tells when it has ended."""
        self.gained.clear()
        self.lost.set()

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Work until the claim is lost; whether the work ended by itself."""
        await self.gained.wait()
        self.idle.clear()
        try:
            return await _unless(self.lost, work)
        finally:
            self.idle.set()


async def _unless(stop: asyncio.Event, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Run `work` unless and until `stop`; whether it ended by itself."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work())
        stopping = group.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        ended = working.done()
        working.cancel()
        stopping.cancel()
    return ended
