"""Turns: in the order in which they were asked for, whenever the work itself begins."""

import asyncio

import pytest

from onebus.errors import RateLimited
from onebus.ordering import Lanes


async def test_a_place_taken_now_goes_before_a_turn_asked_for_later() -> None:
    lanes, order = Lanes(), []

    async def later(place: int) -> None:
        async with lanes.turn("chat"):
            order.append(place)

    first = lanes.join("chat")
    async with asyncio.TaskGroup() as group:
        group.create_task(later(2))
        second = lanes.join("other")
        async with second, first:
            order.append(1)
    assert order == [1, 2]


async def test_one_at_a_time_in_order_of_arrival() -> None:
    lanes, order, running = Lanes(), list[int](), 0

    async def work(number: int) -> None:
        nonlocal running
        async with lanes.turn("chat"):
            running += 1
            assert running == 1
            await asyncio.sleep(0)
            order.append(number)
            running -= 1

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(work(number))
    assert order == list(range(20))


async def test_who_leaves_or_is_cancelled_does_not_hold_up_the_others() -> None:
    lanes, done = Lanes(), asyncio.Event()

    async def wait_for_turn() -> None:
        async with lanes.turn("chat"):
            done.set()

    async with lanes.turn("chat"):
        cancelled = asyncio.ensure_future(wait_for_turn())
        unused = lanes.join("chat")
        last = asyncio.ensure_future(wait_for_turn())
        await asyncio.sleep(0)
        cancelled.cancel()
        unused.leave()
        unused.leave()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert not done.is_set()
    await asyncio.wait_for(last, 5)
    assert done.is_set()
    assert not lanes._lanes


async def test_a_full_lane_refuses_and_others_go_on() -> None:
    lanes = Lanes(most_waiting=2)
    places = [lanes.join("chat") for _ in range(3)]
    with pytest.raises(RateLimited):
        lanes.join("chat")
    lanes.join("other").leave()
    places[1].leave()
    lanes.join("chat")
