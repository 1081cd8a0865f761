"""From the log to the sockets of bots that came to us: together while they keep up, else alone."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from tests.fakes.followed import feeds_of, following, message, store
from tests.fakes.onebot_session import ACCOUNT
from tests.fakes.outage import eventually

from frontends.onebot_v11.broadcast import NOTE_EVERY
from frontends.onebot_v11.feed import Feeds, Listener, Style, Translation, _Feed
from frontends.onebot_v11.forward import MOST_BUFFERED, Forward
from frontends.onebot_v11.frame import Frame, text_frame
from onebus.bus import Bus
from onebus.log import Log, Stored
from onebus.metrics import Way

WAY = Way("telegram.demo", "ws")


def numbered(stored: Stored, _: Style) -> Frame:
    body = b'{"n":%d}' % stored.sequence
    return Frame(body, "message.group", "g", 1, stored.sequence, stored.stored_at_ms)


async def numbered_later(stored: Stored, style: Style) -> Frame:
    await asyncio.sleep(0)
    return numbered(stored, style)


class Bot:
    """A socket with a bot that reads, or not. `direct` counts writes of the broadcast."""

    def __init__(self) -> None:
        self.data = b""
        self.direct = 0
        self.answering = True
        self.buffered = 0
        self.gone = False
        self.forward: Forward | None = None

    @property
    def numbers(self) -> list[int]:
        return [int(number) for number in re.findall(rb'{"n":(\d+)}', self.data)]

    def write(self, data: bytes) -> None:
        self.data += data
        self.direct += 1
        for found in re.finditer(rb"\x89[\x01-\x08](\d+)", data):
            self._pong(found[1])

    def is_closing(self) -> bool:
        return self.gone

    def get_write_buffer_size(self) -> int:
        return self.buffered

    async def write_alone(self, body: bytes) -> None:
        self.data += text_frame(body)

    async def ping_alone(self, payload: bytes) -> None:
        self._pong(payload)

    def _pong(self, payload: bytes) -> None:
        assert self.forward
        if self.answering:
            self.forward.ponged(payload)


@asynccontextmanager
async def bots(bus: Bus, log: Log, count: int) -> AsyncIterator[list[Bot]]:
    translation = Translation(numbered_later, numbered)
    made = [Bot() for _ in range(count)]
    async with feeds_of(bus, log, translation) as feeds, asyncio.TaskGroup() as group:
        tasks = [group.create_task(_serve(bot, feeds, log)) for bot in made]
        await eventually(lambda: all(bot.forward for bot in made))
        yield made
        for task in tasks:
            task.cancel()


async def _serve(bot: Bot, feeds: Feeds, log: Log) -> None:
    async with following(feeds, log, None, patient=False) as there:
        transport = cast("asyncio.WriteTransport", bot)
        bot.forward = Forward(there, WAY, transport)
        async with asyncio.TaskGroup() as group:
            for work in bot.forward.works(bot.write_alone, bot.ping_alone):
                group.create_task(cast("Any", work))


async def test_all_get_every_event_once_and_in_order(bus: Bus) -> None:
    log = Log(bus)
    async with bots(bus, log, 3) as all_of_them:
        sent = await store(log, 0, 100)
        await eventually(lambda: all(bot.numbers == sent for bot in all_of_them))
        sent += await store(log, 100, 100)
        await eventually(lambda: all(bot.numbers[-1:] == sent[-1:] for bot in all_of_them))
        for bot in all_of_them:
            assert bot.numbers == sent
            assert bot.direct > 0  # once they had shown that they read


async def test_one_that_does_not_acknowledge_is_left_and_comes_back(bus: Bus) -> None:
    log = Log(bus)
    async with bots(bus, log, 2) as (quick, slow):
        sent = await store(log, 0, 100)
        await eventually(lambda: slow.numbers == sent and quick.numbers == sent)
        sent += await store(log, 100, 1)
        await eventually(lambda: slow.direct > 0)
        slow.answering = False
        assert slow.forward
        room = slow.forward._ahead.room
        sent += await store(log, 101, room + 3 * NOTE_EVERY)
        await eventually(lambda: quick.numbers == sent)
        assert len(slow.numbers) < len(sent)
        slow.answering = True
        slow.forward.ponged(b"%d" % slow.forward._ahead._number)
        await eventually(lambda: slow.numbers == sent)


async def test_one_whose_system_takes_nothing_is_left(bus: Bus) -> None:
    log = Log(bus)
    async with bots(bus, log, 2) as (quick, stalled):
        sent = await store(log, 0, 100)
        await eventually(lambda: stalled.numbers == sent)
        sent += await store(log, 100, 1)
        await eventually(lambda: stalled.direct > 0)
        stalled.buffered = MOST_BUFFERED
        sent += await store(log, 101, 2 * NOTE_EVERY)
        await eventually(lambda: quick.numbers == sent and stalled.numbers == sent)
        direct = stalled.direct
        sent += await store(log, 200, 10)
        await eventually(lambda: stalled.numbers == sent)
        assert stalled.direct == direct  # each of these was waited for


async def test_after_a_goodbye_nothing_is_written_at_once(bus: Bus) -> None:
    log = Log(bus)
    async with bots(bus, log, 2) as (one, other):
        sent = await store(log, 0, 100)
        await eventually(lambda: one.numbers == sent)
        sent += await store(log, 100, 1)
        await eventually(lambda: one.direct > 0 and one.numbers == sent)
        assert one.forward
        direct = one.direct
        one.forward.stop()
        sent += await store(log, 101, 5)
        await eventually(lambda: other.numbers == sent)
        assert one.direct == direct


async def test_nothing_is_written_to_a_socket_that_is_closing(bus: Bus) -> None:
    log = Log(bus)
    async with bots(bus, log, 2) as (one, gone):
        sent = await store(log, 0, 100)
        await eventually(lambda: gone.numbers == sent)
        sent += await store(log, 100, 1)
        await eventually(lambda: gone.direct > 0 and gone.numbers == sent)
        gone.gone, direct = True, gone.direct
        sent += await store(log, 101, 5)
        await eventually(lambda: one.numbers == sent)
        assert gone.direct == direct


async def test_a_fault_in_one_translation_costs_that_event_alone(bus: Bus) -> None:
    def faulty(stored: Stored, style: Style) -> Frame:
        if stored.sequence % 7 == 0:
            raise KeyError(stored.sequence)
        return numbered(stored, style)

    async def later(stored: Stored, style: Style) -> Frame:
        return faulty(stored, style)

    log, bot = Log(bus), Bot()
    translation = Translation(later, faulty)
    async with feeds_of(bus, log, translation) as feeds, asyncio.TaskGroup() as group:
        task = group.create_task(_serve(bot, feeds, log))
        await eventually(lambda: bot.forward is not None)
        sent = [number for number in await store(log, 0, 60) if number % 7]
        await eventually(lambda: bot.numbers[-1:] == sent[-1:])
        assert bot.numbers == sent
        task.cancel()


async def test_nobody_joins_while_events_are_under_way_from_before_its_start() -> None:
    """They go to those who were there, and a broadcast asks nobody from when on it wants events."""

    def stored(sequence: int) -> Stored:
        return Stored(sequence, "", message(sequence), 0)

    feed, bot = _Feed(ACCOUNT, Translation(numbered_later, numbered), after=10), Bot()
    listener = Listener(Style("array"), 11)
    feed.add(listener)
    member = cast("Any", SimpleNamespace(write=bot.write, closing=bot.is_closing, way=WAY))
    assert not feed.join(listener, member)
    feed.put(stored(5))
    assert not feed.join(listener, member)
    feed.put(stored(11))
    assert listener.waiting == 1
    assert feed.join(listener, member)
    feed.put(stored(12))
    await eventually(lambda: bot.numbers == [12])


async def test_one_that_may_get_no_more_is_asked_how_far_it_is() -> None:
    """It became slow after much was written at once, of which the end was not asked for."""
    frame = Frame(b"{}", "message.group", "g", 1, 21, 0)
    queue = asyncio.Queue[Frame]()
    queue.put_nowait(frame)
    source = SimpleNamespace(join=lambda _: False, next=queue.get)
    forward = Forward(cast("Any", source), WAY, None)
    forward._ahead.sent(forward._ahead.size + 4)
    pings, written = list[bytes](), asyncio.Event()

    async def write(_: bytes) -> None:
        written.set()

    async def ping(payload: bytes) -> None:
        pings.append(payload)
        forward.ponged(payload)

    (work,) = forward.works(write, ping)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(work)
        await written.wait()
        task.cancel()
    assert pings
