"""From the log to one socket: bounded, acknowledged by pong, and left in an orderly manner."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.fakes.followed import feeds_of, following, store, translate
from tests.fakes.outage import eventually

from frontends.onebot_v11 import outbound as outbound_module
from frontends.onebot_v11.feed import Style, Translation
from frontends.onebot_v11.frame import Frame
from frontends.onebot_v11.outbound import Delivery, Outbound
from onebus.bus import Bus
from onebus.log import Log, Stored
from onebus.metrics import Way


class Noted(Delivery):
    """What an outbound says of itself. Events in `old` are left out."""

    def __init__(self) -> None:
        super().__init__(Way("telegram.demo", "ws-reverse"))
        self.old: set[int] = set()
        self.asked: list[int] = []
        self.handed: list[int] = []
        self.rests = 0
        self.caught = 0
        self.at_once = 0
        self.keeping = True
        self.allowed = asyncio.Event()
        self.allowed.set()

    async def admit(self, frame: Frame) -> bool:
        self.asked.append(frame.sequence)
        if len(self.asked) > self.at_once:
            await self.allowed.wait()
        return frame.sequence not in self.old

    async def handed_over(self, sequence: int, count: int) -> bool:
        self.handed.append(sequence)
        return self.keeping

    async def rest(self) -> bool:
        self.rests += 1
        return self.keeping

    async def caught_up(self) -> None:
        self.caught += 1


class Wire:
    """A socket whose bot answers no ping until it is told to."""

    def __init__(self, outbound: Outbound, delivery: Noted) -> None:
        self.outbound = outbound
        self.delivery = delivery
        self.written = 0
        self.pings: list[bytes] = []
        self.answering = False

    async def write(self, _: bytes) -> None:
        self.written += 1

    async def ping(self, payload: bytes) -> None:
        self.pings.append(payload)
        if self.answering:
            self.outbound.ponged(payload)

    def answer(self) -> None:
        self.answering = True
        self.outbound.ponged(self.pings[-1])


async def every_second(stored: Stored, style: Style) -> Frame | None:
    """What a bot does not get, as its own messages, is in the log all the same."""
    return None if stored.sequence % 2 else await translate(stored, style)


@asynccontextmanager
async def wire(bus: Bus, log: Log, after: int | None, most: int = 64) -> AsyncIterator[Wire]:
    delivery = Noted()
    async with (
        feeds_of(bus, log, Translation(every_second)) as feeds,
        following(feeds, log, after) as there,
        asyncio.TaskGroup() as group,
    ):
        outbound = Outbound(there, delivery, most)
        made = Wire(outbound, delivery)
        tasks = [
            group.create_task(outbound.send(made.write, made.ping)),
            group.create_task(outbound.tell()),
        ]
        yield made
        for task in tasks:
            task.cancel()


def got(sequences: list[int]) -> list[int]:
    return [sequence for sequence in sequences if not sequence % 2]


async def test_the_last_stored_event_is_pinged_for_whatever_lies_behind_it(bus: Bus) -> None:
    """A backlog ends with what the bot itself wrote; its pong must not wait for the next event."""
    log = Log(bus)
    old = await store(log, 0, 4)
    while old[-1] % 2 == 0:
        old += await store(log, len(old), 1)
    async with wire(bus, log, old[0] - 1) as made:
        await eventually(lambda: bool(made.pings))
        made.answer()
        await eventually(lambda: not made.outbound.window.pending)
        await eventually(lambda: made.delivery.handed[-1:] == [got(old)[-1]])


async def test_no_more_is_on_the_way_than_the_window_holds(bus: Bus) -> None:
    log = Log(bus)
    old = await store(log, 0, 200)
    async with wire(bus, log, old[0] - 1) as made:
        await eventually(lambda: made.written == 16)
        made.answer()
        await eventually(lambda: made.written == 100)
        await eventually(lambda: made.delivery.handed[-1] == got(old)[-1])
        assert made.delivery.handed == sorted(made.delivery.handed)


async def test_alone_each_event_waits_for_the_pong_to_the_one_before(bus: Bus) -> None:
    log = Log(bus)
    old = await store(log, 0, 10)
    async with wire(bus, log, old[0] - 1, most=1) as made:
        for count in range(1, 6):
            await eventually(lambda count=count: len(made.pings) == count)  # type: ignore[misc]
            assert made.written == count
            made.outbound.ponged(made.pings[-1])


async def test_what_is_left_out_moves_the_place_and_is_known_at_the_end(bus: Bus) -> None:
    log = Log(bus)
    old = await store(log, 0, 30)
    async with wire(bus, log, None) as made:
        made.delivery.old.update(new := await store(log, 30, 20))
        await eventually(lambda: made.delivery.handed[-1:] == [got(new)[-1]])
        await eventually(lambda: made.delivery.caught > 0)
        assert made.written == 0
        assert made.delivery.asked == got(new)
        assert not set(made.delivery.asked) & set(old)


async def test_at_the_end_it_waits_for_what_was_sent_and_sends_no_more(bus: Bus) -> None:
    log = Log(bus)
    await store(log, 0, 2)
    async with wire(bus, log, None) as made, asyncio.TaskGroup() as group:
        new = await store(log, 2, 3)
        await eventually(lambda: made.written == len(got(new)) and bool(made.pings))
        ending = group.create_task(made.outbound.finish(10))
        await asyncio.sleep(0)
        assert not ending.done()
        made.answer()
        await ending
        assert made.delivery.handed[-1] == got(new)[-1]
        await store(log, 5, 4)
        assert made.written == len(got(new))


async def test_what_was_acknowledged_right_before_the_end_is_told(bus: Bus) -> None:
    log = Log(bus)
    async with wire(bus, log, None) as made:
        new = await store(log, 0, 20)
        await eventually(lambda: made.written == 10 and not made.outbound.window._since_ping)
    made.answer()  # the socket's tasks are gone
    assert not made.delivery.handed
    await made.outbound.conclude()
    assert made.delivery.handed == [got(new)[-1]]


async def test_at_the_end_it_asks_for_what_it_has_not_asked_for_yet(bus: Bus) -> None:
    log = Log(bus)
    old = await store(log, 0, 60)
    async with wire(bus, log, old[0] - 1) as made:
        made.answering = True
        made.delivery.at_once = 6
        made.delivery.allowed.clear()
        await eventually(lambda: len(made.delivery.asked) == 7)
        assert len(made.outbound.window.pending) == 2
        async with asyncio.TaskGroup() as group:
            group.create_task(made.outbound.finish(10))
            await asyncio.sleep(0)
            made.delivery.allowed.set()
        assert (made.written, made.outbound.window.pending) == (6, [])


async def test_a_window_that_shrank_below_what_was_sent_does_not_stay_full(bus: Bus) -> None:
    """As for a bot that handles events in its reading loop, and needs seconds for each."""
    log = Log(bus)
    async with wire(bus, log, None) as made:
        await store(log, 0, 2)
        await eventually(lambda: bool(made.pings))
        while made.outbound.window._size > 1:
            made.outbound.window._adapt(5)
        made.answer()
        await store(log, 2, 20)
        await eventually(lambda: made.written == 11)
        assert not made.outbound.window._since_ping


async def test_an_event_in_hand_at_the_end_is_left_to_the_successor(bus: Bus) -> None:
    """It waits until the target is certainly ours: by then we may have said goodbye."""
    log = Log(bus)
    async with wire(bus, log, None) as made:
        made.delivery.allowed.clear()
        await store(log, 0, 2)
        await eventually(lambda: bool(made.delivery.asked))
        await made.outbound.finish(1)
        made.delivery.allowed.set()
        await asyncio.sleep(0.05)  # nothing tells that nothing happens
        assert (made.written, made.outbound.window.pending) == (0, [])


async def test_the_end_comes_in_time_even_if_the_bot_does_not_answer(bus: Bus) -> None:
    log = Log(bus)
    async with wire(bus, log, None) as made:
        await store(log, 0, 2)
        await eventually(lambda: made.written == 1)
        async with asyncio.timeout(5):
            await made.outbound.finish(0.1)
        assert not made.delivery.handed


async def test_after_a_moment_without_news_the_place_is_saved(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a crash an hour later would send the last event again."""
    monkeypatch.setattr(outbound_module, "REST_S", 0.05)
    log = Log(bus)
    async with wire(bus, log, None) as made:
        made.answering = True
        await store(log, 0, 2)
        await eventually(lambda: bool(made.delivery.handed))
        await eventually(lambda: made.delivery.rests == 1)


async def test_what_could_not_be_saved_counts_as_on_the_way(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash it would come twice as well: no more of both together than a window."""
    monkeypatch.setattr(outbound_module, "REST_S", 0.05)
    log = Log(bus)
    old = await store(log, 0, 200)
    async with wire(bus, log, old[0] - 1) as made:
        made.answering = True
        made.delivery.keeping = False
        await eventually(lambda: made.delivery.rests > 0)
        assert made.written == 64
        made.delivery.keeping = True
        await eventually(lambda: made.written == len(got(old)))
