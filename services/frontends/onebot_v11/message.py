"""The `message` parameter in every form that bots send it, as raw segments.

Source: https://github.com/botuniverse/onebot-11/tree/master/api#参数 and `message/*.md` there.
"""

from typing import Any

from frontends.onebot_v11.cq import OPENING, RawSegment, parse_cq, unescape
from onebus.codec import CodecError, decode_any, encode
from onebus.errors import BadParams

MAX_SEGMENTS = 10_000
"""Most segments of one message, those inside forward nodes included."""

MAX_NODES = 100
"""Most forward nodes of one message, nested ones included."""

MAX_DEPTH = 3
"""Most forward nodes inside one another."""

_EXACT_FLOAT = 2.0**53


def read_message(
    value: object, *, auto_escape: bool = False, from_text_param: bool = False
) -> list[RawSegment]:
    """A message parameter → its segments; values are text, a node's `content` is a list of them.

    `auto_escape`: a string is plain text, to the letter. `from_text_param`: the value comes from a
    query or form, where arrays and objects are JSON text. Raises BadParams, also when it is empty.
    """
    counted = _Counted()
    if isinstance(value, str) and auto_escape:
        value = {"type": "text", "data": {"text": value}}
    elif isinstance(value, str) and from_text_param:
        value = _segments_in(value)
    segments = _read(value, counted, "message", 0)
    if not segments:
        raise BadParams("`message` is empty: give it some text or at least one segment")
    return segments


class _Counted:
    """How much one message holds so far."""

    def __init__(self) -> None:
        self.segments = 0
        self.nodes = 0

    def check_codes(self, text: str) -> None:
        """Raises BadParams before a text with too many codes is parsed, which costs memory."""
        self._check(self.segments + text.count(OPENING))

    def add_segments(self, count: int) -> None:
        """Raises BadParams beyond MAX_SEGMENTS; asked before segments are looked at."""
        self.segments += count
        self._check(self.segments)

    def _check(self, count: int) -> None:
        if count > MAX_SEGMENTS:
            raise BadParams(f"`message` has more than {MAX_SEGMENTS} segments: send it in parts")

    def add_node(self, depth: int) -> None:
        """Raises BadParams beyond MAX_NODES or MAX_DEPTH."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise BadParams(f"`message` has more than {MAX_NODES} forward nodes")
        if depth > MAX_DEPTH:
            raise BadParams(f"`message` nests forward nodes deeper than {MAX_DEPTH} levels")


def _read(value: object, counted: _Counted, where: str, depth: int) -> list[RawSegment]:
    """Any form of message → segments, empty texts dropped. `depth` counts the nodes around it."""
    if isinstance(value, str):
        if OPENING not in value:  # as in most messages
            counted.add_segments(1)
            return [{"type": "text", "data": {"text": unescape(value)}}] if value else []
        counted.check_codes(value)
        items: list[Any] = [*parse_cq(value)]
    elif isinstance(value, dict | list):
        items = value if isinstance(value, list) else [value]
    else:
        raise BadParams(
            f"`{where}` must be a string, an array of segments or one segment, not {_show(value)}"
        )
    counted.add_segments(len(items))
    read = [_segment(item, counted, f"{where}[{i}]", depth) for i, item in enumerate(items)]
    return [raw for raw in read if raw["type"] != "text" or raw["data"].get("text")]


def _segment(item: object, counted: _Counted, where: str, depth: int) -> RawSegment:
    """One segment with text values; null parameters are as good as absent."""
    kind = item.get("type") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(kind, str) or not kind.strip():
        raise BadParams(
            f'`{where}` must be a segment, {{"type": "text", "data": {{…}}}}, not {_show(item)}'
        )
    data = item.get("data")
    if not isinstance(data, dict | None):
        raise BadParams(f"`{where}.data` must be an object, not {_show(data)}")
    present = {key: value for key, value in (data or {}).items() if value is not None}
    if kind != "node":
        return {"type": kind, "data": {key: as_text(value) for key, value in present.items()}}
    counted.add_node(depth + 1)
    return {"type": kind, "data": _node(present, counted, where, depth + 1)}


def _node(data: dict[str, Any], counted: _Counted, where: str, depth: int) -> dict[str, Any]:
    """A forward node's parameters; its content is a message of its own, JSON text included."""
    read: dict[str, Any] = {key: as_text(data[key]) for key in data if key != "content"}
    if (content := data.get("content")) is not None:
        if isinstance(content, str):
            content = _segments_in(content)
        read["content"] = _read(content, counted, f"{where}.data.content", depth)
    return read


def as_text(value: object) -> str:
    """A parameter's value as a segment carries it: objects as JSON text, booleans as 1 and 0."""
    match value:
        case str():
            return value
        case bool():
            return "1" if value else "0"
        case float() if value.is_integer() and abs(value) < _EXACT_FLOAT:
            return str(int(value))
        case int() | float():
            return str(value)
    return encode(value).decode()


def _segments_in(text: str) -> object:
    """JSON text of segments → those; any other text as it is.

    A person may well say `[1,2]` or `{}`: only what cannot be anything but segments is taken.
    """
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        value = decode_any(text.encode("utf-8", "surrogatepass"))
    except CodecError:
        return text
    items = value if isinstance(value, list) else [value]
    if items and all(isinstance(i, dict) and isinstance(i.get("type"), str) for i in items):
        return value
    return text


def _show(value: object) -> str:
    """What was given, short enough for an error."""
    shown = as_text(value) if value is not None else "null"
    return shown if len(shown) <= 60 else shown[:57] + "…"
