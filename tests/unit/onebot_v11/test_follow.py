"""From the log to now: every event after the given one, once, in order, at any speed."""

import asyncio

import pytest
from tests.fakes.followed import feeds_of, following, store
from tests.fakes.outage import outage

from frontends.onebot_v11 import feed as feed_module
from frontends.onebot_v11 import follow as follow_module
from frontends.onebot_v11.feed import Feeds
from frontends.onebot_v11.follow import Following
from onebus import log as log_module
from onebus.bus import Bus
from onebus.embedded import EmbeddedNats
from onebus.ids import Account, AccountId, Platform
from onebus.log import Log

OTHER = Account(Platform("telegram"), AccountId("other"))


async def take(where: Following, count: int, timeout_s: float = 30) -> list[int]:
    async with asyncio.timeout(timeout_s):
        return [(await where.next()).sequence for _ in range(count)]


async def test_from_now_on_nothing_old_comes(bus: Bus) -> None:
    log = Log(bus)
    await store(log, 0, 5)
    async with feeds_of(bus, log) as feeds, following(feeds, log, None) as there:
        new = await store(log, 5, 3)
        assert await take(there, 3) == new
        assert there.live


async def test_what_is_stored_comes_first_and_then_what_happens_now(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module.Log.page, "__kwdefaults__", {"limit": 7})
    log = Log(bus)
    old = await store(log, 0, 50)
    await store(log, 50, 50, OTHER)
    async with feeds_of(bus, log) as feeds, following(feeds, log, old[9]) as there:
        assert not there.live
        assert await take(there, 20) == old[10:30]
        new = await store(log, 100, 10)
        assert await take(there, 30) == old[30:] + new
        assert (there.live, there.behind) == (True, 0)


@pytest.mark.parametrize("patient", [True, False])
async def test_events_that_come_while_it_catches_up_have_no_gap(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    """More than a listener holds arrive meanwhile; the reader is never cut off for that."""
    monkeypatch.setattr(feed_module, "LISTENER_SIZE", 50)
    log = Log(bus)
    old = await store(log, 0, 400)
    async with (
        feeds_of(bus, log) as feeds,
        following(feeds, log, old[0] - 1, patient=patient) as there,
        asyncio.TaskGroup() as group,
    ):
        storing = group.create_task(store(log, 400, 300))
        assert await take(there, 700) == old + await storing


@pytest.mark.parametrize("patient", [True, False])
async def test_a_slow_one_misses_nothing_and_queues_little(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    monkeypatch.setattr(feed_module, "LISTENER_SIZE", 10)
    log = Log(bus)
    async with feeds_of(bus, log) as feeds, following(feeds, log, None, patient=patient) as there:
        appended = await store(log, 0, 120)
        assert await take(there, 120) == appended
        assert not there.overflow.is_set()
        new = await store(log, 120, 5)
        assert await take(there, 5) == new


async def test_one_that_is_late_without_patience_is_told_so(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "LISTENER_SIZE", 10)
    monkeypatch.setattr(follow_module, "LATE_S", 0)
    log = Log(bus)
    async with (
        feeds_of(bus, log) as feeds,
        following(feeds, log, None, patient=False) as there,
        asyncio.TaskGroup() as group,
    ):
        appended = await store(log, 0, 120)
        await asyncio.wait_for(feeds_idle(feeds), 10)
        taken: list[int] = []

        async def read() -> None:
            while True:
                taken.append((await there.next()).sequence)

        reading = group.create_task(read())
        await asyncio.wait_for(there.overflow.wait(), 10)
        reading.cancel()
        assert taken == appended[:10]


class Overtaken(Log):
    """One answer to where the log ends is `held` until it is let go, and is old by then."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.held = asyncio.Event()
        self.let_go = asyncio.Event()

    async def end(self) -> int:
        end = await super().end()
        if not self.held.is_set():
            self.held.set()
            await self.let_go.wait()
        return end


async def test_of_bots_that_come_together_none_misses_what_is_stored_meanwhile(bus: Bus) -> None:
    """One asks for the end, an event is stored, and another begins to listen behind that."""
    log = Overtaken(bus)
    old = await store(log, 0, 3)
    async with feeds_of(bus, log) as feeds, asyncio.TaskGroup() as group:
        first = following(feeds, log, old[-1])
        entering = group.create_task(first.__aenter__())
        await log.held.wait()
        between = await store(log, 3, 1)
        async with following(feeds, log, old[-1]) as second:
            log.let_go.set()
            await entering
            new = await store(log, 4, 3)
            assert await take(second, 4) == between + new
            assert await take(first, 4, 10) == between + new
        await first.__aexit__()


async def feeds_idle(feeds: Feeds) -> None:
    while not all(feed.idle for feed in feeds._feeds.values()):
        await asyncio.sleep(0)


async def test_a_cancelled_wait_costs_nothing(bus: Bus) -> None:
    log = Log(bus)
    old = await store(log, 0, 30)
    async with feeds_of(bus, log) as feeds, following(feeds, log, old[0] - 1) as there:
        taken: list[int] = []
        while len(taken) < 30:
            asking = asyncio.ensure_future(there.next())
            await asyncio.sleep(0)
            if asking.cancel():
                await asyncio.wait([asking])
            if not asking.cancelled():
                taken.append(asking.result().sequence)
                continue
            taken.append((await there.next()).sequence)
        assert taken == old


async def test_nats_killed_under_load_is_waited_out(nats: EmbeddedNats, bus: Bus) -> None:
    log = Log(bus)
    old = await store(log, 0, 200)
    async with (
        feeds_of(bus, log) as feeds,
        following(feeds, log, old[0] - 1) as there,
        asyncio.TaskGroup() as group,
    ):
        taken = await take(there, 100)
        storing = group.create_task(store(log, 200, 100))
        async with outage(nats, bus):
            pass
        appended = old + await storing
        taken += await take(there, len(appended) - 100)
        assert taken == appended


async def test_what_others_do_moves_an_idle_one_on(bus: Bus) -> None:
    """Its place in the log must not stay where entries are evicted that were never its own."""
    log = Log(bus)
    async with feeds_of(bus, log) as feeds, following(feeds, log, None) as there:
        mine = await store(log, 0, 1)
        assert await take(there, 1) == mine
        others = await store(log, 0, 50, OTHER)
        async with asyncio.timeout(5):
            while there.settled < others[-1]:
                await asyncio.sleep(0.05)
        assert there.behind == 0
