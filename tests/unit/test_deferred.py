"""The queue of deferred actions on a real server: in order, once, whatever dies."""

import asyncio
import logging
import time

import pytest
from tests.fakes.deferred_owner import (
    ACCOUNT,
    CURSOR,
    LOGGER,
    Owner,
    entries,
    put,
    send,
    serving,
    settled,
)

from onebus import deferred, subjects
from onebus.action import SendMessage
from onebus.arrivals import Arrivals
from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.codec import encode
from onebus.deferred import WINDOW, Deferred, DeferredQueue
from onebus.embedded import EmbeddedNats
from onebus.errors import BadParams, BusUnavailable, ErrorData, RateLimited
from onebus.event import group_chat
from onebus.ids import Account, AccountId, ChatId, Platform
from onebus.segment import Text
from onebus.setup import Storage, set_up, wanted

OTHER = Account(Platform("sandbox"), AccountId("other"))


async def test_each_has_its_turn_in_order_at_the_interval(bus: Bus) -> None:
    await put(bus, *range(5), interval_ms=60)
    owner = Owner()
    began_s = time.monotonic()
    async with serving(bus, owner):
        await owner.has_started(5)
        assert await settled(bus, 5) == ["ok"] * 5
    assert owner.started == [0, 1, 2, 3, 4]
    gaps = [b - a for a, b in zip([began_s, *owner.times_s], owner.times_s, strict=False)]
    assert min(gaps) >= 0.055


async def consumers(bus: Bus) -> int:
    """How many readers the stream has."""
    info = await bus.api(f"STREAM.INFO.{bus.prefix}_deferred")
    return int(info["state"]["consumer_count"])


async def test_a_queue_in_which_nothing_waits_has_no_reader_of_its_own(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferred, "LINGER_S", 0.05)
    owner = Owner()
    async with serving(bus, owner):
        for number in range(3):
            await put(bus, number)
            await owner.has_started(number + 1)
            async with asyncio.timeout(15):
                while await consumers(bus) > 1:
                    await asyncio.sleep(0.02)
    assert owner.started == [0, 1, 2]


async def test_who_becomes_the_owner_later_knows_what_came_before(bus: Bus) -> None:
    arrivals = Arrivals(bus, ACCOUNT.platform, [ACCOUNT, OTHER])
    owner = Owner()
    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        watching = group.create_task(arrivals.run())
        await put(bus, 1)
        await arrivals.of(ACCOUNT).reaches(1)
        assert arrivals.of(OTHER).last == 0
        queue = DeferredQueue(bus, ACCOUNT, owner, arrivals.of(ACCOUNT), LOGGER)
        serving_it = group.create_task(queue.run())
        await owner.has_started(1)
        watching.cancel()
        serving_it.cancel()


async def test_one_at_a_time(bus: Bus) -> None:
    owner = Owner()
    owner.hangs_at = 1
    await put(bus, 1, 2)
    async with serving(bus, owner):
        await owner.has_started(1)
        await put(bus, 3)  # whatever time passes here, the first is not answered
        assert owner.started == [1]
        owner.answers.set()
        await owner.has_started(3)
    assert owner.started == [1, 2, 3]


async def test_a_long_queue_does_not_have_to_fit_into_memory(bus: Bus) -> None:
    owner = Owner()
    numbers = list(range(3 * WINDOW + 5))
    await put(bus, *numbers)
    async with serving(bus, owner):
        await owner.has_started(len(numbers))
        await put(bus, 1000)
        await owner.has_started(len(numbers) + 1)
    assert owner.started == [*numbers, 1000]


