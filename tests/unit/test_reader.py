"""The one reader: nothing lost, nothing twice, in order, whatever happens to NATS meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from nats.aio.msg import Msg
from tests.fakes.outage import eventually, frozen, kill, outage

from onebus import reader as reader_module
from onebus.bus import Bus, StreamEntry
from onebus.embedded import EmbeddedNats
from onebus.errors import BusError
from onebus.reader import SILENCE_S, Reader

STREAM = "onebus_events"


def subject(account: str, number: int) -> str:
    return f"onebus.events.00.t.{account}.notice.poked.{number}"


def everything_of(account: str) -> str:
    return f"onebus.events.00.t.{account}.>"


class Taken:
    """What a reader handed over."""

    def __init__(self) -> None:
        self.entries: list[StreamEntry] = []
        self._grew = asyncio.Event()

    def __call__(self, entry: StreamEntry) -> None:
        self.entries.append(entry)
        self._grew.set()

    @property
    def sequences(self) -> list[int]:
        return [entry.sequence for entry in self.entries]

    async def until(self, count: int, timeout_s: float = 20) -> None:
        async with asyncio.timeout(timeout_s):
            while len(self.entries) < count:
                self._grew.clear()
                await self._grew.wait()


async def store(bus: Bus, account: str, first: int, count: int, body: bytes = b"x") -> list[int]:
    """Append in order, through whatever happens."""
    numbers = range(first, first + count)
    return [await store_one(bus, subject(account, number), body) for number in numbers]


async def store_one(bus: Bus, where: str, body: bytes) -> int:
    while True:
        try:
            return await bus.store(where, body, last_sequence=0)
        except BusError:
            await bus.wait_ready(20)
            if entry := await bus.last(STREAM, where):
                return entry.sequence


async def fill(bus: Bus, account: str, count: int, size_bytes: int) -> None:
    """A backlog, many at a time."""
    for first in range(0, count, 500):
        await asyncio.gather(
            *(
                bus.store(subject(account, number), bytes(size_bytes), timeout_s=60)
                for number in range(first, min(first + 500, count))
            )
        )


async def test_entries_before_the_start_are_not_handed_over(bus: Bus) -> None:
    old = await store(bus, "a", 0, 10)
    taken = Taken()
    async with Reader(bus, STREAM, [everything_of("a")], taken, start=old[7]) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        assert taken.sequences == old[7:]
        new = await store(bus, "a", 10, 5)
        await taken.until(8)
    assert taken.sequences == old[7:] + new


async def test_nats_killed_under_load_loses_and_repeats_nothing(
    nats: EmbeddedNats, bus: Bus
) -> None:
    taken = Taken()
    async with (
        Reader(bus, STREAM, [everything_of("a")], taken, start=1) as reader,
        asyncio.TaskGroup() as group,
    ):
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        storing = group.create_task(store(bus, "a", 0, 900))
        for most in (200, 500):
            await taken.until(most)
            await kill(nats)
            await nats.start()
        appended = await storing
        await taken.until(len(appended))
    assert taken.sequences == appended == sorted(set(appended))


async def test_an_idle_reader_gets_none_of_the_old_entries_after_a_restart(
    nats: EmbeddedNats, bus: Bus
) -> None:
    old = await store(bus, "a", 0, 500)
    taken = Taken()
    async with Reader(bus, STREAM, [everything_of("a")], taken, start=old[-1] + 1) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        async with outage(nats, bus):
            ready_at = time.monotonic()
        new = await store(bus, "a", 500, 1)
        await taken.until(1)
        assert time.monotonic() - ready_at < 2
    assert taken.sequences == new


async def test_a_new_connection_is_followed_at_once(nats: EmbeddedNats, bus: Bus) -> None:
    taken = Taken()
    async with Reader(bus, STREAM, [everything_of("a")], taken, start=1) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        delays = []
        for number in range(3):
            await kill(nats)
            await eventually(lambda: not bus.ready.is_set())
            await nats.start()
            await bus.wait_ready(10)
            ready_at = time.monotonic()
            await store(bus, "a", number, 1)
            await taken.until(number + 1)
            delays.append(time.monotonic() - ready_at)
    assert max(delays) < SILENCE_S / 2  # by the connection, not by its silence


async def test_a_big_backlog_arrives_whole_and_in_order(bus: Bus) -> None:
    await fill(bus, "a", 30_000, 1000)
    taken = Taken()
    lost = asyncio.Event()
    bus._client._disconnected_cb = _noting(lost)
    async with Reader(bus, STREAM, [everything_of("a")], taken, start=1) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 30)
        assert len(taken.entries) == 30_000
        assert taken.sequences == list(range(taken.sequences[0], taken.sequences[0] + 30_000))
        assert reader._generation == 1  # it was never made anew
    assert not lost.is_set()


async def test_a_fault_with_one_entry_costs_that_entry_alone(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    taken = Taken()

    def take(entry: StreamEntry) -> None:
        if entry.body == b"faulty":
            raise ValueError
        taken(entry)

    async with Reader(bus, STREAM, [everything_of("a")], take, start=1) as reader:
        await reader.all_read()
        first = await store(bus, "a", 0, 2)
        await store(bus, "a", 2, 1, body=b"faulty")
        rest = await store(bus, "a", 3, 2)
        await taken.until(4)
        assert taken.sequences == first + rest
        assert bus.connected
    faults = [record for record in caplog.records if record.exc_info]
    assert [record.message for record in faults] == [f"fault in an entry of {STREAM}"]


async def test_a_slow_reader_is_not_cut_off_with_64_mib_waiting(bus: Bus) -> None:
    await fill(bus, "a", 90, 1 << 20)
    taken = Taken()
    lost = asyncio.Event()
    bus._client._disconnected_cb = _noting(lost)

    def slowly(entry: StreamEntry) -> None:
        time.sleep(0.005)
        taken(StreamEntry(entry.subject, entry.sequence, b"", {}))

    async with Reader(bus, STREAM, [everything_of("a")], slowly, start=1) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 30)
    assert len(taken.sequences) == 90
    assert taken.sequences == sorted(taken.sequences)
    assert not lost.is_set()


async def test_filters_changed_under_load_lose_and_repeat_nothing(bus: Bus) -> None:
    taken = Taken()
    async with (
        Reader(bus, STREAM, [everything_of("a")], taken, start=1) as reader,
        asyncio.TaskGroup() as group,
    ):
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        storing = group.create_task(store(bus, "a", 0, 2000))
        others = group.create_task(store(bus, "noise", 0, 2000))
        for number in range(12):
            await taken.until((number + 1) * 100)
            more = [everything_of(f"b{other}") for other in range(number % 3)]
            reader.set_filters([everything_of("a"), *more])
        appended = await storing
        await others
        await taken.until(len(appended))
    assert taken.sequences == appended
    assert reader._generation > 3


async def test_an_account_that_is_added_misses_nothing_from_then_on(bus: Bus) -> None:
    """Entries of another account that arrive late must not move the reader past the new one's."""
    taken = Taken()
    async with (
        Reader(bus, STREAM, [everything_of("a")], taken, start=1) as reader,
        asyncio.TaskGroup() as group,
    ):
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        busy = group.create_task(store(bus, "a", 0, 3000))
        expected = []
        for number in range(8):
            await taken.until(number * 200 + 50)
            accounts = [everything_of(name) for name in ("a", *map(str, range(number + 1)))]
            reader.set_filters(accounts)
            expected += await store(bus, str(number), 0, 3)
        await busy
        await taken.until(3000 + len(expected))
    others = [e.sequence for e in taken.entries if ".t.a." not in e.subject]
    assert others == expected


