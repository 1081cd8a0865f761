"""The rules of people, requests and chats."""

import pytest

from connectors.sandbox import documents as d
from connectors.sandbox.documents import Board, Person, Pin, Request, StoredFile
from onebus.errors import Forbidden, RateLimited
from onebus.event import private_chat
from onebus.ids import MessageId, UserId

ALICE, BOB = UserId("alice"), UserId("bob")
BOARD = Board(private_chat(ALICE))


def message(number: int) -> MessageId:
    return MessageId(f"m{number}")


def test_only_the_first_private_message_makes_a_friend() -> None:
    person = Person(ALICE, "Alice")
    assert d.met(person).friend is True
    assert d.met(d.with_friend(False)(person)).friend is False


def test_likes_count_by_day() -> None:
    person = d.with_likes(10, 5)(Person(ALICE, "Alice"))
    with pytest.raises(RateLimited) as limited:
        d.with_likes(1, d.DAY_S - 7)(person)
    assert limited.value.retry_after_s == 7
    assert d.with_likes(1, d.DAY_S)(person).likes == 11


def test_the_first_answer_counts() -> None:
    request = Request("f1", "friend", ALICE, "", 0)
    approved = d.answered(request, True, "school", "unused")
    assert (approved.answer, approved.remark, approved.reason) == ("approved", "school", "")
    assert d.answered(approved, True, "again", "") == approved
    with pytest.raises(Forbidden):
        d.answered(approved, False, "", "no")


def test_pins_keep_who_was_first_and_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(d, "MAX_PINS", 1)
    board = d.with_pin(message(1), Pin(ALICE, 1))(BOARD)
    assert d.with_pin(message(1), Pin(BOB, 2))(board) == board
    with pytest.raises(Forbidden):
        d.with_pin(message(2), Pin(BOB, 2))(board)
    assert d.with_pin(message(1), None)(board) == BOARD


def test_a_reaction_counts_once_a_user() -> None:
    board = BOARD
    for user in (ALICE, BOB, ALICE):
        board = d.with_reaction(message(1), "x", user, True)(board)
    assert board.reactions == {message(1): {"x": (BOB, ALICE)}}
    for user in (ALICE, BOB, BOB):
        board = d.with_reaction(message(1), "x", user, False)(board)
    assert board == BOARD


@pytest.mark.parametrize("limit", ["MAX_EMOJI", "MAX_REACTING"])
def test_there_is_an_end_to_reactions(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(d, limit, 1)
    board = d.with_reaction(message(1), "x", ALICE, True)(BOARD)
    emoji = "y" if limit == "MAX_EMOJI" else "x"
    with pytest.raises(Forbidden):
        d.with_reaction(message(1), emoji, BOB, True)(board)


def test_what_is_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(d, "MAX_REACTED", 2)
    monkeypatch.setattr(d, "MAX_FILES", 2)
    board = BOARD
    for number in range(3):
        board = d.with_reaction(message(number), "x", ALICE, True)(board)
        board = d.with_file(StoredFile(f"f{number}", "a", "", 0, ALICE))(board)
    assert list(board.reactions) == [message(1), message(2)]
    assert [file.id for file in board.files] == ["f1", "f2"]
