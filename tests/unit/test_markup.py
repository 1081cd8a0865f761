"""Marked text: offsets in any unit, pieces and spans say the same, and no part loses a mark."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebus.markup import Marked, Piece, Span, decode_spans, encode_spans, join, pieces, split_spans
from onebus.text import Unit, size

UNITS: tuple[Unit, ...] = get_args(Unit)
LETTERS = st.sampled_from("ab \n好😀é")


@st.composite
def marked(draw: st.DrawFn) -> Marked:
    text = draw(st.text(LETTERS, max_size=60))
    place = st.integers(0, len(text))
    spans = draw(st.lists(st.builds(Span, place, place, st.sampled_from("BIU")), max_size=8))
    return text, [span for span in spans if span.start < span.end]


def marks(parts: list[Marked]) -> list[tuple[str, frozenset[str]]]:
    """Each character with what holds for it."""
    return [
        (char, frozenset(span.value for span in spans if span.start <= place < span.end))
        for text, spans in parts
        for place, char in enumerate(text)
    ]


@settings(max_examples=200)
@given(marked(), st.sampled_from(UNITS))
def test_offsets_go_there_and_back(given_: Marked, unit: Unit) -> None:
    text, spans = given_
    there = encode_spans(text, spans, unit)
    assert [(s.start, s.end) for s in there] == [
        (size(text[: s.start], unit), size(text[: s.end], unit)) for s in spans
    ]
    assert decode_spans(text, there, unit) == spans


@settings(max_examples=200)
@given(
    st.text(LETTERS, max_size=30),
    st.lists(st.builds(Span, st.integers(-9, 99), st.integers(-9, 99), st.just("B"))),
    st.sampled_from(UNITS),
)
def test_offsets_of_a_stranger_stay_inside(text: str, spans: list[Span], unit: Unit) -> None:
    for span in decode_spans(text, spans, unit):
        assert 0 <= span.start < span.end <= len(text)


def test_a_span_that_begins_inside_a_character_takes_in_all_of_it() -> None:
    assert decode_spans("a😀b", [Span(2, 3, "B")], "utf16") == [Span(1, 2, "B")]
    assert decode_spans("a😀b", [Span(0, 2, "B")], "utf16") == [Span(0, 2, "B")]


@settings(max_examples=300)
@given(marked())
def test_pieces_say_the_same_as_spans(given_: Marked) -> None:
    text, spans = given_
    parts = pieces(text, spans)
    assert "".join(piece.text for piece in parts) == text
    assert all(piece.text for piece in parts)
    assert marks([join(parts)]) == marks([given_])


def test_pieces_are_cut_where_something_changes() -> None:
    spans = [Span(2, 4, "I"), Span(0, 4, "B"), Span(5, 6, "U")]
    assert pieces("abcdef", spans) == [
        Piece("ab", ("B",)),
        Piece("cd", ("B", "I")),
        Piece("e"),
        Piece("f", ("U",)),
    ]
    assert pieces("", []) == []


def test_neighbours_share_a_span() -> None:
    parts = [Piece("a", ("B",)), Piece("", ("I",)), Piece("b", ("B", "I")), Piece("c", ("I",))]
    assert join(parts) == ("abc", [Span(0, 2, "B"), Span(1, 3, "I")])
    apart = [Piece("a", ("B",)), Piece("-"), Piece("b", ("B",))]
    assert join(apart) == ("a-b", [Span(0, 1, "B"), Span(2, 3, "B")])


@settings(max_examples=300)
@given(marked(), st.integers(4, 20), st.sampled_from(UNITS))
def test_parts_keep_their_marks(given_: Marked, limit: int, unit: Unit) -> None:
    parts = split_spans(given_, limit, unit)
    for text, spans in parts:
        assert size(text, unit) <= limit
        assert all(0 <= span.start < span.end <= len(text) for span in spans)
    kept = [mark for mark in marks(parts) if not mark[0].isspace()]
    assert kept == [mark for mark in marks([given_]) if not mark[0].isspace()]


@pytest.mark.parametrize("before", range(4, 16))
def test_a_mention_is_not_cut_where_it_fits(before: int) -> None:
    text, mention = "x" * before + "@somebody" + "y" * 9, Span(before, before + 9, "mention")
    parts = split_spans((text, [mention]), 12, "point", lambda value: value == "mention")
    assert "".join(text for text, _ in parts) == text
    shown = [text[span.start : span.end] for text, spans in parts for span in spans]
    assert shown == ["@somebody"]


def test_a_mention_longer_than_a_part_is_cut() -> None:
    text = "ab" + "m" * 30
    parts = split_spans((text, [Span(2, 32, "mention")]), 12, "point", lambda _: True)
    assert "".join(text for text, _ in parts) == text
    assert all(spans for _, spans in parts[1:])