async def test_what_is_on_its_way_when_filters_change_is_read_again_and_not_passed_by(
    bus: Bus,
) -> None:
    taken = Taken()
    async with Reader(bus, STREAM, [everything_of("a")], taken, start=1) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        handled = reader.handled
        reader.set_filters([everything_of("a"), everything_of("b")])
        # A frame of the old consumer, already in this process when the filters changed.
        reply = f"$JS.ACK.{STREAM}.c.1.{handled + 9}.1.0.0"
        inbox = next(s for s in bus._client._subs.values() if "*" not in s.subject)
        assert inbox._cb
        await inbox._cb(Msg(bus._client, subject("a", 9), reply, b"x", None))
        assert reader.handled == handled
        assert taken.entries == []


async def test_without_filters_nothing_is_read_until_there_are_some(bus: Bus) -> None:
    old = await store(bus, "a", 0, 3)
    taken = Taken()
    async with Reader(bus, STREAM, [], taken, start=1) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        reader.skip_to(old[-1])
        reader.set_filters([everything_of("a")])
        assert not reader.caught_up.is_set()
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        new = await store(bus, "a", 3, 2)
        await taken.until(2)
        reader.skip_to(new[-1] + 100)  # ignored: it would pass entries by
        assert reader.handled == new[-1]
    assert taken.sequences == new


async def test_a_gap_in_the_consumers_sequence_is_read_again(bus: Bus) -> None:
    taken = Taken()
    async with Reader(bus, STREAM, [everything_of("a")], taken, start=1) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        first = await store(bus, "a", 0, 3)
        await taken.until(3)
        with losing(bus, 2):
            more = await store(bus, "a", 3, 5)
            await taken.until(8)
    assert taken.sequences == first + more
    assert reader._generation >= 2


