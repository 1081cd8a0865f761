"""Tasks for what comes at any time: none waits behind another, and none is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.fakes.outage import eventually

from frontends.onebot_v11.crew import Crew

MOST = 3


class Works:
    """What a crew of three was given, and in which tasks; each ends when it is let go."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.begun: list[int] = []
        self.done: list[int] = []
        self.tasks: set[asyncio.Task[None] | None] = set()
        self.crew = Crew(self._work, MOST)
        self._group = group
        self._go: dict[int, asyncio.Event] = {}

    def give(self, thing: int) -> None:
        self._go[thing] = asyncio.Event()
        self.crew.give(thing, self._group)

    async def end(self, thing: int) -> None:
        self._go[thing].set()
        await eventually(lambda: thing in self.done)

    async def _work(self, thing: int) -> None:
        self.tasks.add(asyncio.current_task())
        self.begun.append(thing)
        await self._go[thing].wait()
        self.done.append(thing)


@asynccontextmanager
async def works() -> AsyncIterator[Works]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        made = Works(group)
        yield made
        made.crew.dismiss()


async def test_a_slow_one_holds_up_no_other() -> None:
    async with works() as made:
        for thing in (1, 2, 3):
            made.give(thing)
        await eventually(lambda: made.begun == [1, 2, 3])
        await made.end(3)
        await made.end(2)
        assert made.done == [3, 2]
        await made.end(1)


async def test_one_after_the_other_are_done_by_the_same_task() -> None:
    async with works() as made:
        for thing in range(10):
            made.give(thing)
            await made.end(thing)
        assert made.done == list(range(10))
        assert len(made.tasks) == 1


async def test_one_at_most_waits_for_more() -> None:
    async with works() as made:
        before = len(asyncio.all_tasks())
        for thing in (1, 2, 3):
            made.give(thing)
        for thing in (1, 2, 3):
            await made.end(thing)
        await eventually(lambda: len(asyncio.all_tasks()) == before + 1)


async def test_there_is_room_when_one_of_as_many_as_there_may_be_is_done() -> None:
    async with works() as made:
        for thing in range(MOST):
            assert not made.crew.full
            made.give(thing)
        assert made.crew.full
        waiting = asyncio.ensure_future(made.crew.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await made.end(1)
        await waiting
        assert not made.crew.full
        for thing in (0, 2):
            await made.end(thing)


async def test_it_is_idle_when_all_is_done() -> None:
    async with works() as made:
        await made.crew.idle()
        made.give(1)  # counts before its task has run at all
        made.give(2)
        waiting = asyncio.ensure_future(made.crew.idle())
        await made.end(1)
        assert not waiting.done()
        await made.end(2)
        await waiting


async def test_who_is_dismissed_finishes_and_goes() -> None:
    async with works() as made:
        made.give(1)
        await made.end(1)  # one rests
        made.give(2)
        made.give(3)
        await eventually(lambda: made.begun == [1, 2, 3])
        made.crew.dismiss()
        await made.end(2)
        await made.end(3)  # and the group ends, which waits for all


async def test_who_rests_goes_when_dismissed() -> None:
    async with works() as made:
        made.give(1)
        await made.end(1)


async def test_a_fault_ends_the_group_and_counts_as_done() -> None:
    async def fail(_: int) -> None:
        raise ValueError

    async def live() -> None:
        crew = Crew(fail, MOST)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            crew.give(1, group)
            await crew.idle()
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup):
        await live()
