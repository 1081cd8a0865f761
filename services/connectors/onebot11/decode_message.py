"""Segments of OneBot V11 → the model's, one small function per type; pure.

Source: https://github.com/botuniverse/onebot-11/blob/master/message/segment.md, and the fields that
go-cqhttp, NapCat, LLOneBot and Lagrange add. What nothing here knows stays `Unknown`, as it came.
"""

from collections.abc import Callable, Mapping
from typing import Any

from connectors.onebot11.cq import parse_cq
from connectors.onebot11.fields import Payload, Unreadable, flag_of, id_of, number_of, text_of
from onebus import segment as seg
from onebus.codec import CodecError, decode_any, encode
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import Node, Segment, Segments

MAX_SEGMENTS = 10_000
MAX_DEPTH = 4
"""How deep forwards may lie inside one another; what is deeper is left out."""
MAX_REFERENCE = 1_024
"""Characters of a `file` that can be a reference; what is longer is the file itself."""


def decode_message(value: object, depth: int = 0) -> Segments:
    """`message` in any of its forms (array, one segment, CQ text) → segments.

    Raises Unreadable when it is none of them.
    """
    if isinstance(value, str):
        items: list[Any] = [*parse_cq(value)]
    elif isinstance(value, dict | list):
        items = value if isinstance(value, list) else [value]
    else:
        raise Unreadable("message is neither text nor a list")
    found = (_segment(item, depth) for item in items[:MAX_SEGMENTS])
    return tuple(segment for segment in found if segment is not None)


def decode_nodes(value: object, depth: int = 0) -> tuple[Node, ...]:
    """The messages of a forward, in the standard's, go-cqhttp's or NapCat's form.

    Source: segment.md, "合并转发节点"; go-cqhttp `{sender, time, content}`; NapCat whole messages.
    """
    if not isinstance(value, list) or depth >= MAX_DEPTH:
        return ()
    return tuple(_node(item, depth) for item in value if isinstance(item, dict))


def _segment(item: object, depth: int) -> Segment | None:
    kind = item.get("type") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(kind, str):
        return None
    raw = item.get("data")
    data: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
    if kind == "text":
        return seg.Text(text) if (text := text_of(data.get("text"))) else None
    if kind == "forward":
        return _forward(data, depth)
    build = _KINDS.get(kind)
    try:
        return build(Payload(data)) if build else _unknown(kind, data)
    except Unreadable:  # a quoted message without an id cannot be shown in any way
        return None if kind == "reply" else _unknown(kind, data)


def _unknown(kind: str, data: Mapping[str, Any]) -> Segment:
    return seg.Unknown(kind, {key: value for key, value in data.items() if value is not None})


def _at(data: Payload) -> Segment:
    user = data.id("qq")
    return seg.Mention(None if user == "all" else UserId(user), data.text("name"))


def _reply(data: Payload) -> Segment:
    return seg.Reply(MessageId(data.id("id")))


def _face(data: Payload) -> Segment:
    return seg.Emoji(id_of(data.value("id")) or data.id("id"), data.text("name"))


def _image(data: Payload) -> Segment:
    return seg.Image(**_media(data), flash=data.text("type") == "flash")


def _record(data: Payload) -> Segment:
    return seg.Voice(**_media(data), magic=data.flag("magic"))


def _video(data: Payload) -> Segment:
    return seg.Video(**_media(data))


def _file(data: Payload) -> Segment:
    """`file_id` is what names it later; `file` is its name alone."""
    media = _media(data)
    name = media["name"] or media["file"]
    return seg.File(**media | {"file": data.text("file_id") or media["file"], "name": name})


def _media(data: Payload) -> dict[str, Any]:
    """`file` is the implementation's own reference; a path on its machine is of no use here."""
    url, file = data.text("url"), data.text("file")
    if not file and not url:
        raise Unreadable("neither file nor url")
    size = number_of(data.value("file_size"), -1)
    return {
        "file": _reference(file) or url,
        "url": url if url.startswith(("http://", "https://")) else "",
        "name": data.text("name") or data.text("file_name"),
        "size_bytes": size if size >= 0 else None,
    }


