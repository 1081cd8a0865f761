"""Parameters in every form that bots write them."""

import json
import re
from typing import Any

import pytest

from frontends.onebot_v11.params import (
    given,
    read_bool,
    read_choice,
    read_id,
    read_int,
    read_object,
    read_optional_id,
    read_text,
)
from onebus.errors import BadParams


@pytest.mark.parametrize("value", [True, 1, 1.0, "1", "true", "TRUE", " Yes ", "on"])
def test_true(value: Any) -> None:
    assert read_bool({"x": value}, "x", False) is True


@pytest.mark.parametrize("value", [False, 0, "0", "false", "No", "oFF"])
def test_false(value: Any) -> None:
    assert read_bool({"x": value}, "x", True) is False


@pytest.mark.parametrize("params", [{}, {"x": None}, {"x": ""}, {"x": "  "}])
def test_what_is_absent_has_its_default(params: dict[str, Any]) -> None:
    assert read_bool(params, "x", True) is True
    assert read_int(params, "x", 5) == 5
    assert read_text(params, "y", "z") == "z"
    assert read_optional_id(params, "x") is None
    for read in (read_bool, read_int, read_text, read_id):
        with pytest.raises(BadParams, match="`x` is missing"):
            read(params, "x")


@pytest.mark.parametrize("value", [2, -1, 0.5, "maybe", "2", [True], {"a": 1}])
def test_neither_true_nor_false(value: Any) -> None:
    with pytest.raises(BadParams, match=r"`x` is .* but must be true or false"):
        read_bool({"x": value}, "x", False)


@pytest.mark.parametrize(
    ("value", "expect"),
    [
        (0, 0),
        (1.0, 1),
        (" -5 ", -5),
        ("007", 7),
        (9007199254740993, 9007199254740993),
        ("9007199254740993", 9007199254740993),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_integers(value: Any, expect: int) -> None:
    found = read_int({"x": value}, "x", 30)
    assert found == expect
    assert type(found) is int


@pytest.mark.parametrize(
    "value",
    [1.5, float("nan"), float("inf"), 1e30, True, "1.5", "1e3", "0x1", "１２", "a", 2**63, [1]],
)
def test_no_integers(value: Any) -> None:
    with pytest.raises(BadParams, match=r"`x` is .* but must be an integer"):
        read_int({"x": value}, "x", 30)


@pytest.mark.parametrize("digits", [19, 10_000])
def test_an_integer_has_64_bits(digits: int) -> None:
    with pytest.raises(BadParams, match="but must be an integer"):
        read_int({"x": "9" * digits}, "x")


def test_an_integer_has_a_least_value() -> None:
    assert read_int({"duration": 0}, "duration", 1800, minimum=0) == 0
    text = "`duration` is -1, but must be an integer from 0"
    with pytest.raises(BadParams, match=re.escape(text)):
        read_int({"duration": -1}, "duration", 1800, minimum=0)


@pytest.mark.parametrize(
    ("value", "expect"),
    [
        (123, 123),
        (123.0, 123),
        ("123", 123),
        (" 123 ", 123),
        ("-123", -123),
        (-123, -123),
        ("9007199254740993", 9007199254740993),
        ("alice", "alice"),
        ("oABC_-x", "oABC_-x"),
        ("007", "007"),
        ("１２", "１２"),
        ("9" * 25, "9" * 25),
    ],
)
def test_ids(value: Any, expect: int | str) -> None:
    assert read_id({"user_id": value}, "user_id") == expect


@pytest.mark.parametrize("value", [True, 1.5, 2.0**60, [1], {"id": 1}])
def test_no_ids(value: Any) -> None:
    with pytest.raises(BadParams, match=r"`user_id` is .* platform's own id"):
        read_id({"user_id": value}, "user_id")


def test_an_id_under_two_names() -> None:
    assert read_id({"flag": "f"}, "anonymous_flag", "flag") == "f"
    assert read_id({"a": None, "b": 0, "c": 3, "d": 4}, "a", "b", "c", "d") == 3
    assert read_optional_id({"group_id": 0}, "group_id") is None
    with pytest.raises(BadParams, match="`user_id` is missing"):
        read_id({"user_id": 0}, "user_id")


def test_text() -> None:
    assert read_text({"x": 5}, "x") == "5"
    assert read_text({"card": ""}, "card", "old") == ""
    with pytest.raises(BadParams, match=r"`x` is .* but must be text"):
        read_text({"x": ["a"]}, "x")


def test_one_of_some_words() -> None:
    assert read_choice({"x": " add "}, "x", ("add", "invite")) == "add"
    with pytest.raises(BadParams, match="`x` is leave, but must be one of add, invite"):
        read_choice({"x": "leave"}, "x", ("add", "invite"))
    with pytest.raises(BadParams, match="`x` is missing"):
        read_choice({}, "x", ("add",))


@pytest.mark.parametrize("value", [{"a": 1}, '{"a":1}', ' {"a": 1} '])
def test_objects(value: Any) -> None:
    assert read_object({"x": value}, "x") == {"a": 1}


@pytest.mark.parametrize("value", [[1], "[1]", 5, "{", "x", "[" * 100_000, "\ud800"])
def test_no_objects(value: Any) -> None:
    with pytest.raises(BadParams, match=r"`x`.* must be an object"):
        read_object({"x": value}, "x")


def test_no_object_at_all() -> None:
    assert read_object({"x": None}, "x") is None
    assert read_object({"x": ""}, "x") is None


def test_which_of_two_names_is_used() -> None:
    assert given({"type": "a"}, "sub_type", "type") == "type"
    assert given({"sub_type": "", "type": "a"}, "sub_type", "type") == "type"
    assert given({"sub_type": "a", "type": "b"}, "sub_type", "type") == "sub_type"
    assert given({}, "sub_type", "type") == "sub_type"


def test_an_error_does_not_repeat_a_whole_body() -> None:
    with pytest.raises(BadParams) as caught:
        read_int({"x": json.dumps(list(range(10_000)))}, "x")
    assert len(str(caught.value)) < 120
