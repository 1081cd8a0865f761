"""Tasks for what comes at any time, each thing begun at once, and so many at a time.

To wake a task takes a third of what it takes to make one. So whoever is done waits for the next
thing, unless another does so already.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from onebus.waiting import Flag

T = TypeVar("T")


class Crew(Generic[T]):
    """Does `work` with what it is given; at most `most` at once. `dismiss` it in the end."""

    def __init__(self, work: Callable[[T], Awaitable[None]], most: int) -> None:
        self._work = work
        self._most = most
        self._busy = 0
        self._resting: asyncio.Future[T] | None = None
        self._dismissed = False
        self._done = Flag()

    @property
    def full(self) -> bool:
        """Whether nothing can be given now: wait for `room`."""
        return self._busy >= self._most

    async def room(self) -> None:
        """Wait until one more can be given."""
        await self._until_busy(self._most - 1)

    async def idle(self) -> None:
        """Wait until all that was given is done."""
        await self._until_busy(0)

    def give(self, thing: T, group: asyncio.TaskGroup) -> None:
        """Begin with this, in a task of the group if it takes one more."""
        self._busy += 1
        resting, self._resting = self._resting, None
        if resting and not resting.done():
            resting.set_result(thing)
        else:
            group.create_task(self._run(thing))

    def dismiss(self) -> None:
        """Finish what was begun, and go."""
        self._dismissed = True
        if self._resting:
            self._resting.cancel()

    async def _run(self, thing: T) -> None:
        while True:
            try:
                await self._work(thing)
            finally:
                self._busy -= 1
                self._done.set()
            if self._resting or self._dismissed:
                return
            self._resting = asyncio.get_running_loop().create_future()
            thing = await self._resting

    async def _until_busy(self, most: int) -> None:
        while self._busy > most:
            self._done.clear()
            await self._done.wait()
