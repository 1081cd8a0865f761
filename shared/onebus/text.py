"""Text in the unit that a platform counts, and cut into parts that fit. Pure.

A part never ends inside of what is seen as one character (an emoji of several, an accent, a flag).
It ends after a line where it can, else after a word. What is seen as one: most of
https://unicode.org/reports/tr29/, without the rules of scripts that need a table.
"""

import unicodedata
from collections.abc import Callable, Iterator
from typing import Literal

Unit = Literal["utf16", "point", "byte"]
"""UTF-16 code units (Telegram, JavaScript), code points (Python, Matrix), or bytes of UTF-8."""

MIN_LIMIT = 4
"""The longest character in any unit."""

_MAX_CLUSTER = 64
"""Code points; what is stacked higher is cut anywhere: nobody can read it."""
_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_TAGS = range(0xE0020, 0xE0080)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_JAMO = range(0x1100, 0x1200)
_JAMO_VOWEL = 0x1160


def size(text: str, unit: Unit) -> int:
    """How long a text is in this unit."""
    match unit:
        case "point":
            return len(text)
        case "byte":
            return len(text.encode("utf-8", "surrogatepass"))
        case "utf16":
            return len(text) + sum(char > "\uffff" for char in text)


def char_size(unit: Unit) -> Callable[[str], int]:
    """How long a character is in this unit, as a function of the character."""
    match unit:
        case "point":
            return lambda _: 1
        case "utf16":
            return lambda char: 1 + (char > "\uffff")
        case "byte":
            return _bytes_of


def _bytes_of(char: str) -> int:
    if char < "\x80":
        return 1
    if char < "\u0800":
        return 2
    return 3 + (char > "\uffff")


def split(text: str, limit: int, unit: Unit) -> list[str]:
    """A text → parts of at most `limit` units, in order; parts of blanks alone are left out."""
    parts = (text[start:end] for start, end in cuts(text, limit, unit))
    return [part for part in parts if part.strip()]


def cuts(
    text: str, limit: int, unit: Unit, before: Callable[[int, int], int] = lambda _, cut: cut
) -> Iterator[tuple[int, int]]:
    """Where to cut: start and end of each part, in code points, with nothing left out.

    `before(start, cut)` may move a cut to the front, when what it would tear should stay whole.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"no text can be cut into parts of {limit}")
    start, measure = 0, char_size(unit)
    while start < len(text):
        end = _fitting(text, start, limit, measure)
        if end < len(text):
            end = before(start, _best_cut(text, start, end))
        yield start, end
        start = end


def _fitting(text: str, start: int, limit: int, measure: Callable[[str], int]) -> int:
    """The end of the longest part from here."""
    left = limit
    for place in range(start, len(text)):
        left -= measure(text[place])
        if left < 0:
            return place
    return len(text)


def _best_cut(text: str, start: int, end: int) -> int:
    """The last good place in the second half: a line's end, a word's, a character's."""
    half = start + (end - start) // 2
    line = text.rfind("\n", half, end) + 1
    if line:
        return _between(text, start, line)
    if text[end].isspace():
        return _between(text, start, end)
    for place in range(end, half, -1):
        if text[place - 1].isspace():
            return _between(text, start, place)
    return _between(text, start, end)


def _between(text: str, start: int, cut: int) -> int:
    """The last place at or before `cut` where a cut does not tear what is seen as one."""
    for place in range(cut, max(start, cut - _MAX_CLUSTER), -1):
        if not _belong_together(text, start, place):
            return place
    return cut


def _belong_together(text: str, start: int, place: int) -> bool:
    """Whether the characters before and after this place are seen as one."""
    if place >= len(text):
        return False
    left, right = text[place - 1], text[place]
    if left in {"\r", "\n"}:
        return left == "\r" and right == "\n"
    if left == _JOINER or _extends(right):
        return True
    if ord(left) in _FLAG_LETTERS and ord(right) in _FLAG_LETTERS:
        return _flag_letters_before(text, start, place) % 2 == 1
    return ord(left) in _JAMO and ord(right) in _JAMO and ord(right) >= _JAMO_VOWEL


def _extends(char: str) -> bool:
    """Whether a character belongs to the one before it: accents, selectors, joiners, skin tones."""
    code = ord(char)
    if code < 0x300:
        return False
    return (
        char == _JOINER
        or code in _SKIN_TONES
        or code in _TAGS
        or unicodedata.category(char).startswith("M")
    )


def _flag_letters_before(text: str, start: int, place: int) -> int:
    first = place
    while first > start and ord(text[first - 1]) in _FLAG_LETTERS:
        first -= 1
    return place - first
