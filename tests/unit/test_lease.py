"""One owner at a time, on real time: the constants are those of production."""

import asyncio
import time

import pytest
from tests.fakes.lease_process import KEY, processes
from tests.fakes.outage import eventually, outage

from onebus import lease as lease_module
from onebus import renewal
from onebus.bucket import Bucket, Entry
from onebus.bus import Bus
from onebus.embedded import EmbeddedNats
from onebus.errors import BusUnavailable
from onebus.renewal import OWNED_S, TAKEOVER_S, boot_time_s


async def test_a_claim_has_one_owner_and_a_clean_stop_hands_over_at_once(
    nats: EmbeddedNats, bus: Bus
) -> None:
    async with processes(nats, "a", "b") as (a, b):
        a.run(KEY)
        await a.owns(3)
        b.run(KEY)
        await eventually(lambda: b.own._revision > 0)
        assert not b.lease.owned(KEY)
        started_at = time.monotonic()
        await a.lease.release()
        assert not a.lease.owned(KEY)
        await b.owns(1.5)
        print(f"handed over in {time.monotonic() - started_at:.2f} s")
        assert not a.working[KEY].is_set()


async def test_many_claims_and_two_processes_each_claim_once(nats: EmbeddedNats, bus: Bus) -> None:
    keys = [f"account.t.{number}" for number in range(20)]
    async with processes(nats, "a", "b", keys=keys) as (a, b):
        a.run(*keys)
        b.run(*keys)
        await eventually(lambda: all(a.lease.owned(k) != b.lease.owned(k) for k in keys), 5)
        await a.lease.release()
        await eventually(lambda: all(b.working[k].is_set() for k in keys), 2)


async def test_a_write_that_gets_no_answer_holds_up_no_other_claim(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the node that had it dies: it is waited for, and the others are not behind it."""
    keys = [f"account.t.{number}" for number in range(3 * lease_module.AT_ONCE)]
    monkeypatch.setattr("onebus.shares.LEAST_STEP", len(keys))
    async with processes(nats, "a", keys=keys) as (a,):
        create, held_up = a.lease._bucket.create, asyncio.Event()
        first: list[str] = []

        async def unanswered(key: str, value: bytes) -> int:
            if not first:
                first.append(key)
                await held_up.wait()
            return await create(key, value)

        monkeypatch.setattr(a.lease._bucket, "create", unanswered)
        a.run(*keys)
        await eventually(lambda: a.held(keys) == len(keys) - 1)
        held_up.set()
        await eventually(lambda: a.held(keys) == len(keys))


async def test_a_killed_owner_is_replaced_when_its_session_is_gone_and_not_before(
    nats: EmbeddedNats, bus: Bus
) -> None:
    async with processes(nats, "a", "b") as (a, b):
        a.run(KEY)
        b.run()
        b.working[KEY] = asyncio.Event()
        await a.owns(3)
        b._tasks.append(asyncio.ensure_future(b.lease.hold(KEY, b._work(KEY))))
        await eventually(lambda: boot_time_s() - b.own._good_since > TAKEOVER_S)
        assert not b.lease.owned(KEY)
        session, sessions = a.lease.session, Bucket(bus, "sessions")
        await a.kill()
        killed_at = time.monotonic()
        while session in await sessions.keys_now():
            assert not b.lease.owned(KEY)
        await b.owns()
        took_s = time.monotonic() - killed_at
        print(f"taken over {took_s:.1f} s after the kill")
        assert took_s < 8


async def test_a_lost_session_is_replaced_and_the_claims_are_kept(
    nats: EmbeddedNats, bus: Bus
) -> None:
    async with processes(nats, "a", "b") as (a, b):
        a.run(KEY)
        await a.owns(3)
        b.run(KEY)
        first = a.lease.session
        await Bucket(bus, "sessions").put(first, b"somebody else wrote")
        await eventually(lambda: a.lease.session != first and a.lease.owned(KEY), 5)
        assert (a.started, b.started) == (1, 0)
        entry = await Bucket(bus, "claims").get(KEY)
        assert entry
        assert entry.value.decode() == a.lease.session


async def test_under_a_new_session_nothing_is_owned_until_it_is_claimed_again(
    nats: EmbeddedNats, bus: Bus
) -> None:
    """After an absence another may have the claim by now, and we may not have heard of it."""
    async with processes(nats, "a") as (a,):
        a.run(KEY)
        await a.owns(3)
        a.own.past.append(a.own.id)
        a.own.id = a.own._draw()
        assert not a.lease.owned(KEY)
        await eventually(lambda: a.lease.owned(KEY), 5)
        assert a.started == 1


async def test_nats_away_for_ten_seconds_moves_nothing(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All sessions are gone after it; who comes back first must not take what is another's."""
    keys = [f"account.t.{number}" for number in range(5)]
    async with processes(nats, "a", "b", keys=keys) as (a, b):
        a.run(*keys)
        await eventually(lambda: all(a.working[k].is_set() for k in keys), 5)
        b.run(*keys)
        await eventually(lambda: boot_time_s() - b.own._good_since > TAKEOVER_S)
        renew, may_renew = a.own._renew, asyncio.Event()

        async def renew_later() -> None:
            if not may_renew.is_set():
                raise BusUnavailable("still without a connection")
            await renew()

        async with outage(nats, a.bus, b.bus):
            await eventually(lambda: not any(a.lease.owned(k) for k in keys), OWNED_S + 1)
            monkeypatch.setattr(a.own, "_renew", renew_later)
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=6)
        back_at = boot_time_s()
        await eventually(lambda: b.sessions.listed_at_s > back_at + 2)
        may_renew.set()
        await eventually(lambda: all(a.lease.owned(k) for k in keys), 5)
        await eventually(lambda: b.own._good_since > 0)
        settled_at = boot_time_s()
        await eventually(lambda: boot_time_s() - settled_at > TAKEOVER_S + 1)
        assert (a.started, b.started) == (5, 0)


