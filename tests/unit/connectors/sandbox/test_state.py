"""Users and groups: rules, and changes at the same time."""

import asyncio

import pytest

from connectors.sandbox import state as st
from connectors.sandbox.state import Group, State
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.event import Membership
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


def group_of(*members: UserId) -> Group:
    group = Group(LOBBY, "Lobby", {BOT: Membership()})
    for user in members:
        group = st.with_member(user, 7)(group)
    return group


def test_the_first_person_owns_the_group_and_the_bot_does_not() -> None:
    group = group_of(ALICE, BOB)
    assert [group.member(u).role for u in (BOT, ALICE, BOB)] == ["member", "owner", "member"]
    assert group.member(BOB).joined_at_s == 7


def test_coming_twice_changes_nothing() -> None:
    group = st.with_role(BOB, "admin")(group_of(ALICE, BOB))
    assert st.with_member(BOB, 8)(group) == group


def test_a_group_has_one_owner() -> None:
    group = st.with_role(BOB, "owner")(group_of(ALICE, BOB))
    assert (group.member(ALICE).role, group.member(BOB).role) == ("admin", "owner")


def test_who_left_is_not_found() -> None:
    group = st.without_member(BOB)(group_of(ALICE, BOB))
    with pytest.raises(NotFound):
        group.member(BOB)
    with pytest.raises(NotFound):
        st.without_member(BOB)(group)


def test_rank_decides_over_others() -> None:
    group = st.with_role(BOT, "admin")(group_of(ALICE, BOB))
    st.check_outranks(group, BOT, BOB)
    for operator, user in ((BOT, ALICE), (BOB, BOT), (BOT, BOT)):
        with pytest.raises(Forbidden):
            st.check_outranks(group, operator, user)


def test_a_group_gets_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "MAX_MEMBERS", 2)
    group = group_of(ALICE)
    with pytest.raises(Forbidden, match="full"):
        st.with_member(BOB, 7)(group)


@pytest.mark.parametrize("name", ["", " x", "x ", "a\nb", "a\x1b[2J", "\u202eevil", "x" * 65])
def test_ids_that_cannot_be(name: str) -> None:
    with pytest.raises(BadParams, match="user must be 1 to 64 printable"):
        st.check_id("user", name)


@pytest.mark.parametrize("name", ["a.b", "*", ">", "a b", "<img src=x onerror=alert(1)>", "爱丽丝"])
async def test_any_printable_id_is_a_user(state: State, name: str) -> None:
    await state.named_user(UserId(name))
    assert (await state.user(UserId(name))).id == name
    assert [user.id for user in await state.users()] == [name]


async def test_users_come_into_being_when_first_named(state: State) -> None:
    with pytest.raises(NotFound):
        await state.user(ALICE)
    assert (await state.named_user(ALICE)).name == "alice"
    assert (await state.named_user(ALICE, "Alice")).name == "Alice"
    assert (await state.named_user(ALICE)).name == "Alice"


async def test_nobody_takes_the_name_of_the_bot(state: State) -> None:
    assert (await state.user(BOT)).name == "Bot"
    with pytest.raises(BadParams, match="is the bot"):
        await state.named_user(BOT)


async def test_a_group_that_nobody_named_is_not_found(state: State) -> None:
    with pytest.raises(NotFound):
        await state.group(LOBBY)
    with pytest.raises(NotFound):
        await state.change_group(LOBBY, st.with_name("x"))


async def test_changes_at_the_same_time_are_all_kept(bucket: MemoryBucket) -> None:
    replicas = [State(bucket, DEMO, "Bot") for _ in range(2)]
    people = [UserId(f"user-{number}") for number in range(8)]

    async def come(replica: State, user: UserId) -> None:
        await replica.change_group(LOBBY, st.with_member(user, 7), new_at_s=7)

    await asyncio.gather(*(come(replicas[n % 2], user) for n, user in enumerate(people)))
    group = await replicas[0].group(LOBBY)
    assert group.members.keys() == {BOT, *people}
    assert [member.role for member in group.members.values()].count("owner") == 1


async def test_there_is_an_end_to_users(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "MAX_USERS", 1)
    await state.named_user(ALICE)
    with pytest.raises(Forbidden):
        await state.named_user(BOB)
    await state.named_user(ALICE, "Alice")


async def test_accounts_do_not_share_their_people(bucket: MemoryBucket) -> None:
    accounts = [type(DEMO)(DEMO.platform, type(DEMO.account_id)(n)) for n in ("a", "a.user")]
    first, second = (State(bucket, account, "Bot") for account in accounts)
    await first.named_user(ALICE)
    await second.named_user(BOB)
    assert [user.id for user in await first.users()] == [ALICE]
    assert [user.id for user in await second.users()] == [BOB]
