"""The verdict on records made by hand."""

from typing import Any

import pytest
from tests.e2e.faults.verdict import Record, Verdict, judge, most_between, repeats


def record(*came: tuple[str, int]) -> Record:
    """A bot that got these texts under these event ids."""
    made = Record("bot")
    for text, event_id in came:
        event: dict[str, Any] = {"raw_message": text, "event_id": str(event_id)}
        made.note(event | {"message_id": event_id})
    return made


@pytest.mark.parametrize(
    ("came", "verdict"),
    [
        ([("g001#1", 1), ("g002#1", 2), ("g001#2", 3)], Verdict(0, 0, 0, 0)),
        ([("g001#1", 1), ("g002#1", 2)], Verdict(1, 0, 0, 0)),
        ([], Verdict(3, 0, 0, 0)),
        # A window that is sent again, in order, is repeated and nothing else.
        (
            [("g001#1", 1), ("g001#2", 3), ("g001#1", 1), ("g001#2", 3), ("g002#1", 2)],
            Verdict(0, 2, 0, 0),
        ),
        ([("g001#1", 1), ("g001#1", 2), ("g001#2", 3), ("g002#1", 4)], Verdict(0, 0, 1, 0)),
        ([("g001#2", 3), ("g001#1", 1), ("g002#1", 2)], Verdict(0, 0, 0, 1)),
        # More than was acknowledged is no fault: an answer may be lost.
        ([("g001#1", 1), ("g002#1", 2), ("g001#2", 3), ("g001#3", 4)], Verdict(0, 0, 0, 0)),
        ([("hello", 1)], Verdict(3, 0, 0, 0)),
    ],
)
def test_what_is_counted(came: list[tuple[str, int]], verdict: Verdict) -> None:
    found = judge(record(*came), {"g001": 2, "g002": 1})
    assert found == verdict
    assert found.clean == (verdict[0] == verdict[2] == verdict[3] == 0)


def test_a_chat_nobody_spoke_in_is_judged_too() -> None:
    assert judge(record(("x001#2", 1), ("x001#1", 2)), {}) == Verdict(0, 0, 0, 1)


def test_which_frames_came_again() -> None:
    again = record(("g001#1", 1), ("g001#2", 2), ("g001#2", 2), ("g001#2", 2))
    assert len(repeats(again)) == 2


def test_most_between_two_marks() -> None:
    assert most_between([1.5, 2.5, 2.6, 9.0], [1.0, 2.0, 3.0]) == 2
    assert most_between([], [1.0]) == 0


def test_who_has_the_last_of_every_chat() -> None:
    had = record(("g001#1", 1), ("g001#2", 2))
    assert had.has({"g001": 2, "g002": 0})
    assert not had.has({"g001": 3})
    assert not had.has({"g001": 2, "g002": 1})
