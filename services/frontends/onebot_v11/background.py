"""Calls that nobody waits for: started here, bounded, and finished before the process ends."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Hashable
from typing import Any

from onebus.errors import BusUnavailable, RateLimited

MOST = 1000
"""Of one account at once; one more is refused."""


class Background:
    """The tasks of one process, counted per account."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._running: Counter[Hashable] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()
        self._group: asyncio.TaskGroup | None = None

    def start(self, owner: Hashable, work: Coroutine[Any, Any, None]) -> None:
        """Start work that raises nothing. Raises RateLimited when too much runs for `owner`."""
        if self._group is None or self._running[owner] >= self._most:
            work.close()
            if self._group is None:
                raise BusUnavailable("this process is starting or stopping")
            raise RateLimited("too many calls without an answer run already", retry_after_s=1)
        self._running[owner] += 1
        self._idle.clear()
        task = self._group.create_task(work)
        task.add_done_callback(lambda _: self._ended(owner))

    async def run(self) -> None:
        """Let work be started, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    async def idle(self) -> None:
        """Wait until nothing runs."""
        await self._idle.wait()

    def _ended(self, owner: Hashable) -> None:
        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]
        if not self._running:
            self._idle.set()