async def test_what_was_cut_short_is_reported_and_never_repeated(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    await put(bus, 1, 2, 3, 4)
    first = Owner()
    first.hangs_at = 2
    async with serving(bus, first):
        await first.has_started(2)
    second = Owner()
    async with serving(bus, second):
        await second.has_started(2)
        assert await settled(bus, 4) == ["ok", "outcome_unknown", "ok", "ok"]
    assert first.started == [1, 2]
    assert second.started == [3, 4]
    assert caplog.text.count("was cut short when its owner ended") == 1


async def test_what_was_finished_is_neither_reported_nor_repeated(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    await put(bus, 1)
    async with serving(bus, Owner()):
        await settled(bus, 1)
    second = Owner()
    await put(bus, 2)
    async with serving(bus, second):
        await settled(bus, 2)
    assert second.started == [2]
    assert "cut short" not in caplog.text


async def test_a_fenced_owner_starts_nothing_and_loses_nothing(bus: Bus) -> None:
    owner = Owner()
    owner.open = False
    await put(bus, 1, 2)
    async with serving(bus, owner):
        bucket = Bucket(bus, "cursors")
        async with asyncio.timeout(15):
            while owner.refused < 2:
                assert await bucket.get(CURSOR) is None
        owner.fenced, owner.open = True, True
        async with asyncio.timeout(15):  # the cursor moves, and the fence falls before the call
            while await bucket.get(CURSOR) is None:
                pass
        assert owner.started == []
        owner.fenced = False
        await owner.has_started(2)
    assert owner.started == [1, 2]


async def test_two_owners_at_once_start_each_action_once(bus: Bus) -> None:
    numbers = list(range(40))
    await put(bus, *numbers)
    one, two = Owner(), Owner()
    async with serving(bus, one), serving(bus, two):
        await settled(bus, len(numbers))
    assert sorted(one.started + two.started) == numbers
    assert one.started == sorted(one.started)
    assert two.started == sorted(two.started)


async def test_what_is_no_action_of_the_account_is_dropped_and_counted(bus: Bus) -> None:
    prefix = f"{bus.prefix}."
    forged = Deferred(account=OTHER, id="x", action=send(9), interval_ms=0)
    await bus.store(prefix + subjects.deferred(ACCOUNT, "x"), encode(forged))
    moved = Deferred(account=ACCOUNT, id="y", action=send(9), interval_ms=0)
    await bus.store(prefix + subjects.deferred(ACCOUNT, "z"), encode(moved))
    await bus.store(prefix + subjects.deferred(ACCOUNT, "bad"), b"[" * 5000)
    newer = Deferred(account=ACCOUNT, id="v", action=send(9), interval_ms=0, v=99)
    await bus.store(prefix + subjects.deferred(ACCOUNT, "v"), encode(newer))
    await deferred.put(bus, OTHER, send(8), interval_ms=0)
    await put(bus, 1)
    owner = Owner()
    async with serving(bus, owner) as queue:
        await owner.has_started(1)
    assert owner.started == [1]
    assert queue.dropped == 4


async def test_a_failure_is_logged_without_the_message(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    owner = Owner()
    owner.error = ErrorData("forbidden", "muted in this group")
    await put(bus, 1)
    async with serving(bus, owner):
        assert await settled(bus, 1) == ["forbidden"]
    assert "deferred send_message: forbidden: muted in this group" in caplog.text
    assert "text 1" not in caplog.text


async def test_a_full_queue_refuses_and_finishes_what_it_has(bus: Bus) -> None:
    name = f"{bus.prefix}_deferred"
    config = (await bus.api(f"STREAM.INFO.{name}"))["config"]
    await bus.api(f"STREAM.UPDATE.{name}", config | {"max_msgs": 2})
    await put(bus, 1, 2)
    with pytest.raises(RateLimited, match="too many calls wait"):
        await put(bus, 3)
    owner = Owner()
    async with serving(bus, owner):
        assert await settled(bus, 2) == ["ok", "ok"]
    assert owner.started == [1, 2]


async def test_what_cannot_be_kept_is_refused(bus: Bus, nats: EmbeddedNats) -> None:
    huge = SendMessage(group_chat(ChatId("lobby")), (Text("x" * (7 << 20)),))
    with pytest.raises(BadParams, match="at most"):
        await deferred.put(bus, ACCOUNT, huge, interval_ms=0)
    await bus.api(f"STREAM.DELETE.{bus.prefix}_deferred")
    with pytest.raises(BusUnavailable, match="onebus bus setup"):
        await put(bus, 1)
    await nats.stop()
    with pytest.raises(BusUnavailable):
        await put(bus, 1)


async def test_an_older_installation_gets_the_queue(bus: Bus) -> None:
    name = f"{bus.prefix}_deferred"
    await bus.api(f"STREAM.DELETE.{name}")
    assert f"created {name}" in await set_up(bus, Storage())
    await put(bus, 1)
    config = (await bus.api(f"STREAM.INFO.{name}"))["config"]
    await bus.api(f"STREAM.UPDATE.{name}", config | {"max_msgs": 7, "max_age": 10**12})
    assert f"updated {name}: max_age, max_msgs" in await set_up(bus, Storage())
    assert f"{name} is as it should be" in await set_up(bus, Storage())
    assert len(await entries(bus)) == 1


def test_a_queue_that_is_made_anew_is_ahead_of_every_cursor() -> None:
    older, newer = (
        wanted("onebus", Storage(), now_s)[1] for now_s in (1_800_000_000, 1_800_000_100)
    )
    assert older["name"] == "onebus_deferred"
    assert newer["first_seq"] > older["first_seq"] + 100_000
