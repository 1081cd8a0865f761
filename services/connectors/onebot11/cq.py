"""Messages as CQ text, `hi[CQ:face,id=178]`, for implementations set to that; pure, reading only.

Source: https://github.com/botuniverse/onebot-11/blob/master/message/string.md. We always send
arrays. Linear time, since a text may hold megabytes of base64.
"""

import re
from collections.abc import Iterator
from typing import Any

_CODE = re.compile(r"\[CQ:([^,\[\]]+)((?:,[^\]\[]*)?)\]")
"""A name without brackets, then anything up to the next bracket: it is never read twice."""


def parse_cq(text: str) -> list[dict[str, Any]]:
    """CQ text → segments; what is no complete code is text."""
    found: list[dict[str, Any]] = []
    for piece in _pieces(text):
        if piece["type"] == "text" and found and found[-1]["type"] == "text":
            found[-1]["data"]["text"] += piece["data"]["text"]
        else:
            found.append(piece)
    return found


def _pieces(text: str) -> Iterator[dict[str, Any]]:
    rest = 0
    for code in _CODE.finditer(text):
        if code.start() > rest:
            yield _text(text[rest : code.start()])
        rest = code.end()
        yield {"type": unescape(code[1].strip()), "data": _params(code[2])}
    if rest < len(text):
        yield _text(text[rest:])


def _text(raw: str) -> dict[str, Any]:
    return {"type": "text", "data": {"text": unescape(raw)}}


def _params(raw: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in raw.split(","))
    return {unescape(key.strip()): unescape(value) for key, eq, value in pairs if eq}


def unescape(text: str) -> str:
    """Entities → what they stand for, once. Source: string.md, "转义"."""
    for entity, char in (("&#91;", "["), ("&#93;", "]"), ("&#44;", ","), ("&amp;", "&")):
        text = text.replace(entity, char)
    return text
