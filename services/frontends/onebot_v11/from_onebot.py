"""What a bot sends → segments of the model, one small function per type.

Source of names and values: https://github.com/botuniverse/onebot-11/blob/master/message/segment.md,
and the forms that go-cqhttp, NapCat and LLOneBot made common. A type that nobody knows is kept as
`Unknown`; only a known one that lacks what it needs is refused.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from msgspec import Struct

from frontends.onebot_v11.cq import RawSegment
from frontends.onebot_v11.references import Natives, WireIds
from onebus import segment as seg
from onebus.errors import BadParams
from onebus.ids import ChatId, UserId
from onebus.segment import Node, Segment, Segments

TRUE = frozenset({"1", "yes", "true", "on"})
FALSE = frozenset({"0", "no", "false", "off"})

_Data = Mapping[str, Any]


class Translated(Struct, frozen=True):
    """A message ready for a connector; `notes` says what of it could not be kept as it was."""

    segments: Segments
    notes: tuple[str, ...] = ()


def wire_ids(raw: Sequence[RawSegment]) -> WireIds:
    """The ids in a message that must be looked up before it can be translated."""
    kinds = ("user", "group", "message", "node")
    found: dict[str, set[str]] = {kind: set() for kind in kinds}
    for kind, text in _wire_ids(raw):
        found[kind].add(text)
    return WireIds(*map(frozenset, found.values()))


def only_text(raw: Sequence[RawSegment]) -> Segments | None:
    """A message that is one text, as most are: no id is looked up. None for all others."""
    if len(raw) == 1 and raw[0]["type"] == "text":
        return (_text(raw[0]["data"]),)
    return None


def from_onebot_message(raw: Sequence[RawSegment], natives: Natives) -> Translated:
    """Segments as `read_message` gives them → the model's; nodes in a row are one forward.

    Raises BadParams for a segment without what its type needs, or when nothing is left to send.
    """
    notes: list[str] = []
    segments = _translate(raw, natives, notes)
    if not segments:
        raise BadParams(f"nothing is left to send: {'; '.join(notes)}")
    return Translated(segments, tuple(notes))


def _wire_ids(raw: Sequence[RawSegment]) -> Iterator[tuple[str, str]]:
    for segment in raw:
        data = segment["data"]
        match segment["type"]:
            case "at" if (user := _at_user(data)) != "all":
                yield "user", user
            case "reply" if text := _message_id(data):
                yield "message", text
            case "contact" if text := data.get("id", "").strip():
                yield "group" if data.get("type") == "group" else "user", text
            case "node":
                yield from _node_ids(data)


def _node_ids(data: _Data) -> Iterator[tuple[str, str]]:
    if (text := _message_id(data)) and "content" not in data:
        yield "node", text
    if user := _node_user(data):
        yield "user", user
    yield from _wire_ids(data.get("content", ()))


def _translate(raw: Sequence[RawSegment], natives: Natives, notes: list[str]) -> Segments:
    segments: list[Segment] = []
    for is_node, run in groupby(raw, lambda segment: segment["type"] == "node"):
        if is_node:
            found = (_node(segment["data"], natives, notes) for segment in run)
            if nodes := tuple(node for node in found if node):
                segments.append(seg.Forward(nodes=nodes))
        else:
            segments.extend(filter(None, (_segment(s, natives, notes) for s in run)))
    return tuple(segments)


def _segment(raw: RawSegment, natives: Natives, notes: list[str]) -> Segment | None:
    """One segment; None when it must be left out, which `notes` then says."""
    kind, data = raw["type"], raw["data"]
    if plain := _PLAIN.get(kind):
        return plain(data)
    known = _WITH_IDS.get(kind)
    if known is None:
        return seg.Unknown(kind, dict(data))
    if segment := known(data, natives):
        return segment
    instead, note = _UNRESOLVED[kind](data)
    notes.append(note)
    return instead


def _text(data: _Data) -> Segment:
    return seg.Text(data.get("text", ""))


def _face(data: _Data) -> Segment:
    return seg.Emoji(_need(data, "face", "id"), data.get("name", ""))


def _image(data: _Data) -> Segment:
    return seg.Image(**_media(data, "image"), flash=data.get("type") == "flash")


def _record(data: _Data) -> Segment:
    return seg.Voice(**_media(data, "record"), magic=_flag(data, "magic", False))


def _video(data: _Data) -> Segment:
    return seg.Video(**_media(data, "video"))


def _file(data: _Data) -> Segment:
    """A file; `file_id` wins, because in a file that was received `file` is only its name."""
    return seg.File(**_media(data, "file", "file_id", "file", "url"))


def _media(data: _Data, kind: str, *names: str) -> dict[str, Any]:
    """What media have in common; some bots send `url` alone where `file` belongs."""
    return {
        "file": _need(data, kind, *(names or ("file", "url"))),
        "url": data.get("url", ""),
        "name": data.get("name") or data.get("file_name", ""),
        "cache": _flag(data, "cache", True),
        "proxy": _flag(data, "proxy", True),
        "timeout_s": _number(data.get("timeout", "")),
    }


def _location(data: _Data) -> Segment:
    latitude, longitude = (_number(_need(data, "location", key)) for key in ("lat", "lon"))
    if latitude is None or longitude is None:
        raise BadParams("segment `location`: `lat` and `lon` must be degrees, such as 39.8969426")
    return seg.Location(latitude, longitude, data.get("title", ""), data.get("content", ""))


def _share(data: _Data) -> Segment:
    url = _need(data, "share", "url")
    return seg.Link(url, data.get("title", ""), data.get("content", ""), data.get("image", ""))


def _music(data: _Data) -> Segment:
    names = ("id", "url", "audio", "title", "content", "image")
    kind = _need(data, "music", "type")
    return seg.Music(kind, **{name: data[name] for name in names if name in data})


def _forward(data: _Data) -> Segment:
    return seg.Forward(_need(data, "forward", "id"))


def _json(data: _Data) -> Segment:
    return seg.Card("json", _need(data, "json", "data"))


def _xml(data: _Data) -> Segment:
    return seg.Card("xml", _need(data, "xml", "data"))


def _markdown(data: _Data) -> Segment:
    return seg.Card("markdown", _need(data, "markdown", "content", "markdown", "data"))


def _poke(data: _Data) -> Segment:
    """A nudge by look. `[CQ:poke,qq=…]` of go-cqhttp nudges a user: nothing of ours says that."""
    if "qq" in data:
        return seg.Unknown("poke", dict(data))
    return seg.Poke(data.get("type", ""), data.get("id", ""), data.get("name", ""))


def _dice(data: _Data) -> Segment:
    return seg.Dice(data.get("result", ""))


def _rps(data: _Data) -> Segment:
    return seg.Rps(data.get("result", ""))


def _shake(_data: _Data) -> Segment:
    return seg.Shake()


def _anonymous(data: _Data) -> Segment:
    return seg.Anonymous(_flag(data, "ignore", False))


def _at(data: _Data, natives: Natives) -> Segment | None:
    user = _at_user(data)
    if user == "all":
        return seg.Mention(None)
    native = natives.users.get(user)
    return None if native is None else seg.Mention(native, data.get("name", ""))


def _reply(data: _Data, natives: Natives) -> Segment | None:
    message = natives.messages.get(_message_id(data))
    return None if message is None else seg.Reply(message)


def _contact(data: _Data, natives: Natives) -> Segment | None:
    text = _need(data, "contact", "id").strip()
    if data.get("type") == "group":
        group = natives.groups.get(text)
        return None if group is None else seg.Contact("group", ChatId(group))
    user = natives.users.get(text)
    return None if user is None else seg.Contact("user", user)


def _node(data: _Data, natives: Natives, notes: list[str]) -> Node | None:
    """A forward node: a message that exists, or one written out under any name."""
    if (text := _message_id(data)) and "content" not in data:
        node = natives.nodes.get(text)
        if node is None:
            notes.append(f"a node was left out: there is no message {text}")
        return node
    user = _node_user(data)
    time_s = _number(data.get("time", ""))
    return Node(
        user=natives.users.get(user, UserId(user)),
        name=data.get("nickname") or data.get("name", ""),
        time_s=None if time_s is None else int(time_s),
        content=_translate(data.get("content", ()), natives, notes),
    )


def _without_user(data: _Data) -> tuple[Segment | None, str]:
    user = _at_user(data)
    return seg.Text(f"@{data.get('name') or user} "), f"`at` went out as text: no user {user}"


def _without_message(data: _Data) -> tuple[Segment | None, str]:
    return None, f"`reply` was left out: there is no message {_message_id(data)}"


def _without_contact(data: _Data) -> tuple[Segment | None, str]:
    return seg.Unknown("contact", dict(data)), f"`contact`: nobody is known as {data.get('id')}"


def _at_user(data: _Data) -> str:
    return _need(data, "at", "qq", "user_id").strip()


def _message_id(data: _Data) -> str:
    text: str = data.get("id", "")
    return text.strip()


def _node_user(data: _Data) -> str:
    """`uin` is go-cqhttp's name for it, and the only one that ZeroBot and Koishi send."""
    text: str = data.get("user_id") or data.get("uin", "")
    return text.strip()


