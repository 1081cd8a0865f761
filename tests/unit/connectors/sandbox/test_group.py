"""The rules of groups."""

import pytest

from connectors.sandbox import group as g
from connectors.sandbox.group import Group, Mask
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.event import Membership
from onebus.ids import ChatId, UserId

ALICE, BOB, BOT = UserId("alice"), UserId("bob"), UserId("demo")
LOBBY = ChatId("lobby")


def group_of(*members: UserId) -> Group:
    group = Group(LOBBY, "Lobby", {BOT: Membership()})
    for user in members:
        group = g.with_member(user, 7)(group)
    return group


def test_the_first_person_owns_the_group_and_the_bot_does_not() -> None:
    group = group_of(ALICE, BOB)
    assert [group.member(u).role for u in (BOT, ALICE, BOB)] == ["member", "owner", "member"]
    assert group.member(BOB).joined_at_s == 7


def test_coming_twice_changes_nothing() -> None:
    group = g.with_role(BOB, "admin")(group_of(ALICE, BOB))
    assert g.with_member(BOB, 8)(group) == group


def test_a_group_has_one_owner() -> None:
    group = g.with_role(BOB, "owner")(group_of(ALICE, BOB))
    assert (group.member(ALICE).role, group.member(BOB).role) == ("admin", "owner")


def test_who_left_is_not_found() -> None:
    group = g.without_member(BOB)(group_of(ALICE, BOB))
    with pytest.raises(NotFound):
        group.member(BOB)
    with pytest.raises(NotFound):
        g.without_member(BOB)(group)


def test_rank_decides_over_others() -> None:
    group = g.with_role(BOT, "admin")(group_of(ALICE, BOB))
    g.check_outranks(group, BOT, BOB)
    for operator, user in ((BOT, ALICE), (BOB, BOT), (BOT, BOT)):
        with pytest.raises(Forbidden):
            g.check_outranks(group, operator, user)


def test_a_group_gets_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(g, "MAX_MEMBERS", 2)
    group = group_of(ALICE)
    with pytest.raises(Forbidden, match="full"):
        g.with_member(BOB, 7)(group)


def test_who_was_kicked_for_good_is_let_in_or_stays_away() -> None:
    group = g.without_member(BOB, for_good=True)(group_of(ALICE, BOB))
    with pytest.raises(Forbidden, match="for good"):
        g.with_member(BOB, 8)(group)
    back = g.admitted(BOB, 8)(group)
    assert (back.member(BOB).joined_at_s, back.refused) == (8, ())


def test_the_bot_owns_no_group_by_coming() -> None:
    group = g.admitted(BOT, 8, may_own=False)(Group(LOBBY, "Lobby", {}))
    assert group.owner() is None
    assert g.with_member(ALICE, 9)(group).owner() == ALICE


def test_everyone_muted_leaves_the_owner_and_admins() -> None:
    group = g.with_everyone_muted(True)(group_of(ALICE, BOB))
    g.check_may_write(group, ALICE, 8)
    with pytest.raises(Forbidden, match="everyone"):
        g.check_may_write(group, BOB, 8)
    g.check_may_write(g.with_everyone_muted(False)(group), BOB, 8)


def test_a_mute_ends() -> None:
    group = g.with_mute(BOB, 10)(group_of(ALICE, BOB))
    with pytest.raises(Forbidden, match="2 more seconds"):
        g.check_may_write(group, BOB, 8)
    g.check_may_write(group, BOB, 10)
    assert g.present(group.member(BOB), 9).muted_until_s == 10
    assert g.present(group.member(BOB), 10).muted_until_s == 0


def test_a_title_ends() -> None:
    group = g.with_title(BOB, "Sir", 10)(group_of(ALICE, BOB))
    assert g.present(group.member(BOB), 9).title == "Sir"
    assert g.present(group.member(BOB), 10) == Membership(joined_at_s=7)
    assert g.present(g.with_title(BOB, "Sir")(group).member(BOB), 10**10).title == "Sir"


def test_one_mask_for_as_long_as_somebody_stays() -> None:
    first, second = (Mask(UserId(f"mask-{n}"), f"Fox {n}", f"flag-{n}") for n in (1, 2))
    group = g.with_mask(BOB, first)(group_of(ALICE, BOB))
    assert g.with_mask(BOB, second)(group) == group
    assert g.masked(group, "flag-1") == (BOB, first)
    with pytest.raises(NotFound):
        g.masked(g.without_member(BOB)(group), "flag-1")
    with pytest.raises(Forbidden, match="anonymously"):
        g.with_mask(ALICE, second)(g.with_anonymous(False)(group))


def test_the_newest_holder_of_an_honor_is_first() -> None:
    group = group_of(ALICE, BOB)
    for user, at_s in ((ALICE, 1), (BOB, 2), (BOB, 3), (ALICE, 4)):
        group = g.with_honor(user, "talkative", at_s)(group)
    held = [(holder.user, holder.since_s) for holder in group.honors["talkative"]]
    assert held == [(ALICE, 4), (BOB, 2)]
    with pytest.raises(NotFound):
        g.with_honor(UserId("eve"), "emotion", 5)(group)


@pytest.mark.parametrize("duration_s", [0, -2, g.MAX_TITLE_S + 1])
def test_titles_that_cannot_last_so_long(duration_s: int) -> None:
    with pytest.raises(BadParams):
        g.check_title_s(duration_s)
