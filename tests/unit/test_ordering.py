"""Turns in order of arrival, per lane, and nothing left behind."""

import asyncio

import pytest

from onebus.errors import RateLimited
from onebus.ordering import Lanes


async def test_a_lane_keeps_the_order_of_arrival_and_lanes_do_not_wait_for_each_other() -> None:
    lanes, done, gate = Lanes(), list[tuple[str, int]](), asyncio.Event()

    async def work(lane: str, number: int) -> None:
        async with lanes.turn(lane):
            if lane == "slow":
                await gate.wait()
            done.append((lane, number))

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(work("slow", number))
        fast = [group.create_task(work("fast", number)) for number in range(50)]
        await asyncio.wait(fast)
        assert done == [("fast", number) for number in range(50)]
        gate.set()
    assert done[50:] == [("slow", number) for number in range(50)]
    assert not lanes._lanes


async def test_who_gives_up_waiting_leaves_the_lane_to_the_others() -> None:
    lanes, gate, done = Lanes(), asyncio.Event(), list[int]()

    async def work(number: int) -> None:
        async with lanes.turn("a"):
            await gate.wait()
            done.append(number)

    tasks = [asyncio.ensure_future(work(number)) for number in range(5)]
    await asyncio.wait(tasks, timeout=0)
    tasks[0].cancel()
    tasks[2].cancel()
    gate.set()
    await asyncio.wait(tasks)
    assert done == [1, 3, 4]
    assert not lanes._lanes


async def test_a_full_lane_refuses_and_other_lanes_go_on() -> None:
    lanes, gate = Lanes(most_waiting=3), asyncio.Event()

    async def work() -> None:
        async with lanes.turn("a"):
            await gate.wait()

    tasks = [asyncio.ensure_future(work()) for _ in range(4)]
    await asyncio.wait(tasks, timeout=0)
    with pytest.raises(RateLimited):
        await work()
    async with lanes.turn("b"):
        gate.set()
    await asyncio.wait(tasks)
    assert [task.exception() for task in tasks] == [None] * 4
    async with lanes.turn("a"):
        assert len(lanes._lanes) == 1
    assert not lanes._lanes
