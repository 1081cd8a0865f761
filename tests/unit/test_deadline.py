"""The time of an action: known to what it calls, and over when it is over."""

import asyncio
import time

import pytest

from onebus import deadline


async def test_what_is_inside_knows_how_long_it_has() -> None:
    assert deadline.left_s() is None
    with deadline.within(5):
        assert 4 < (deadline.left_s() or 0) <= 5
        started = await asyncio.ensure_future(asyncio.sleep(0, deadline.left_s()))
        assert started
        with deadline.within(1):
            assert 0 < (deadline.left_s() or 0) <= 1
        assert 4 < (deadline.left_s() or 0) <= 5
    assert deadline.left_s() is None


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.05])
async def test_what_takes_longer_is_cut_short(seconds: float) -> None:
    started_at = time.monotonic()
    with pytest.raises(TimeoutError), deadline.within(seconds):
        await asyncio.Event().wait()
    assert time.monotonic() - started_at < 5
    task = asyncio.current_task()
    assert task
    assert not task.cancelling()
    await asyncio.sleep(0)


async def test_what_ends_in_time_is_left_alone() -> None:
    with deadline.within(0.02):
        pass
    await asyncio.sleep(0.05)
    with pytest.raises(KeyError), deadline.within(0.02):
        raise KeyError
    await asyncio.sleep(0.05)


async def test_a_cancellation_from_outside_stays_one() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        with deadline.within(0.05):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                time.sleep(0.1)  # the deadline passes while it ends

    task = asyncio.ensure_future(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_only_the_inner_one_is_over() -> None:
    with deadline.within(30):
        with pytest.raises(TimeoutError), deadline.within(0.01):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        assert (deadline.left_s() or 0) > 20