def _reference(file: str) -> str:
    if file.startswith(("/", "file:")):
        return file.replace("\\", "/").rpartition("/")[2]
    return file if len(file) <= MAX_REFERENCE else ""


def _location(data: Payload) -> Segment:
    try:
        lat, lon = float(data.text("lat")), float(data.text("lon"))
    except ValueError:
        raise Unreadable("no coordinates") from None
    return seg.Location(lat, lon, data.text("title"), data.text("content"))


def _contact(data: Payload) -> Segment:
    target = data.id("id")
    if data.text("type") == "group":
        return seg.Contact("group", ChatId(target))
    return seg.Contact("user", UserId(target))


def _share(data: Payload) -> Segment:
    return seg.Link(data.id("url"), data.text("title"), data.text("content"), data.text("image"))


def _music(data: Payload) -> Segment:
    names = ("id", "url", "audio", "title", "content", "image")
    return seg.Music(data.id("type"), **{name: data.text(name) for name in names})


def _card(data: Payload) -> str:
    """Source text; NapCat also gives the document itself."""
    value = data.value("data")
    if isinstance(value, dict | list):
        return encode(value).decode()
    return data.id("data")


def _json(data: Payload) -> Segment:
    return seg.Card("json", _card(data))


def _xml(data: Payload) -> Segment:
    return seg.Card("xml", _card(data))


def _markdown(data: Payload) -> Segment:
    return seg.Card("markdown", data.id("content"))


def _poke(data: Payload) -> Segment:
    """go-cqhttp's `qq` nudges a user, which no segment of ours says."""
    if data.value("qq") is not None:
        raise Unreadable("a poke of a user")
    return seg.Poke(data.text("type"), data.text("id"), data.text("name"))


def _forward(data: Mapping[str, Any], depth: int) -> Segment:
    """NapCat gives `content` along as messages, onebus as JSON text of nodes."""
    content = data.get("content")
    if isinstance(content, str):
        try:
            content = decode_any(content.encode("utf-8", "surrogatepass"))
        except CodecError:
            content = None
    return seg.Forward(id_of(data.get("id")), decode_nodes(content, depth + 1))


def _node(item: Mapping[str, Any], depth: int) -> Node:
    inner = item.get("data")
    data = Payload(inner if isinstance(inner, dict) else item)
    content = data.value("content")
    if content is None:
        content = data.value("message")
    if content is None and (known := data.optional_id("id")):
        return Node(message=MessageId(known))
    sender = data.inside("sender")
    user = data.optional_id("user_id") or data.optional_id("uin") or sender.optional_id("user_id")
    name = data.text("nickname") or data.text("name") or sender.text("nickname")
    time_s = data.value("time")
    return Node(
        user=UserId(user),
        name=name or sender.text("card"),
        time_s=None if time_s is None else number_of(time_s),
        content=_content(content, depth),
    )


def _content(value: object, depth: int) -> Segments:
    try:
        return decode_message(value, depth + 1)
    except Unreadable:
        return ()


_KINDS: dict[str, Callable[[Payload], Segment]] = {
    "at": _at,
    "reply": _reply,
    "face": _face,
    "image": _image,
    "record": _record,
    "video": _video,
    "file": _file,
    "location": _location,
    "contact": _contact,
    "share": _share,
    "music": _music,
    "json": _json,
    "xml": _xml,
    "markdown": _markdown,
    "poke": _poke,
    "dice": lambda data: seg.Dice(data.text("result")),
    "rps": lambda data: seg.Rps(data.text("result")),
    "shake": lambda _: seg.Shake(),
    "anonymous": lambda data: seg.Anonymous(flag_of(data.value("ignore"))),
}
