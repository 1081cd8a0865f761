"""Users and groups, and changes of them at the same time."""

import asyncio

import pytest

from connectors.sandbox import state as st
from connectors.sandbox import store
from connectors.sandbox.documents import described
from connectors.sandbox.group import with_member, with_name
from connectors.sandbox.state import State
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.ids import ChatId, UserId
from onebus.testing.memory import Memory
from onebus.testing.memory_bus import MemoryBucket

from .conftest import DEMO

ALICE, BOB, BOT = UserId("alice"), UserId("bob"), UserId("demo")
LOBBY = ChatId("lobby")


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket(Memory().bus, "sandbox")


@pytest.fixture
def state(bucket: MemoryBucket) -> State:
    return State(bucket, DEMO, "Bot")


@pytest.mark.parametrize("name", ["", " x", "x ", "a\nb", "a\x1b[2J", "\u202eevil", "x" * 65])
def test_ids_that_cannot_be(name: str) -> None:
    with pytest.raises(BadParams, match="user must be 1 to 64 printable"):
        st.check_id("user", name)


@pytest.mark.parametrize("name", ["a.b", "*", ">", "a b", "<img src=x onerror=alert(1)>", "爱丽丝"])
async def test_any_printable_id_is_a_user(state: State, name: str) -> None:
    await state.named(UserId(name))
    assert (await state.user(UserId(name))).id == name
    assert [user.id for user in await state.persons()] == [name]


async def test_users_come_into_being_when_first_named(state: State) -> None:
    with pytest.raises(NotFound):
        await state.user(ALICE)
    assert (await state.named(ALICE)).name == "alice"
    assert (await state.named(ALICE, described("Alice"))).name == "Alice"
    assert (await state.named(ALICE)).name == "Alice"


async def test_nobody_takes_the_name_of_the_bot(state: State) -> None:
    assert (await state.user(BOT)).name == "Bot"
    with pytest.raises(BadParams, match="is the bot"):
        await state.named(BOT)


async def test_a_group_that_nobody_named_is_not_found(state: State) -> None:
    with pytest.raises(NotFound):
        await state.group(LOBBY)
    with pytest.raises(NotFound):
        await state.change_group(LOBBY, with_name("x"))


async def test_changes_at_the_same_time_are_all_kept(bucket: MemoryBucket) -> None:
    replicas = [State(bucket, DEMO, "Bot") for _ in range(2)]
    people = [UserId(f"user-{number}") for number in range(8)]

    async def come(replica: State, user: UserId) -> None:
        await replica.change_group(LOBBY, with_member(user, 7), new_at_s=7)

    await asyncio.gather(*(come(replicas[n % 2], user) for n, user in enumerate(people)))
    group = await replicas[0].group(LOBBY)
    assert group.members.keys() == {BOT, *people}
    assert [member.role for member in group.members.values()].count("owner") == 1


async def test_there_is_an_end_to_users(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(st, "MAX_USERS", 1)
    state = State(bucket, DEMO, "Bot")
    await state.named(ALICE)
    with pytest.raises(Forbidden):
        await state.named(BOB)
    await state.named(ALICE, described("Alice"))


async def test_there_is_an_end_to_a_document(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    await state.change_group(LOBBY, with_name("x"), new_at_s=7)
    monkeypatch.setattr(store, "MAX_BYTES", 300)
    with pytest.raises(Forbidden, match="no room for more in lobby"):
        await state.change_group(LOBBY, with_name("x" * 300))
    assert (await state.group(LOBBY)).name == "x"


async def test_accounts_do_not_share_their_people(bucket: MemoryBucket) -> None:
    accounts = [type(DEMO)(DEMO.platform, type(DEMO.account_id)(n)) for n in ("a", "a.user")]
    first, second = (State(bucket, account, "Bot") for account in accounts)
    await first.named(ALICE)
    await second.named(BOB)
    assert [user.id for user in await first.persons()] == [ALICE]
    assert [user.id for user in await second.persons()] == [BOB]