def _need(data: _Data, kind: str, *names: str) -> str:
    """The first of these parameters that has a value. Raises BadParams."""
    for name in names:
        if value := data.get(name):
            return str(value)
    raise BadParams(f"segment `{kind}` needs `{names[0]}`")


def _flag(data: _Data, name: str, default: bool) -> bool:
    """A 0/1 parameter. Source: segment.md, "也可以使用 no 和 yes、false 和 true"."""
    text = data.get(name, "").strip().lower()
    return True if text in TRUE else False if text in FALSE else default


def _number(text: str) -> float | None:
    """A finite number; JSON has no other."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


_PLAIN: dict[str, Callable[[_Data], Segment]] = {
    "text": _text,
    "face": _face,
    "image": _image,
    "record": _record,
    "video": _video,
    "file": _file,
    "location": _location,
    "share": _share,
    "music": _music,
    "forward": _forward,
    "json": _json,
    "xml": _xml,
    "markdown": _markdown,
    "poke": _poke,
    "dice": _dice,
    "rps": _rps,
    "shake": _shake,
    "anonymous": _anonymous,
}
_WITH_IDS: dict[str, Callable[[_Data, Natives], Segment | None]] = {
    "at": _at,
    "reply": _reply,
    "contact": _contact,
}
_UNRESOLVED: dict[str, Callable[[_Data], tuple[Segment | None, str]]] = {
    "at": _without_user,
    "reply": _without_message,
    "contact": _without_contact,
}
