"""The time of an action: known to what it calls, and over when it is over."""

import asyncio
import contextlib
import time

import pytest

from onebus import deadline
from onebus.deadline import Watch


async def test_what_is_inside_knows_how_long_it_has() -> None:
    assert deadline.left_s() is None
    with Watch().within(5):
        assert 4 < (deadline.left_s() or 0) <= 5
        started = await asyncio.ensure_future(asyncio.sleep(0, deadline.left_s()))
        assert started
        with Watch().within(1):
            assert 0 < (deadline.left_s() or 0) <= 1
        assert 4 < (deadline.left_s() or 0) <= 5
    assert deadline.left_s() is None


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.05])
async def test_what_takes_longer_is_cut_short(seconds: float) -> None:
    started_at = time.monotonic()
    with pytest.raises(TimeoutError), Watch().within(seconds):
        await asyncio.Event().wait()
    assert time.monotonic() - started_at < 5
    task = asyncio.current_task()
    assert task
    assert not task.cancelling()
    await asyncio.sleep(0)


async def test_what_ends_in_time_is_left_alone() -> None:
    watch = Watch()
    with watch.within(0.01):
        pass
    with pytest.raises(KeyError), watch.within(0.01):
        raise KeyError
    async with asyncio.timeout(5):
        while watch._looking:  # until it has looked, and found nothing
            await asyncio.sleep(0.01)
    with pytest.raises(TimeoutError), watch.within(0.01):
        await asyncio.Event().wait()


async def test_a_cancellation_from_outside_stays_one() -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        with Watch().within(0.01):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                with contextlib.suppress(asyncio.CancelledError):  # the deadline passes, too
                    await asyncio.Event().wait()
                over.set()

    task = asyncio.ensure_future(work())
    await begun.wait()
    task.cancel()
    await asyncio.wait_for(over.wait(), 5)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_only_the_inner_one_is_over() -> None:
    watch = Watch()
    with watch.within(30):
        with pytest.raises(TimeoutError), watch.within(0.01):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        assert (deadline.left_s() or 0) > 20
