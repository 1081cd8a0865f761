"""What the kit in memory promises, against the contract in `onebus.connector`."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from onebus import subjects
from onebus.bucket import Conflict
from onebus.connector import Kit
from onebus.errors import BusUnavailable, OutcomeUnknown
from onebus.event import Event, MessageReceived, MessageSent, User, private_chat
from onebus.ids import MessageId, UserId, parse_account
from onebus.segment import Text, plain_text
from onebus.testing.memory import Memory, MemoryKit
from onebus.token import Token

ACCOUNT = parse_account("sandbox.demo")
CHAT = private_chat(UserId("alice"))
WORDS = (Text("hi"),)


def received(message: str, text: str = "hi", user: str = "alice") -> Event:
    return MessageReceived(
        account=ACCOUNT,
        time_ms=1,
        chat=private_chat(UserId(user)),
        message=MessageId(message),
        sender=User(UserId(user)),
        segments=(Text(text),),
    )


def sent(message: str) -> MessageSent:
    return MessageSent(
        account=ACCOUNT,
        time_ms=1,
        chat=CHAT,
        message=MessageId(message),
        sender=User(UserId("bot")),
        segments=WORDS,
    )


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def kit(memory: Memory, http: aiohttp.ClientSession) -> MemoryKit:
    return MemoryKit(memory, ACCOUNT, http)


@pytest.fixture
def other(memory: Memory, http: aiohttp.ClientSession) -> MemoryKit:
    return MemoryKit(memory, ACCOUNT, http)


def test_it_is_a_kit(kit: MemoryKit) -> None:
    given: Kit = kit  # mypy checks what no assertion can
    assert given.account == ACCOUNT


async def test_an_event_is_stored_once(memory: Memory, kit: MemoryKit, other: MemoryKit) -> None:
    first = await kit.append(received("1"))
    assert await other.append(received("1", "changed")) == first
    assert await kit.append(received("2")) == first + 1
    assert len(memory.events()) == 2


async def test_our_own_echo_is_the_same_entry(memory: Memory, kit: MemoryKit) -> None:
    answer = await kit.append_sent([sent("7"), sent("8")], degraded=["emoji"])
    assert (answer.message, answer.sequence, answer.degraded) == ("7", 1, ("emoji",))
    assert await kit.append(sent("7")) == 1
    assert len(memory.events()) == 2


async def test_the_log_is_read_by_filter_and_number(memory: Memory, kit: MemoryKit) -> None:
    for number, user in enumerate(["alice", "bob", "alice"]):
        await kit.append(received(str(number), user=user))
    found = await kit.log.read(subjects.messages_of(ACCOUNT, CHAT))
    assert [stored.sequence for stored in found] == [1, 3]
    assert [s.sequence for s in await kit.log.read(subjects.events_of(ACCOUNT), limit=2)] == [2, 3]
    assert (await kit.log.end(), await kit.log.at(4)) == (3, None)
    by_id = await kit.log.of_message(ACCOUNT, CHAT, MessageId("2"))
    assert by_id == await kit.log.at(3)


async def test_following_starts_where_it_is_told(memory: Memory, kit: MemoryKit) -> None:
    await kit.append(received("1"))
    seen: list[int] = []
    where = [subjects.events_of(ACCOUNT)]
    async with kit.log.follow(where, lambda s: seen.append(s.sequence), start=2):
        await kit.append(received("2"))
        await kit.append(received("3"))
    await kit.append(received("4"))
    assert seen == [2, 3]


async def test_without_a_bus_nothing_is_stored(memory: Memory, kit: MemoryKit) -> None:
    memory.bus.available = False
    with pytest.raises(BusUnavailable):
        await kit.append(received("1"), timeout_s=0.01)
    with pytest.raises(BusUnavailable):
        async with kit.passive.hold(CHAT):
            pass
    answer = await kit.append_sent([sent("7")])
    assert (answer.message, answer.sequence) == ("7", None)
    assert memory.events() == []


async def test_a_bucket_is_changed_by_compare_and_set(kit: MemoryKit, other: MemoryKit) -> None:
    bucket, same = kit.bucket("x"), other.bucket("x")
    revision = await bucket.create("a.b", b"1")
    with pytest.raises(Conflict):
        await same.create("a.b", b"2")
    later = await same.update("a.b", b"2", revision)
    with pytest.raises(Conflict):
        await bucket.update("a.b", b"3", revision)
    await bucket.put("a.c", b"3")
    assert [(entry.key, entry.value) for entry in await same.entries("a")] == [
        ("a.b", b"2"),
        ("a.c", b"3"),
    ]
    await same.delete("a.b", later)
    assert await bucket.get("a.b") is None
    assert [entry.key for entry in await bucket.entries("a")] == ["a.c"]
    await bucket.create("a.b", b"again")
    assert await kit.bucket("y").get("a.b") is None


async def test_a_token_is_fetched_once_and_replaced_when_stale(
    kit: MemoryKit, other: MemoryKit
) -> None:
    made: list[Token] = []

    async def source() -> Token:
        await asyncio.sleep(0)
        made.append(Token(f"t{len(made)}", kit.clock() + 7200))
        return made[-1]

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(k.token("access", source)) for k in (kit, other, kit)]
    assert [task.result() for task in asked] == ["t0"] * 3
    assert await other.token("access", source, stale="t0") == "t1"
    assert await kit.token("access", source, stale="t0") == "t1"
    kit.clock = lambda: made[-1].expires_at_s
    assert await kit.token("access", source) == "t2"


async def test_an_offer_without_a_holder_is_nobodys(kit: MemoryKit) -> None:
    assert await kit.passive.offer(CHAT, WORDS) is None


async def test_an_offer_is_taken_by_another_replica(kit: MemoryKit, other: MemoryKit) -> None:
    async with asyncio.TaskGroup() as group, kit.passive.hold(CHAT) as held:
        offered = group.create_task(other.passive.offer(CHAT, WORDS))
        offer = await held.next_offer(5)
        assert offer is not None
        assert plain_text(offer.segments) == "hi"
        await offer.accept(MessageId("m"))
    assert offered.result() == "m"


async def test_a_refused_offer_goes_back(kit: MemoryKit) -> None:
    async with asyncio.TaskGroup() as group, kit.passive.hold(CHAT) as held:
        offered = group.create_task(kit.passive.offer(CHAT, WORDS))
        offer = await held.next_offer(5)
        assert offer is not None
        await offer.refuse()
    assert offered.result() is None


async def test_an_offer_that_comes_too_late_goes_back(kit: MemoryKit) -> None:
    async with asyncio.TaskGroup() as group, kit.passive.hold(CHAT) as held:
        assert await held.next_offer(0) is None
        offered = group.create_task(kit.passive.offer(CHAT, WORDS))
        await asyncio.sleep(0)
    assert offered.result() is None


async def test_an_offer_that_was_seen_and_left_is_unknown(kit: MemoryKit) -> None:
    async with asyncio.TaskGroup() as group, kit.passive.hold(CHAT) as held:
        lost = group.create_task(outcome_of(kit))
        assert await held.next_offer(5) is not None
    assert isinstance(lost.result(), OutcomeUnknown)


async def outcome_of(kit: MemoryKit) -> object:
    try:
        return await kit.passive.offer(CHAT, WORDS)
    except OutcomeUnknown as error:
        return error


async def test_a_holder_takes_one_offer(kit: MemoryKit) -> None:
    async with asyncio.TaskGroup() as group, kit.passive.hold(CHAT) as held:
        group.create_task(kit.passive.offer(CHAT, WORDS))
        offer = await held.next_offer(5)
        assert offer is not None
        assert await kit.passive.offer(CHAT, WORDS) is None
        await offer.accept(MessageId("m"))


async def test_another_chats_offer_is_not_seen(kit: MemoryKit) -> None:
    async with kit.passive.hold(CHAT) as held:
        assert await kit.passive.offer(private_chat(UserId("bob")), WORDS) is None
        assert await held.next_offer(0) is None


async def test_the_first_reply_is_remembered(kit: MemoryKit, other: MemoryKit) -> None:
    assert await kit.passive.recall("k") is None
    assert await kit.passive.remember("k", b"one")
    assert not await other.passive.remember("k", b"two")
    assert not await other.passive.remember("k", b"one")
    assert await other.passive.recall("k") == b"one"
