"""Append if absent, numbers, and what a reader refuses, on a real server."""

import asyncio

import pytest

from onebus import subjects
from onebus.bus import Bus
from onebus.codec import encode
from onebus.errors import BusUnavailable
from onebus.event import Chat, MessageBackfilled, MessageReceived, User, private_chat
from onebus.ids import Account, AccountId, MessageId, Platform, UserId
from onebus.log import PAGES, Log, Stored
from onebus.reader import Reader
from onebus.segment import Text

ACCOUNT = Account(Platform("sandbox"), AccountId("a.b*>"))
CHAT = private_chat(UserId("alice"))


def message(number: int, account: Account = ACCOUNT, chat: Chat = CHAT) -> MessageReceived:
    return MessageReceived(
        account=account,
        time_ms=1000 + number,
        chat=chat,
        message=MessageId(f"m{number}"),
        sender=User(UserId("alice"), "Alice"),
        segments=(Text(f"text {number}"),),
    )


async def test_an_event_is_one_entry_however_often_it_is_appended(bus: Bus) -> None:
    log = Log(bus)
    racing = await asyncio.gather(*(log.append(message(1)) for _ in range(20)))
    assert len(set(racing)) == 1
    assert await log.append(message(2)) == racing[0] + 1
    stored = await log.at(racing[0])
    assert stored is not None
    assert stored.event == message(1)
    assert await log.of_message(ACCOUNT, CHAT, MessageId("m1")) == stored
    assert await log.at(racing[0] + 5) is None


async def test_a_quoted_message_has_a_number_until_it_comes_itself(bus: Bus) -> None:
    log = Log(bus)
    original = message(1)
    fields = {name: getattr(original, name) for name in ("account", "time_ms", "chat", "message")}
    quoted = MessageBackfilled(**fields, sender=original.sender, segments=original.segments)
    sequence = await log.append(quoted)
    assert await log.append(quoted) == sequence
    assert quoted.received() == original
    found = await log.of_message(ACCOUNT, CHAT, MessageId("m1"))
    assert found
    assert (found.sequence, found.event) == (sequence, quoted)
    assert await log.append(original) == sequence + 1
    found = await log.of_message(ACCOUNT, CHAT, MessageId("m1"))
    assert found
    assert (found.sequence, found.event) == (sequence + 1, original)


async def test_a_re_created_log_does_not_reuse_numbers(bus: Bus) -> None:
    log = Log(bus)
    first = await log.append(message(1))
    assert first > 4096 * 86_400 * 300


async def test_reading_gives_the_last_of_what_is_stored(bus: Bus) -> None:
    log = Log(bus)
    sequences = [await log.append(message(number)) for number in range(10)]
    other = message(3, chat=Chat("group", CHAT.id))
    await log.append(other)
    where = subjects.messages_of(ACCOUNT, CHAT)
    assert [s.sequence for s in await log.read(where, limit=3)] == sequences[-3:]
    assert [s.sequence for s in await log.read(where, start=sequences[8])] == sequences[8:]
    assert await log.read(where, start=await log.end() + 1) == []


async def test_a_body_that_does_not_name_its_subject_is_dropped_and_counted(bus: Bus) -> None:
    log = Log(bus)
    forged = bus.prefix + "." + subjects.message(ACCOUNT, CHAT, MessageId("forged"))
    await bus.store(forged, encode(message(1)))
    await bus.store(forged + "x", b"{not json")
    await bus.store(forged + "y", b"[" * 5000)
    real = await log.append(message(2))
    found = await log.read(subjects.messages_of(ACCOUNT, CHAT))
    assert [stored.sequence for stored in found] == [real]
    assert log.dropped == 3


async def test_a_reader_follows_live_in_order(bus: Bus) -> None:
    log = Log(bus)
    await log.append(message(0))
    got: list[int] = []
    enough = asyncio.Event()

    def on_event(stored: Stored) -> None:
        got.append(stored.sequence)
        if len(got) == 200:
            enough.set()

    async with log.follow([subjects.events_of(ACCOUNT)], on_event, start=await log.end() + 1):
        appended = await asyncio.gather(*(log.append(message(n)) for n in range(1, 201)))
        await asyncio.wait_for(enough.wait(), 10)
    assert got == sorted(appended)


async def test_a_missing_log_says_what_to_do(bus: Bus) -> None:
    await bus.api(f"STREAM.DELETE.{Log(bus).stream}")
    with pytest.raises(BusUnavailable, match="onebus bus setup"):
        await Log(bus).append(message(1), timeout_s=0.5)


async def test_few_pages_are_read_at_once(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, most = 0, 0

    class Counted(Reader):
        async def __aenter__(self) -> Reader:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            return await super().__aenter__()

        async def __aexit__(self, *error: object) -> None:
            nonlocal reading
            await super().__aexit__(*error)
            reading -= 1

    monkeypatch.setattr("onebus.log.Reader", Counted)
    log = Log(bus)
    sequences = [await log.append(message(number)) for number in range(3)]
    where = subjects.events_of(ACCOUNT)
    pages = await asyncio.gather(*(log.page(where, sequences[1]) for _ in range(5 * PAGES)))
    assert all([stored.sequence for stored in page] == sequences[1:] for page in pages)
    assert (most, reading) == (PAGES, 0)
