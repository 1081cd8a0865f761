"""Streams and buckets: made, left alone, and brought up from an older version."""

from typing import Any

from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.embedded import EmbeddedNats
from onebus.event import AccountChanged
from onebus.ids import parse_account
from onebus.log import Log
from onebus.setup import Storage, set_up, wanted

EVENT = AccountChanged(account=parse_account("t.a"), time_ms=1, id="1", online=True)


async def config(bus: Bus, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await bus.api(f"STREAM.INFO.{name}"))["config"]
    return found


def check(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, value in expected.items():
        if key == "metadata":
            assert value.items() <= found[key].items()
        elif value:
            assert found[key] == value, key
        else:
            assert not found.get(key), key


async def test_everything_is_made_and_a_second_run_changes_nothing(nats: EmbeddedNats) -> None:
    async with Bus(nats.options(), "test") as bus:
        await bus.wait_ready(5)
        lines = await set_up(bus, Storage())
        assert all(line.startswith("created") for line in lines)
        for expected in wanted("onebus", Storage(), 0):
            expected.pop("first_seq", None)
            check(await config(bus, expected["name"]), expected)
        assert all("as it should be" in line for line in await set_up(bus, Storage()))


async def test_another_prefix_is_another_installation(nats: EmbeddedNats) -> None:
    async with (
        Bus(nats.options(), "test") as one,
        Bus(nats.options("other"), "test") as other,
    ):
        for bus in (one, other):
            await bus.wait_ready(5)
            await set_up(bus, Storage())
        sequence = await Log(one).append(EVENT)
        await Bucket(one, "ids").put("a", b"1")
        assert await Log(other).at(sequence) is None
        assert await Bucket(other, "ids").get("a") is None


async def test_an_older_version_is_migrated_with_its_data(nats: EmbeddedNats) -> None:
    async with Bus(nats.options(), "test") as bus:
        await bus.wait_ready(5)
        for newer in wanted("onebus", Storage(), 1_800_000_000):
            older = {key: newer[key] for key in ("name", "subjects", "storage", "max_consumers")}
            older |= {"first_seq": newer.get("first_seq", 0), "max_msgs": 10}
            await bus.api(f"STREAM.CREATE.{newer['name']}", older)
        log, ids = Log(bus), Bucket(bus, "ids")
        subject = "onebus.events.x.t.a.account.1"
        await bus.store(subject, b"old")
        await bus.store("$KV.onebus_ids.a", b"1")
        await bus.store("$KV.onebus_ids.a", b"2")
        before = await log.end()
        lines = await set_up(bus, Storage())
        assert all(line.startswith("updated") for line in lines), lines
        for expected in wanted("onebus", Storage(), 0):
            expected.pop("first_seq", None)
            check(await config(bus, expected["name"]), expected)
        assert await log.end() == before
        entry = await bus.at(log.stream, before)
        assert entry
        assert entry.body == b"old"
        kept = await ids.get("a")
        assert kept
        assert kept.value == b"2"
        assert all("as it should be" in line for line in await set_up(bus, Storage()))


async def test_what_a_newer_version_made_is_left_alone(bus: Bus) -> None:
    newer = await config(bus, "onebus_events")
    newer |= {"max_msgs": 123, "metadata": newer["metadata"] | {"onebus.version": "2"}}
    await bus.api("STREAM.UPDATE.onebus_events", newer)
    lines = await set_up(bus, Storage())
    assert "onebus_events is of a newer onebus: left as it is" in lines
    found = await config(bus, "onebus_events")
    assert (found["max_msgs"], found["metadata"]["onebus.version"]) == (123, "2")


async def test_limits_may_be_changed_in_both_directions(bus: Bus) -> None:
    log = Log(bus)
    sequence = await log.append(EVENT)
    for storage in (Storage(60, 100, 1 << 20), Storage(), Storage(86_400, 500_000, 2 << 30)):
        lines = await set_up(bus, storage)
        assert sum(line.startswith("updated onebus_events") for line in lines) == 1
        found = await config(bus, log.stream)
        assert found["max_msgs"] == storage.max_messages
        assert found["max_age"] == storage.max_age_s * 10**9
    assert await log.at(sequence)


async def test_a_services_own_additions_to_metadata_are_left(bus: Bus) -> None:
    found = await config(bus, "onebus_events")
    assert found["metadata"]["onebus.version"] == "1"
    assert len(found["metadata"]) > 1  # the server's own
