"""Rates and pauses, in a time of the test's own."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.clock import Clock

from onebus.errors import RateLimited
from onebus.pace import Limits, Pacer, Rate


def pacer(clock: Clock, limits: Limits) -> Pacer:
    return Pacer(limits, now_s=clock.now_s, sleep=clock.sleep)


def most_within(times: list[float], seconds: float) -> int:
    return max(sum(at <= other < at + seconds - 1e-6 for other in times) for at in times)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_no_stretch_of_time_holds_more_than_the_rate(
    calls: list[tuple[str, float]], account: int, chat: int
) -> None:
    clock, out = Clock(), dict[str, list[float]](a=[], b=[], c=[])
    paced = pacer(clock, Limits(Rate(account, 1.0), Rate(chat, 2.5)))

    async def one(name: str, after_s: float) -> None:
        await clock.sleep(after_s)
        await paced.turn(name, most_s=10_000)
        out[name].append(clock.now)

    async def all_of_them() -> None:
        await clock.run(*(asyncio.ensure_future(one(*call)) for call in calls))

    asyncio.run(all_of_them())
    together = sorted(at for times in out.values() for at in times)
    assert len(together) == len(calls)
    assert most_within(together, 1.0) <= account
    for times in filter(None, out.values()):
        assert most_within(times, 2.5) <= chat


@settings(max_examples=60)
@given(st.lists(st.floats(0.1, 5), max_size=6), st.integers(1, 4))
def test_nothing_goes_out_in_a_pause(pauses: list[float], rate: int) -> None:
    clock, out, forbidden = Clock(), list[float](), list[tuple[float, float]]()
    paced = pacer(clock, Limits(Rate(rate, 1.0)))

    async def one() -> None:
        await paced.turn("a", most_s=10_000)
        out.append(clock.now)

    async def pausing() -> None:
        for seconds in pauses:
            await clock.sleep(1.3)
            paced.pause(seconds)
            forbidden.append((clock.now, clock.now + seconds))

    async def all_of_them() -> None:
        works = (pausing(), *(one() for _ in range(20)))
        await clock.run(*(asyncio.ensure_future(work) for work in works))

    asyncio.run(all_of_them())
    assert len(out) == 20
    assert most_within(out, 1.0) <= rate, "after a pause they must not come all at once"
    for start, end in forbidden:
        assert not [at for at in out if start < at < end - 1e-6]


async def test_who_cannot_wait_is_told_at_once_and_takes_no_turn() -> None:
    clock = Clock()
    paced = pacer(clock, Limits(chat=Rate(1, 60.0)))
    await paced.turn("a", most_s=1)
    with pytest.raises(RateLimited) as caught:
        await paced.turn("a", most_s=1)
    assert caught.value.retry_after_s == pytest.approx(60)
    await paced.turn("b", most_s=1)
    clock.now += 60
    await paced.turn("a", most_s=1)


async def test_a_slow_chat_does_not_take_the_turns_of_others() -> None:
    clock = Clock()
    paced = pacer(clock, Limits(Rate(2, 1.0), Rate(1, 30.0)))
    queue = [asyncio.ensure_future(paced.turn("slow", most_s=1000)) for _ in range(10)]
    for _ in range(5):
        await asyncio.sleep(0)
    await paced.turn("quick", most_s=1.0)
    assert clock.now == 1000.0
    await clock.run(*queue)
    assert clock.now == pytest.approx(1270.0)


async def test_in_a_long_pause_everybody_is_told_at_once() -> None:
    clock = Clock()
    paced = pacer(clock, Limits())
    paced.pause(60)
    patient = asyncio.ensure_future(paced.turn("a", most_s=100))
    await asyncio.sleep(0)
    for chat in ("b", "c", ""):
        with pytest.raises(RateLimited):
            await paced.turn(chat, most_s=30)
    assert clock.now == 1000.0
    await clock.run(patient)


async def test_who_comes_after_a_pause_does_not_overtake_who_waited_for_its_end() -> None:
    clock, order = Clock(), list[str]()
    paced = pacer(clock, Limits())
    paced.pause(10)

    async def one(name: str, chat: str) -> None:
        await paced.turn(chat, most_s=1000)
        order.append(name)
        if name == "first":
            await paced.turn(chat, most_s=1000)
            order.append("first again")

    calls = [one("first", "a"), one("second", "b"), one("third", "c")]
    await clock.run(*map(asyncio.ensure_future, calls))
    assert order == ["first", "second", "third", "first again"]


async def test_a_pause_of_one_chat_is_nobody_elses() -> None:
    clock = Clock()
    paced = pacer(clock, Limits())
    paced.pause(9, "a")
    await paced.turn("b", most_s=1)
    await paced.unpaused(most_s=1)
    with pytest.raises(RateLimited) as caught:
        await paced.turn("a", most_s=1)
    assert caught.value.retry_after_s == pytest.approx(9)


async def test_chats_that_are_free_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onebus.pace.MAX_CHATS", 50)
    clock = Clock()
    paced = pacer(clock, Limits(chat=Rate(1, 1.0)))
    for number in range(500):
        clock.now += 0.1
        await paced.turn(str(number), most_s=0)
        paced.pause(0.2, str(number))
        assert len(paced._chats) <= 51
        assert len(paced._pauses) <= 51
