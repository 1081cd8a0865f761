"""Text with marked stretches (bold, a mention, a link), as most platforms send and want it. Pure.

Inside, stretches are counted in code points, as Python does. `decode_spans` and `encode_spans` are
the way from and to a platform's own unit; `pieces` and `join` the way to text that is marked piece
by piece, which is what segments are made of.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from onebus.text import Unit, char_size, cuts


class Span(Struct, frozen=True):
    """A stretch from `start` up to before `end`, and what it is: any value of the connector's."""

    start: int
    end: int
    value: Any


class Piece(Struct, frozen=True):
    """A text and everything that holds for all of it, the outermost first."""

    text: str
    values: tuple[Any, ...] = ()


Marked = tuple[str, list[Span]]
"""A text and its spans, in code points."""


def decode_spans(text: str, spans: Iterable[Span], unit: Unit) -> list[Span]:
    """Spans in a platform's unit → in code points.

    One that begins or ends inside a character takes in all of it; what is beyond the text is cut
    off, and what is empty left out: offsets come from strangers.
    """
    marks = _marks(text, unit)
    found = []
    for span in spans:
        start = max(bisect_right(marks, max(span.start, 0)) - 1, 0)
        end = min(bisect_left(marks, span.end), len(text))
        if start < end:
            found.append(replace(span, start=start, end=end))
    return found


def encode_spans(text: str, spans: Iterable[Span], unit: Unit) -> list[Span]:
    """Spans in code points → in a platform's unit."""
    marks = _marks(text, unit)
    return [replace(span, start=marks[span.start], end=marks[span.end]) for span in spans]


def _marks(text: str, unit: Unit) -> Sequence[int]:
    """Where each character begins in this unit, and where the text ends."""
    if unit == "point" or text.isascii():
        return range(len(text) + 1)
    return list(accumulate(map(char_size(unit), text), initial=0))


def pieces(text: str, spans: Iterable[Span]) -> list[Piece]:
    """Cut a text wherever a span begins or ends; overlaps are as good as nesting."""
    ordered = sorted(
        (span for span in spans if span.start < span.end), key=lambda one: (one.start, -one.end)
    )
    places = {0, len(text), *(one.start for one in ordered), *(one.end for one in ordered)}
    found: list[Piece] = []
    active: list[Span] = []
    coming = iter([*ordered, Span(len(text) + 1, len(text) + 1, None)])
    following = next(coming)
    steps = sorted(places)
    for start, end in pairwise(steps):
        active = [span for span in active if span.end > start]
        while following.start <= start:
            active.append(following)
            following = next(coming)
        found.append(Piece(text[start:end], tuple(span.value for span in active)))
    return found


def join(parts: Iterable[Piece]) -> Marked:
    """Pieces → a text and its spans; neighbours that share a value share its span."""
    texts: list[str] = []
    done: list[Span] = []
    going: list[Span] = []
    at = 0
    for piece in parts:
        if piece.text:
            end = at + len(piece.text)
            ended = going
            going = [_grown(value, at, end, ended) for value in piece.values]
            done += ended
            texts.append(piece.text)
            at = end
    return "".join(texts), sorted([*done, *going], key=lambda span: (span.start, -span.end))


def _grown(value: Any, at: int, end: int, before: list[Span]) -> Span:
    """The span of a value that goes on from the piece before, taken out there, or begins here."""
    for place, span in enumerate(before):
        if span.value == value:
            del before[place]
            return replace(span, end=end)
    return Span(at, end, value)


def split_spans(
    marked: Marked, limit: int, unit: Unit, whole: Callable[[Any], bool] = lambda _: False
) -> list[Marked]:
    """A text with its spans → parts of at most `limit` units, each with its own spans.

    A span that is cut goes on in the next part. One whose value is to stay `whole` (a mention, say)
    goes into the next part as a whole, if it fits there. Parts of blanks alone are left out.
    """
    text, spans = marked
    kept = [span for span in spans if whole(span.value)]

    def before(start: int, cut: int) -> int:
        torn = [span.start for span in kept if start < span.start < cut < span.end]
        return min(torn, default=cut)

    parts = []
    for start, end in cuts(text, limit, unit, before):
        part = text[start:end]
        if part.strip():
            parts.append((part, _within(spans, start, end)))
    return parts


def _within(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """The spans of a part, counted from its own beginning."""
    moved = (
        replace(span, start=max(span.start, start) - start, end=min(span.end, end) - start)
        for span in spans
    )
    return [span for span in moved if span.start < span.end]
