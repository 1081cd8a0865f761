"""Messages as text: CQ codes, `[CQ:face,id=178]`, between plain text.

Source: https://github.com/botuniverse/onebot-11/blob/master/message/string.md. Where the standard
is silent, what clients send is read leniently, and never emitted. Both ways take linear time: a
message may hold megabytes of base64.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

OPENING = "[CQ:"
"""How a code begins: a text without it is text alone."""


class RawSegment(TypedDict):
    """A segment as OneBot V11 writes it; ours have text values, but for a node's `content`.

    Source: https://github.com/botuniverse/onebot-11/blob/master/message/array.md
    """

    type: str
    data: dict[str, Any]


def parse_cq(text: str) -> list[RawSegment]:
    """CQ text → segments; what is no complete code is text. Never fails."""
    segments: list[RawSegment] = []
    words: list[str] = []
    for piece in _pieces(text):
        if isinstance(piece, str):
            words.append(piece)
            continue
        _flush(words, segments)
        segments.append(piece)
    _flush(words, segments)
    return segments


def format_cq(segments: Sequence[RawSegment]) -> str:
    """Segments → CQ text; a node's content becomes CQ text inside it."""
    return "".join(map(_format, segments))


def escape_text(text: str) -> str:
    """Plain text → CQ text. Source: string.md, "转义"."""
    return text.replace("&", "&amp;").replace("[", "&#91;").replace("]", "&#93;")


def escape_value(text: str) -> str:
    """A parameter's value → CQ text: commas too. Source: string.md, "转义"."""
    return escape_text(text).replace(",", "&#44;")


def unescape(text: str) -> str:
    """CQ text → plain text, once: `&amp;#91;` is `&#91;`."""
    if "&" not in text:
        return text
    for entity, char in (("&#91;", "["), ("&#93;", "]"), ("&#44;", ","), ("&amp;", "&")):
        text = text.replace(entity, char)
    return text


def _flush(words: list[str], segments: list[RawSegment]) -> None:
    if text := "".join(words):
        segments.append({"type": "text", "data": {"text": text}})
    words.clear()


def _pieces(text: str) -> Iterator[str | RawSegment]:
    """Plain texts and codes in order; `closing` only moves forward, so nothing is read twice."""
    rest = 0
    closing = -1
    opening = text.find(OPENING)
    while opening >= 0:
        if closing < opening:
            closing = text.find("]", opening)
        if closing < 0:
            break
        name, params = _inside(text, opening + len(OPENING), closing)
        if not name:
            opening = text.find(OPENING, opening + len(OPENING))
            continue
        yield unescape(text[rest:opening])
        yield _piece(name, _params(params))
        rest = closing + 1
        opening = text.find(OPENING, rest)
    yield unescape(text[rest:])


def _inside(text: str, start: int, closing: int) -> tuple[str, str]:
    """Name and parameters between `[CQ:` and `]`; no name when a bracket stands in it.

    The bracket is looked for first: in `[CQ:[CQ:[CQ:…` each search then ends at the next one.
    """
    bracket = text.find("[", start, closing)
    comma = text.find(",", start, bracket if bracket >= 0 else closing)
    if comma >= 0:
        return unescape(text[start:comma].strip()), text[comma + 1 : closing]
    return ("", "") if bracket >= 0 else (unescape(text[start:closing].strip()), "")


def _params(text: str) -> dict[str, Any]:
    """`a=1,b=2` → its pairs; the last of a repeated key wins, a part without `=` is dropped."""
    data: dict[str, Any] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if equals and (key := key.strip()):
            data[unescape(key)] = unescape(value)
    return data


def _piece(name: str, data: dict[str, Any]) -> str | RawSegment:
    """A code; `[CQ:text,text=hi]` is plain text."""
    if name == "text":
        return str(data.get("text", ""))
    return {"type": name, "data": data}


def _format(segment: RawSegment) -> str:
    data = segment["data"]
    if segment["type"] == "text":
        return escape_text(data.get("text", ""))
    params = "".join(f",{escape_value(key)}={_value(data[key])}" for key in data)
    return f"[CQ:{escape_value(segment['type'])}{params}]"


def _value(value: Any) -> str:
    return escape_value(format_cq(value) if isinstance(value, list) else value)