async def test_nothing_is_owned_once_renewals_stop_whatever_timers_say(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with processes(nats, "a") as (a,):
        a.run(KEY)
        await a.owns(3)
        assert a.lease.owned(KEY)
        now_s = boot_time_s()
        monkeypatch.setattr(renewal, "boot_time_s", lambda: now_s + OWNED_S + 2)
        assert not a.lease.owned(KEY)  # no timer had a chance to run


async def test_a_missed_renewal_starts_the_waiting_time_anew(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that slept finds all sessions gone, and their owners waking up like itself."""
    async with processes(nats, "a") as (a,):
        a.run(KEY)
        await a.owns(3)
        asleep_s = 100.0
        monkeypatch.setattr(
            renewal, "boot_time_s", lambda: time.clock_gettime(time.CLOCK_BOOTTIME) + asleep_s
        )
        await eventually(lambda: a.lease.owned(KEY), 5)
        assert renewal.boot_time_s() - a.own._good_since < TAKEOVER_S


async def test_a_claim_newer_than_the_last_look_at_the_sessions_is_left_alone(
    nats: EmbeddedNats, bus: Bus
) -> None:
    async with processes(nats, "a") as (a,):
        a.own._good_since = boot_time_s() - 100
        a.own._revision, a.own._renewed_at = 1, boot_time_s()
        a.sessions.live, a.sessions.listed_at_s = {"t.other"}, boot_time_s()
        a.lease._on_claim(KEY, Entry(KEY, b"t.just-started", 5))
        claim = a.lease._claims[KEY]
        assert not a.lease._free(claim)
        a.sessions.listed_at_s = boot_time_s()
        assert a.lease._free(claim)
        a.sessions.live = {"t.just-started"}
        assert not a.lease._free(claim)


async def test_the_only_process_of_its_kind_takes_over_at_once(
    nats: EmbeddedNats, bus: Bus
) -> None:
    async with processes(nats, "a", "b", exclusive="up") as (a, b):
        a.run(KEY)
        await a.owns(3)
        await a.kill()
        started_at = time.monotonic()
        b.run(KEY)
        await b.owns(2)
        print(f"taken over {time.monotonic() - started_at:.2f} s after the start")


async def test_a_claim_that_another_wrote_is_lost(nats: EmbeddedNats, bus: Bus) -> None:
    async with processes(nats, "a") as (a,):
        a.run(KEY)
        await a.owns(3)
        await Bucket(bus, "sessions").create("t.thief", b"t")
        await Bucket(bus, "claims").put(KEY, b"t.thief")
        await eventually(lambda: not a.working[KEY].is_set(), 3)
        assert not a.lease.owned(KEY)


async def test_a_claim_won_while_stopping_is_given_back(nats: EmbeddedNats, bus: Bus) -> None:
    async with processes(nats, "a") as (a,):
        a.run()
        await eventually(lambda: a.own._revision > 0)
        a.lease._stopping = True
        await a.lease._write(a.lease._claims[KEY])
        assert not a.lease.owned(KEY)
        entry = await Bucket(bus, "claims").get(KEY)
        assert entry
        assert entry.value.decode() == f"left {a.lease.session}"


@pytest.fixture
def settled_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims move as soon as NATS has been there for long enough; the rest is as it is."""
    monkeypatch.setattr(lease_module, "SETTLE_S", 0.5)


@pytest.mark.usefixtures("settled_soon")
async def test_who_joins_late_gets_a_share_after_its_work_was_left_and_has_ended(
    nats: EmbeddedNats, bus: Bus
) -> None:
    keys = [f"account.t.{number}" for number in range(10)]
    async with processes(nats, "a", "b", keys=keys) as (a, b):
        a.run(*keys)
        await eventually(lambda: a.held(keys) == 10)
        await eventually(a.own.steady)
        a.busy = True
        b.run(*keys)
        await eventually(lambda: a.events.count("busy") > 1)
        assert (a.held(keys), b.held(keys)) == (10, 0)
        a.busy = False
        while b.held(keys) < 5:
            assert not any(a.working[k].is_set() and b.working[k].is_set() for k in keys)
            assert not any(a.lease.owned(k) and b.lease.owned(k) for k in keys)
            await asyncio.sleep(0.005)
        events = [event.split()[0] for event in a.events if event != "busy"]
        assert events == ["left", "ended"] * 5
        await eventually(b.own.steady)
        assert (a.held(keys), b.held(keys)) == (5, 5)
        assert a.started + b.started == 15


@pytest.mark.usefixtures("settled_soon")
async def test_who_wants_other_claims_is_no_reason_to_hand_any_over(
    nats: EmbeddedNats, bus: Bus
) -> None:
    keys = [f"account.t.{number}" for number in range(4)]
    async with processes(nats, "a", keys=keys) as (a,), processes(nats, "b", keys=keys[:1]) as (b,):
        a.run(*keys)
        await eventually(lambda: a.held(keys) == 4)
        b.run(keys[0])
        await eventually(lambda: a.own.steady() and b.own.steady())
        await eventually(lambda: boot_time_s() - a.lease._same_since_s > 2)
        assert a.held(keys) == 4
        assert a.events == []
        await a.lease.release()
        await b.owns(2, keys[0])


async def test_a_session_that_was_renewed_anew_moves_no_claim(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old key is still listed for a while, like that of one replica more."""
    settle_s = lease_module.SETTLE_S
    monkeypatch.setattr(lease_module, "SETTLE_S", 0.5)
    keys = [f"account.t.{number}" for number in range(6)]
    async with processes(nats, "a", "b", keys=keys) as (a, b):
        a.run(*keys)
        b.run(*keys)
        await eventually(lambda: a.held(keys) + b.held(keys) == 6)
        await eventually(lambda: a.own.steady() and b.own.steady())
        await eventually(lambda: a.held(keys) == b.held(keys) == 3)
        monkeypatch.setattr(lease_module, "SETTLE_S", settle_s)
        a.events.clear()
        b.events.clear()
        first = a.own.id
        await Bucket(bus, "sessions").put(first, b"somebody else wrote")
        await eventually(lambda: a.own.id != first and a.held(keys) == 3)
        assert first in await Bucket(bus, "sessions").keys_now()
        await eventually(lambda: first not in b.sessions.live)
        await eventually(a.own.steady)
        assert (a.held(keys), b.held(keys)) == (3, 3)
        assert a.events == b.events == []


async def test_who_was_suspended_with_all_others_takes_nothing_before_it_has_renewed(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All sessions are gone then, and an old look at the clock says that NATS was always there."""
    async with processes(nats, "a") as (a,):
        a.run()
        await eventually(a.own.steady)
        now_s = boot_time_s()
        monkeypatch.setattr(renewal, "boot_time_s", lambda: now_s + 20)
        assert not a.own.steady()
        assert not a.own.fresh()


async def test_a_stalled_loop_owns_nothing_when_it_goes_on(nats: EmbeddedNats, bus: Bus) -> None:
    async with processes(nats, "a") as (a,):
        a.run(KEY)
        await a.owns(3)
        time.sleep(OWNED_S + 1)
        assert not a.lease.owned(KEY)  # no task has run in between
        await eventually(lambda: a.lease.owned(KEY), 5)
        assert a.started == 1
