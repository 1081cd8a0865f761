"""The time of one call, and who else may end it. R4."""

import asyncio

import pytest

from frontends.onebot_v11.underway import Underway


async def never(underway: Underway, seconds: float, inside: asyncio.Event) -> None:
    with underway.until(asyncio.get_running_loop().time() + seconds):
        inside.set()
        await asyncio.Event().wait()


async def test_a_call_ends_with_its_time_and_its_task_goes_on() -> None:
    underway = Underway()
    with pytest.raises(TimeoutError):
        await never(underway, 0.01, asyncio.Event())
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0
    assert underway.count == 0
    assert not underway.limits


async def test_who_is_cancelled_by_somebody_else_is_cancelled() -> None:
    underway, inside = Underway(), asyncio.Event()
    call = asyncio.ensure_future(never(underway, 60, inside))
    await asyncio.wait_for(inside.wait(), 10)
    underway.give_up()  # and at the same moment
    call.cancel()
    await asyncio.wait([call], timeout=10)
    assert call.cancelled()
    assert underway.count == 0


async def test_all_time_can_be_over_at_once_and_again() -> None:
    underway, inside = Underway(), asyncio.Event()
    call = asyncio.ensure_future(never(underway, 60, inside))
    await asyncio.wait_for(inside.wait(), 10)
    underway.give_up()
    underway.give_up()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call, 10)


async def test_each_ends_in_its_own_time() -> None:
    underway, loop = Underway(), asyncio.get_running_loop()
    ended: list[float] = []

    async def one(seconds: float) -> None:
        try:
            await never(underway, seconds, asyncio.Event())
        except TimeoutError:
            ended.append(seconds)

    began_at_s = loop.time()
    async with asyncio.timeout(10):
        await asyncio.gather(*map(one, (0.2, 0.05, 0.1)))
    assert ended == [0.05, 0.1, 0.2]
    assert loop.time() - began_at_s > 0.19
    async with asyncio.timeout(10):  # and nothing is left in the way of the next
        await one(0.01)
    assert ended[-1] == 0.01
