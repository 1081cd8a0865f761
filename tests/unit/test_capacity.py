"""When a log is too full, and that it is said once; also on a real stream that evicts."""

import logging
import time
from pathlib import Path

import pytest

from onebus.bus import Bus
from onebus.capacity import Capacity, Room, alarms
from onebus.disk import FULL_BYTES, LOW_BYTES, ROOM_BYTES, Disk
from onebus.embedded import EmbeddedNats
from onebus.errors import Misconfigured
from onebus.log import Extent, Log
from onebus.setup import Storage, set_up

DAY_S = 86_400
NOW_S = 1_800_000_000.0


def extent(
    messages: int, hours: float, *, size: int = 0, most: int = 1000, max_bytes: int = 0
) -> Extent:
    first_at_s = NOW_S - hours * 3600
    return Extent(1, messages, messages, size, first_at_s, most, max_bytes, 7 * DAY_S)


def names(of: Extent, room: Room | None = None, horizon_s: float = 0, on: str = "") -> list[str]:
    found = alarms(of, room or Room(), horizon_s, NOW_S, frozenset(on.split()))
    return [alarm.name for alarm in found]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (extent(0, 0), []),
        (extent(799, 10), []),
        (extent(800, 10), ["log"]),
        (extent(1000, 10), ["log"]),
        (extent(10, 10, size=80, max_bytes=100), ["log"]),
        (extent(10, 10, size=79, max_bytes=100), []),
        # 800 in six days make 933 in seven: age evicts first.
        (extent(800, 6 * 24), []),
        (extent(800, 5 * 24), ["log"]),
        (extent(5000, 1, most=0), []),
    ],
)
def test_the_log_is_too_full_when_age_does_not_evict_first(of: Extent, expected: list[str]) -> None:
    assert names(of) == expected


def test_the_text_says_how_much_the_log_holds() -> None:
    (alarm,) = alarms(extent(900, 10), Room(), 0, NOW_S)
    assert "90% full (900 events" in alarm.text
    assert "10.0 hours" in alarm.text
    assert "bus.max_messages" in alarm.text


def test_it_is_over_only_well_below_where_it_began() -> None:
    assert names(extent(760, 10), on="log") == ["log"]
    assert names(extent(749, 10), on="log") == []


def test_a_log_that_forgets_before_the_platform_does_is_an_error() -> None:
    hour = extent(1000, 1)
    assert names(hour, horizon_s=7200) == ["log", "horizon"]
    assert names(hour, horizon_s=3600) == ["log"]
    assert names(extent(500, 1), horizon_s=7200) == []
    (_, alarm) = alarms(hour, Room(), 7200, NOW_S)
    assert alarm.level == logging.ERROR


def test_the_storage_of_the_account_is_looked_at_where_it_has_a_limit() -> None:
    assert names(extent(1, 1), Room(80, 100)) == ["storage"]
    assert names(extent(1, 1), Room(79, 100)) == []
    assert names(extent(1, 1), Room(10**12, 0)) == []


async def _append(bus: Bus, count: int) -> None:
    for number in range(count):
        subject = f"onebus.events.00.sandbox.demo.message.c.m{time.time_ns()}-{number}"
        await bus.store(subject, b"{}")


async def test_a_real_log_is_told_once_when_it_begins_and_once_when_it_ends(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "onebus.capacity")
    await set_up(bus, Storage(max_messages=10))
    capacity = Capacity(bus, DAY_S)
    await _append(bus, 7)
    await capacity.look()
    assert caplog.messages == []
    await _append(bus, 20)
    for _ in range(3):
        await capacity.look()
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert sorted(level for level, _ in told) == ["ERROR", "WARNING"], told
    assert any("100% full (10 events" in text for _, text in told)
    caplog.clear()
    await set_up(bus, Storage(max_messages=1000))
    for _ in range(3):
        await capacity.look()
    assert sorted(caplog.messages) == [
        "there is room again: the alarm 'horizon' is over",
        "there is room again: the alarm 'log' is over",
    ]


async def test_the_extent_of_a_log_is_the_servers(bus: Bus) -> None:
    log = Log(bus)
    empty = await log.extent()
    assert (empty.messages, empty.fullness) == (0, 0)
    before_s = time.time()
    await _append(bus, 3)
    now = await log.extent()
    assert (now.messages, now.last - now.first) == (3, 2)
    assert before_s - 1 <= now.first_at_s <= time.time() + 1
    assert (now.max_messages, now.max_age_s) == (200_000, 7 * DAY_S)


def test_a_disk_is_told_low_full_and_with_room_again_once_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "onebus.disk")
    disk = Disk(tmp_path)
    steps = [
        (2 * LOW_BYTES, "", False),
        (LOW_BYTES - 1, "MiB left", False),
        (LOW_BYTES - 2, "", False),
        (FULL_BYTES - 1, "is full", False),
        (0, "", False),
        (FULL_BYTES + 1, "", False),
        (ROOM_BYTES, "has room again", True),
        (ROOM_BYTES, "", False),
        (2 * LOW_BYTES, "has enough room again", False),
        (2 * LOW_BYTES, "", False),
    ]
    for free_bytes, said, regained in steps:
        caplog.clear()
        assert disk.judge(free_bytes) is regained
        assert [said in text for text in caplog.messages] == [True] * bool(said), free_bytes


async def test_a_server_without_room_for_our_streams_says_what_to_do(tmp_path: Path) -> None:
    nats = EmbeddedNats(tmp_path)
    await nats.start()
    try:
        async with Bus(nats.options(), "test") as bus:
            await bus.wait_ready(5)
            with pytest.raises(Misconfigured, match=r"no room for onebus_events.*bus\.max_bytes"):
                await set_up(bus, Storage(max_bytes=1 << 60))
    finally:
        await nats.stop()
