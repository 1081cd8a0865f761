"""Every token that comes from outside is one harmless token, and no two are the same."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onebus import event as ev
from onebus import subjects
from onebus.event import Chat, Event, User, private_chat
from onebus.ids import Account, AccountId, ChatId, MessageId, Platform, UserId
from onebus.subjects import MAX_TOKEN, escape

ACCOUNT = Account(Platform("sandbox"), AccountId("a.b*>"))
CHAT = Chat("group", ChatId("lobby"))
HARMLESS = re.compile(r"[A-Za-z0-9_=-]+")
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=400)


@given(ANY_TEXT)
@example("")
@example("a.b")
@example("*")
@example(">")
@example("a\r\nPUB x 1")
@example(" ")
@example("=2E")
@example("\ud800")
@example("ü" * 10_000)
def test_any_text_is_one_token_without_wildcards(text: str) -> None:
    token = escape(text)
    assert HARMLESS.fullmatch(token)
    assert len(token) <= MAX_TOKEN


@given(ANY_TEXT, ANY_TEXT)
@example("", "=")
@example(".", "=2E")
@example("a" * 500, "a" * 501)
@example("=h" + "0" * 40, "")
def test_different_texts_are_different_tokens(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


def test_the_token_of_a_hash_cannot_be_named_from_outside() -> None:
    hashed = escape("x" * 500)
    assert hashed.startswith("=h")
    assert escape(hashed) != hashed


@given(st.lists(ANY_TEXT, min_size=2, max_size=2), st.lists(ANY_TEXT, min_size=2, max_size=2))
@example(["a.b", "c"], ["a", "b.c"])
def test_different_accounts_have_different_keys(one: list[str], other: list[str]) -> None:
    assert (subjects.key(*one) == subjects.key(*other)) == (one == other)
    assert subjects.key(*one).count(".") == 1


@given(ANY_TEXT)
@example("a.b")
@example(">")
def test_the_account_is_found_again_in_the_subject_of_its_event(name: str) -> None:
    account = Account(Platform("sandbox"), AccountId(name))
    event = ev.AccountChanged(account=account, time_ms=1, id="1", online=True)
    subject = subjects.of_event(event)
    assert subjects.account_in(subject) == subjects.account_key(account)
    assert matches(subjects.events_of(account), subject)
    assert matches(subjects.EVENTS, subject)


def test_a_user_and_a_group_of_the_same_id_are_different_chats() -> None:
    user, group = private_chat(UserId("7")), Chat("group", ChatId("7"))
    message = MessageId("1")
    assert subjects.message(ACCOUNT, user, message) != subjects.message(ACCOUNT, group, message)
    assert subjects.passive(ACCOUNT, user) != subjects.passive(ACCOUNT, group)


EVENTS: list[tuple[Event, str]] = [
    (
        ev.MessageReceived(
            account=ACCOUNT,
            time_ms=1,
            chat=CHAT,
            message=MessageId("m.1"),
            sender=User(UserId("u")),
            segments=(),
        ),
        "message.g-lobby.m=2E1",
    ),
    (
        ev.MessageSent(
            account=ACCOUNT,
            time_ms=1,
            chat=CHAT,
            message=MessageId("m.1"),
            sender=User(UserId("u")),
            segments=(),
        ),
        "message.g-lobby.m=2E1",
    ),
    (
        ev.MessageRecalled(
            account=ACCOUNT,
            time_ms=1,
            chat=CHAT,
            message=MessageId("m1"),
            sender=UserId("u"),
            operator=UserId("u"),
        ),
        "notice.g-lobby.m1.recalled",
    ),
    (
        ev.MessageEdited(
            account=ACCOUNT,
            time_ms=1,
            id="e1",
            chat=CHAT,
            message=MessageId("m1"),
            editor=User(UserId("u")),
            segments=(),
        ),
        "edit.g-lobby.m1.e1",
    ),
    (
        ev.FriendRequested(
            account=ACCOUNT, time_ms=1, id="r1", user=User(UserId("u")), comment="", flag="f"
        ),
        "request.friend_requested.r1",
    ),
    (
        ev.Poked(
            account=ACCOUNT,
            time_ms=1,
            id="*",
            chat=CHAT,
            user=UserId("u"),
            target=UserId("v"),
        ),
        "notice.poked.=2A",
    ),
    (ev.AccountChanged(account=ACCOUNT, time_ms=1, id="s1", online=False), "account.s1"),
]


@pytest.mark.parametrize(("event", "end"), EVENTS)
def test_an_event_has_the_place_that_its_content_gives_it(event: Event, end: str) -> None:
    shard = subjects.shard(ACCOUNT)
    assert re.fullmatch("[0-9a-f]{2}", shard)
    assert subjects.of_event(event) == f"events.{shard}.sandbox.a=2Eb=2A=3E.{end}"


def test_filters_take_what_is_in_one_chat_only() -> None:
    other = Chat("group", ChatId("lobb"))
    for event, _ in EVENTS:
        place = subjects.of_event(event)
        message, edit = (
            f".message.{subjects.chat_token(CHAT)}.",
            f".edit.{subjects.chat_token(CHAT)}.",
        )
        assert matches(subjects.messages_of(ACCOUNT, CHAT), place) == (message in place)
        inside = message in place or edit in place or place.endswith(".recalled")
        assert matches(subjects.contents_of(ACCOUNT, CHAT), place) == inside
        assert not matches(subjects.contents_of(ACCOUNT, other), place)


def matches(where: str, subject: str) -> bool:
    """NATS matching: `*` is one token, `>` the rest."""
    wanted, found = where.split("."), subject.split(".")
    for number, token in enumerate(wanted):
        if token == ">":
            return len(found) > number
        if number >= len(found) or token not in ("*", found[number]):
            return False
    return len(found) == len(wanted)