async def test_a_lost_tail_shows_at_the_next_heartbeat(bus: Bus) -> None:
    taken = Taken()
    async with Reader(bus, STREAM, [everything_of("a")], taken, start=1) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        with losing(bus, 3):
            appended = await store(bus, "a", 0, 3)  # nothing follows that could show the gap
            await taken.until(3, 5)
    assert taken.sequences == appended


async def test_a_consumer_that_fell_silent_is_made_anew(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "SILENCE_S", 1.5)
    taken = Taken()
    async with Reader(bus, STREAM, [everything_of("a")], taken, start=1) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        consumers = (await bus.api(f"CONSUMER.NAMES.{STREAM}"))["consumers"]
        for name in consumers:
            await bus.api(f"CONSUMER.DELETE.{STREAM}.{name}")
        appended = await store(bus, "a", 0, 3)
        await taken.until(3, 6)
    assert taken.sequences == appended


async def test_a_frozen_server_delays_and_loses_nothing(nats: EmbeddedNats, bus: Bus) -> None:
    taken = Taken()
    async with Reader(bus, STREAM, [everything_of("a")], taken, start=1) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        first = await store(bus, "a", 0, 3)
        async with frozen(nats):
            generation = reader._generation
            await eventually(lambda: reader._generation > generation, 10)
        more = await store(bus, "a", 3, 3)
        await taken.until(6)
    assert taken.sequences == first + more


async def test_forged_frames_are_not_handed_over(nats: EmbeddedNats, bus: Bus) -> None:
    """Whoever guessed the inbox could write to it; what is no next frame changes nothing."""
    taken = Taken()
    async with (
        Bus(nats.options(), "forger") as forger,
        Reader(bus, STREAM, [everything_of("a")], taken, start=1) as reader,
    ):
        await forger.wait_ready(5)
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        first = await store(bus, "a", 0, 2)
        await taken.until(2)
        inbox = next(s.subject for s in bus._client._subs.values() if "*" not in s.subject)
        await forger.publish(inbox, b"no reply subject")
        for reply in ("x", "$JS.ACK.x", f"$JS.ACK.{STREAM}.c.1.99.77.0.0", "$JS.ACK.a.b.c.d.e.f.g"):
            await forger._client.publish(inbox, b"forged", reply=reply)
        await forger._client.publish(inbox, b"", headers={"Status": "100 Idle"})
        more = await store(bus, "a", 2, 3)
        await taken.until(5)
    assert taken.sequences == first + more


async def test_catching_up_ends_also_when_what_was_waiting_is_removed(bus: Bus) -> None:
    await fill(bus, "a", 5000, 1000)
    purging: list[asyncio.Task[object]] = []

    def on_entry(_: StreamEntry) -> None:
        if not purging:
            purging.append(asyncio.ensure_future(bus.api(f"STREAM.PURGE.{STREAM}")))

    async with Reader(bus, STREAM, [everything_of("a")], on_entry, start=1) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 6)
    await purging[0]


async def test_no_consumer_is_left_behind(bus: Bus) -> None:
    for _ in range(3):
        async with Reader(bus, STREAM, [everything_of("a")], Taken(), start=1) as reader:
            await asyncio.wait_for(reader.caught_up.wait(), 5)
    assert not (await bus.api(f"CONSUMER.NAMES.{STREAM}"))["consumers"]


async def test_a_reader_may_start_before_nats(nats: EmbeddedNats, bus: Bus) -> None:
    stored = await store(bus, "a", 0, 2)
    await kill(nats)
    taken = Taken()
    async with (
        Bus(nats.options(), "early") as early,
        Reader(early, STREAM, [everything_of("a")], taken, start=1) as reader,
    ):
        await eventually(lambda: bool(early._troubles.last))
        await nats.start()
        await asyncio.wait_for(reader.caught_up.wait(), 10)
    assert taken.sequences == stored


@contextmanager
def losing(bus: Bus, count: int) -> Iterator[None]:
    """The connection loses this many frames of readers, as a slow consumer does."""
    takers = bus._client._takers
    left = count

    def losing_some(take: Callable[[Msg], None]) -> Callable[[Msg], None]:
        def taken(message: Msg) -> None:
            nonlocal left
            if left and message.reply.startswith("$JS.ACK"):
                left -= 1
            else:
                take(message)

        return taken

    takers.update({number: losing_some(take) for number, take in takers.items()})
    yield
    assert not left


def _noting(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def note() -> None:
        event.set()

    return note
