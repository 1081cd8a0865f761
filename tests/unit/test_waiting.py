"""A limit of time for what is inside, and a flag: an event of asyncio that weighs less."""

import asyncio

import pytest

from onebus.waiting import Flag, at_most


async def test_what_takes_too_long_is_left() -> None:
    reached = False
    async with asyncio.timeout(5):
        async with at_most(0.01):
            await asyncio.Event().wait()
            reached = True
    assert not reached


async def test_a_timeout_of_something_else_is_not_ours_to_hide() -> None:
    with pytest.raises(TimeoutError, match="the socket's"):
        async with at_most(60):
            raise TimeoutError("the socket's")


async def test_a_cancellation_is_none_of_it() -> None:
    task = asyncio.ensure_future(_waiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _waiting() -> None:
    async with at_most(60):
        await asyncio.Event().wait()


async def test_all_who_wait_go_on_when_it_is_set_and_who_comes_passes() -> None:
    flag = Flag()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = [group.create_task(flag.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not flag.is_set()
        assert not any(task.done() for task in waiting)
        flag.set()
        flag.set()
    async with asyncio.timeout(5):
        await flag.wait()
    assert flag.is_set()


async def test_who_was_let_go_goes_on_though_it_is_cleared_at_once() -> None:
    flag = Flag()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(flag.wait())
        await asyncio.sleep(0)
        flag.set()
        flag.clear()
    later = asyncio.ensure_future(flag.wait())
    await asyncio.sleep(0)
    assert not later.done()
    flag.set()
    await later


async def test_who_gives_up_is_forgotten_and_the_others_are_not() -> None:
    flag = Flag()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        impatient = group.create_task(flag.wait())
        patient = group.create_task(flag.wait())
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.sleep(0)
        assert not patient.done()
        assert len(flag._waiting) == 1
        flag.set()
    assert not flag._waiting
