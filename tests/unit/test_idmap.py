"""Numbers: in range, the same everywhere, and leading back to what they stand for."""

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onebus import idmap as idmap_module
from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.idmap import (
    FIRST_HASHED,
    MESSAGE_MODULUS,
    IdMap,
    Kind,
    fold,
    number_of,
    scope_of,
    unfold,
)

SAFE = (1 << 53) - 1
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@given(ANY_TEXT, st.sampled_from(["user", "group"]), st.booleans())
@example("0", "user", False)
@example("007", "user", False)
@example("-5", "user", False)
@example("4503599627370495", "user", False)
@example("4503599627370496", "user", False)
@example("٣", "user", False)
@example("\ud800", "user", False)
def test_every_id_has_a_number_that_javascript_keeps(native: str, kind: Kind, server: bool) -> None:
    number = number_of(scope_of("t", "irc.example" if server else None), kind, native)
    assert 0 < number <= SAFE
    if number < FIRST_HASHED:
        assert str(number) == native
        assert not server


def test_a_plain_number_is_kept_where_ids_are_unique_on_the_platform() -> None:
    assert number_of("qq", "user", "10001") == 10001
    assert number_of("qq", "user", str(FIRST_HASHED - 1)) == FIRST_HASHED - 1
    assert number_of("qq", "user", str(FIRST_HASHED)) > FIRST_HASHED
    assert number_of("irc/libera", "user", "10001") >= FIRST_HASHED


def test_scope_and_kind_make_different_numbers() -> None:
    numbers = {
        number_of(scope, kind, "alice")
        for scope in ("irc/libera", "irc/oftc", "irc")
        for kind in ("user", "group")
    }
    assert len(numbers) == 6


def test_numbers_never_change() -> None:
    """Superusers stand in the configurations of bots."""
    assert number_of("sandbox", "user", "alice") == 4719129099958988
    assert number_of("sandbox", "group", "lobby") == 5384978208329434
    assert number_of("irc/libera", "user", "42", salt=1) == 4851588812147257


@given(st.integers(1, 1 << 53), st.integers(-MESSAGE_MODULUS // 2 + 2, MESSAGE_MODULUS // 2 - 2))
@example(1, 0)
@example(MESSAGE_MODULUS, 1)
@example(MESSAGE_MODULUS + 1, -1)
@example(10 * MESSAGE_MODULUS, 5)
@example(10 * MESSAGE_MODULUS + 1, -5)
def test_a_message_id_leads_back_to_its_sequence(sequence: int, distance: int) -> None:
    message_id = fold(sequence)
    assert 1 <= message_id <= (1 << 31) - 1
    assert unfold(message_id, max(sequence + distance, 1)) == sequence


@pytest.mark.parametrize("number", [0, -1, 1 << 31, 1 << 60])
def test_what_cannot_be_a_message_id_leads_nowhere(number: int) -> None:
    assert unfold(number, 10**12) is None


async def test_two_replicas_agree_and_both_find_the_way_back(bus: Bus) -> None:
    one, other = (IdMap(Bucket(bus, "ids")) for _ in range(2))
    natives = [f"o{number}" for number in range(150)] + ["", "*", ">", "a b", "\r\n", "ü" * 300]
    first = await one.numbers("wechat", "user", natives)
    assert await other.numbers("wechat", "user", reversed(natives)) == first
    assert len(set(first.values())) == len(natives)
    fresh = IdMap(Bucket(bus, "ids"))
    for native in natives[-10:]:
        assert await fresh.native("wechat", "user", first[native]) == native
        assert await fresh.native("wechat", "group", first[native]) is None
        assert await fresh.native("wechat/other", "user", first[native]) is None


async def test_racing_replicas_give_one_number(bus: Bus) -> None:
    maps = [IdMap(Bucket(bus, "ids")) for _ in range(20)]
    numbers = await asyncio.gather(*(one.number("wechat", "user", "oNew") for one in maps))
    assert len(set(numbers)) == 1


async def test_a_number_that_was_never_given_out_is_nobodys(bus: Bus) -> None:
    ids = IdMap(Bucket(bus, "ids"))
    assert await ids.native("wechat", "user", FIRST_HASHED + 5) is None
    assert await ids.native("wechat", "user", 0) is None
    assert await ids.native("wechat", "user", 77) == "77"
    assert await ids.native("irc/libera", "user", 77) is None


async def test_a_collision_moves_to_the_next_salt_at_every_replica(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def few(scope: str, kind: Kind, native: str, salt: int = 0) -> int:
        return FIRST_HASHED + salt

    monkeypatch.setattr(idmap_module, "number_of", few)
    one, other = (IdMap(Bucket(bus, "ids")) for _ in range(2))
    assert await one.number("t", "user", "first") == FIRST_HASHED
    assert await other.number("t", "user", "second") == FIRST_HASHED + 1
    assert await one.number("t", "user", "second") == FIRST_HASHED + 1
    assert await other.number("t", "user", "first") == FIRST_HASHED
    assert await IdMap(Bucket(bus, "ids")).native("t", "user", FIRST_HASHED + 1) == "second"
    racing = await asyncio.gather(
        *(IdMap(Bucket(bus, "ids")).number("t", "user", f"r{n}") for n in range(10))
    )
    assert sorted(racing) == [FIRST_HASHED + 2 + n for n in range(10)]


async def test_the_cache_is_bounded_both_ways(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idmap_module, "CACHE_SIZE", 10)
    ids = IdMap(Bucket(bus, "ids"))
    numbers = await ids.numbers("t", "user", [f"u{number}" for number in range(50)])
    assert len(ids._numbers) == len(ids._natives) == 10
    for native, number in numbers.items():
        assert await ids.native("t", "user", number) == native


async def test_a_self_id_belongs_to_the_first_account_that_claims_it(bus: Bus) -> None:
    one, other = (IdMap(Bucket(bus, "ids")) for _ in range(2))
    assert await one.claim_self(5, "t.a") == "t.a"
    assert await other.claim_self(5, "t.b") == "t.a"
    assert await other.claim_self(5, "t.a") == "t.a"
