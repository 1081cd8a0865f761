"""A cursor goes forward with its owner alone."""

import asyncio

import pytest

from onebus.bucket import Bucket, Conflict
from onebus.bus import Bus
from onebus.cursor import EVERY, Cursor
from onebus.errors import BusTimeout

KEY = "account.t.one"


async def saved(bus: Bus) -> bytes | None:
    entry = await Bucket(bus, "cursors").get(KEY)
    return entry.value if entry else None


async def test_a_new_owner_goes_on_where_the_last_one_stopped(bus: Bus) -> None:
    first = Cursor(Bucket(bus, "cursors"), KEY)
    assert await first.load() is None
    await first.move("10")
    await first.move("11")
    await first.save()
    second = Cursor(Bucket(bus, "cursors"), KEY)
    assert await second.load() == "11"
    await second.move("12")
    await second.save()
    assert await saved(bus) == b"12"


async def test_a_stale_owner_cannot_move_it(bus: Bus) -> None:
    stale, owner = (Cursor(Bucket(bus, "cursors"), KEY) for _ in range(2))
    await stale.load()
    await stale.move("10")
    await owner.load()
    await owner.move("20")
    await owner.save()
    await stale.move("11")
    with pytest.raises(Conflict):
        await stale.save()
    assert await saved(bus) == b"20"
    late = Cursor(Bucket(bus, "cursors"), KEY)
    with pytest.raises(Conflict):  # it never looked
        await late.move("1")


async def test_moves_are_saved_every_so_many_or_once_a_second(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0
    monkeypatch.setattr("onebus.cursor.time.monotonic", lambda: now_s)
    cursor = Cursor(Bucket(bus, "cursors"), KEY)
    await cursor.move("0")
    assert await saved(bus) == b"0"
    for number in range(1, EVERY):
        await cursor.move(str(number))
    assert await saved(bus) == b"0"
    await cursor.move(str(EVERY))
    assert await saved(bus) == b"%d" % EVERY
    now_s += 1
    await cursor.move("later")
    assert await saved(bus) == b"later"


async def test_a_lost_ack_is_not_taken_for_another_owner(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(bus, "cursors")
    cursor = Cursor(bucket, KEY)
    await cursor.move("10")
    whole = bucket.update

    async def lose_the_ack(key: str, value: bytes, revision: int) -> int:
        await whole(key, value, revision)
        raise BusTimeout("no answer in time")

    monkeypatch.setattr(bucket, "update", lose_the_ack)
    await cursor.move("11")
    with pytest.raises(BusTimeout):
        await cursor.save()
    monkeypatch.setattr(bucket, "update", whole)
    await cursor.move("12")
    await cursor.save()
    assert await saved(bus) == b"12"


async def test_a_save_that_was_cancelled_is_not_taken_for_another_owner(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bot's socket ends at any moment, also between a write and its ack."""
    bucket = Bucket(bus, "cursors")
    cursor = Cursor(bucket, KEY)
    await cursor.move("10")
    whole, written = bucket.update, asyncio.Event()

    async def lose_patience(key: str, value: bytes, revision: int) -> int:
        await whole(key, value, revision)
        written.set()
        await asyncio.Event().wait()
        return 0

    monkeypatch.setattr(bucket, "update", lose_patience)
    await cursor.move("11")
    saving = asyncio.ensure_future(cursor.save())
    await written.wait()
    saving.cancel()
    await asyncio.wait([saving])
    monkeypatch.setattr(bucket, "update", whole)
    await cursor.move("12")
    await cursor.save()
    assert await saved(bus) == b"12"
