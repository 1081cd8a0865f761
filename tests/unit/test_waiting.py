"""A flag: an event of asyncio that weighs less."""

import asyncio

from onebus.waiting import Flag


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
