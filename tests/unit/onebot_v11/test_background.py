"""Work that nobody waits for: bounded per account, and waited for in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from frontends.onebot_v11.background import Background
from onebus.errors import BusUnavailable, RateLimited


@asynccontextmanager
async def running(background: Background) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(background.run())
        await asyncio.sleep(0)
        yield
        task.cancel()


async def test_each_account_has_its_own_bound() -> None:
    background, gate = Background(most=2), asyncio.Event()
    done: list[str] = []

    async def work(name: str) -> None:
        await gate.wait()
        done.append(name)

    async with running(background):
        background.start("one", work("a"))
        background.start("one", work("b"))
        with pytest.raises(RateLimited):
            background.start("one", work("c"))
        background.start("two", work("d"))
        gate.set()
        await asyncio.wait_for(background.idle(), 5)
        assert sorted(done) == ["a", "b", "d"]
        background.start("one", work("e"))
        await asyncio.wait_for(background.idle(), 5)
    assert sorted(done) == ["a", "b", "d", "e"]


async def test_idle_waits_for_what_runs() -> None:
    background, gate = Background(), asyncio.Event()

    async def work() -> None:
        await gate.wait()

    async with running(background):
        background.start("one", work())
        waiting = asyncio.ensure_future(background.idle())
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.set()
        await asyncio.wait_for(waiting, 5)


async def test_nothing_starts_before_or_after_it_runs() -> None:
    background = Background()

    async def work() -> None:
        raise AssertionError("started")

    with pytest.raises(BusUnavailable):
        background.start("one", work())
    async with running(background):
        pass
    with pytest.raises(BusUnavailable):
        background.start("one", work())
