"""Splitting: every part fits, nothing is torn that is seen as one, nothing but blanks is lost."""

import time
import unicodedata
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebus.text import MIN_LIMIT, Unit, cuts, size, split

UNITS: tuple[Unit, ...] = get_args(Unit)
CLUSTERS = (
    "é",
    "e\u0301",
    "👍🏽",
    "👩‍👩‍👧",
    "❤️",
    "ก็",
    "🇩🇪",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "\u1112\u1161\u11ab",
    "\r\n",
)
ANY_TEXT = st.text(max_size=300) | st.text(
    st.sampled_from("a \n\r\u0301\u200d好😀🇩🇪👍🏽\ud800"), max_size=300
)


@settings(max_examples=300)
@given(ANY_TEXT, st.integers(MIN_LIMIT, 40), st.sampled_from(UNITS))
def test_parts_fit_and_lose_nothing(text: str, limit: int, unit: Unit) -> None:
    parts = [text[start:end] for start, end in cuts(text, limit, unit)]
    assert "".join(parts) == text
    assert all(0 < size(part, unit) <= limit for part in parts)
    assert split(text, limit, unit) == [part for part in parts if part.strip()]


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_sizes_are_those_of_the_encodings(text: str) -> None:
    assert size(text, "utf16") == len(text.encode("utf-16-le")) // 2
    assert size(text, "byte") == len(text.encode())
    assert size(text, "point") == len(text)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_cluster_is_not_torn(cluster: str, unit: Unit) -> None:
    for before in range(40 - size(cluster, unit) - 2, 41):
        first, *_ = split("x" * before + cluster + "y" * 40, 40, unit)
        rest = first[before:]
        assert rest == "" or rest.startswith(cluster)


def test_flags_are_cut_between_two() -> None:
    for parts in (split("🇩🇪" * 30, limit, "point") for limit in range(4, 30)):
        assert "".join(parts) == "🇩🇪" * 30
        assert all(len(part) % 2 == 0 for part in parts)


def test_marks_without_end_are_cut_all_the_same() -> None:
    text = "a" + "\u0301" * 500
    assert unicodedata.category(text[1]) == "Mn"
    parts = split(text, 100, "byte")
    assert "".join(parts) == text
    assert len(parts) < 15


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("first line\nsecond line", ["first line\n", "second line"]),
        ("some words here again", ["some words ", "here again"]),
        ("some words\nare few and", ["some words\n", "are few and"]),
        ("exactly one bound next", ["exactly one ", "bound next"]),
        ("a veryveryverylongword", ["a veryveryver", "ylongword"]),
        ("ten chars \n \n \n \n \n", ["ten chars \n \n"]),
        ("   \n\t ", []),
        ("", []),
    ],
)
def test_lines_and_words_stay_whole_where_they_can(text: str, parts: list[str]) -> None:
    assert split(text, 13, "point") == parts


def test_no_limit_below_one_character() -> None:
    with pytest.raises(ValueError, match="parts of 3"):
        split("abcd", 3, "byte")


def test_splitting_takes_linear_time() -> None:
    began = time.process_time()
    parts = split("好" * 1_000_000, 2048, "byte")
    assert time.process_time() - began < 5
    assert len(parts) == -(-1_000_000 // 682)
