"""Compare-and-set on a real bucket."""

import asyncio

import pytest
from tests.fakes.outage import outage

from onebus.bucket import Bucket, Conflict, Entry
from onebus.bus import Bus
from onebus.embedded import EmbeddedNats
from onebus.errors import BusUnavailable
from onebus.subjects import key


async def test_create_is_for_keys_without_a_value(bus: Bus) -> None:
    bucket = Bucket(bus, "cursors")
    assert await bucket.get("a") is None
    revision = await bucket.create("a", b"1")
    assert await bucket.get("a") == Entry("a", b"1", revision)
    with pytest.raises(Conflict):
        await bucket.create("a", b"2")
    racing = await asyncio.gather(
        *(bucket.create("b", b"%d" % number) for number in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, int) for result in racing) == 1
    assert sum(isinstance(result, Conflict) for result in racing) == 19


async def test_update_is_for_the_revision_that_was_read(bus: Bus) -> None:
    bucket = Bucket(bus, "cursors")
    first = await bucket.create("a", b"1")
    second = await bucket.update("a", b"2", first)
    with pytest.raises(Conflict):
        await bucket.update("a", b"3", first)
    with pytest.raises(Conflict):
        await bucket.update("never", b"3", first)
    await bucket.put("a", b"4")
    with pytest.raises(Conflict):
        await bucket.update("a", b"5", second)
    entry = await bucket.get("a")
    assert entry
    assert entry.value == b"4"


async def test_a_deleted_key_can_be_created_again_by_one(bus: Bus) -> None:
    bucket = Bucket(bus, "cursors")
    revision = await bucket.create("a", b"1")
    with pytest.raises(Conflict):
        await bucket.delete("a", revision + 1)
    await bucket.delete("a", revision)
    assert await bucket.get("a") is None
    assert await bucket.entries("") == []
    racing = await asyncio.gather(
        *(bucket.create("a", b"2") for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, int) for result in racing) == 1
    with pytest.raises(Conflict):
        await bucket.create("a", b"3")
    await bucket.delete("a")
    assert await bucket.get("a") is None


async def test_entries_are_those_below_a_prefix_at_this_moment(bus: Bus) -> None:
    bucket = Bucket(bus, "cursors")
    for name in ("a.1", "a.2", "ab.1", "a", "b.x.y"):
        await bucket.put(name, name.encode())
    await bucket.put("a.1", b"again")
    await bucket.delete("a.2")
    assert [(e.key, e.value) for e in await bucket.entries("a")] == [("a.1", b"again")]
    assert [e.key for e in await bucket.entries("b")] == ["b.x.y"]
    assert {e.key for e in await bucket.entries("")} == {"a.1", "ab.1", "a", "b.x.y"}
    assert await bucket.entries("nothing") == []
    assert await bucket.keys_now() >= {"a.1", "ab.1", "a", "b.x.y"}


async def test_hostile_names_are_keys_like_others(bus: Bus) -> None:
    bucket = Bucket(bus, "cursors")
    names = ["*", ">", "a.b", "", "\r\nPUB x 0\r\n", "ü", " ", "x" * 1000]
    for number, name in enumerate(names):
        await bucket.create(key("t", name), b"%d" % number)
    for number, name in enumerate(names):
        entry = await bucket.get(key("t", name))
        assert entry
        assert entry.value == b"%d" % number
    assert len(await bucket.entries("t")) == len(names)


async def test_a_follower_sees_what_is_and_every_change_also_across_an_outage(
    nats: EmbeddedNats, bus: Bus
) -> None:
    bucket = Bucket(bus, "cursors")
    await bucket.put("t.old", b"1")
    await bucket.put("other", b"1")
    seen: list[tuple[str, bytes | None]] = []
    grown = asyncio.Event()

    def on_change(name: str, entry: Entry | None) -> None:
        seen.append((name, entry.value if entry else None))
        grown.set()

    async with bucket.follow("t", on_change) as reader:
        await asyncio.wait_for(reader.caught_up.wait(), 5)
        assert seen == [("t.old", b"1")]
        async with outage(nats, bus):
            with pytest.raises(BusUnavailable):
                await bucket.put("t.new", b"0")
        await bucket.put("t.new", b"2")
        await bucket.delete("t.old")
        while len(seen) < 3:
            grown.clear()
            await asyncio.wait_for(grown.wait(), 5)
    assert seen == [("t.old", b"1"), ("t.new", b"2"), ("t.old", None)]
