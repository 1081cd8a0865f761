"""The model's segments → OneBot V11's, always as an array; pure.

Source: https://github.com/botuniverse/onebot-11/blob/master/message/segment.md. Values are text, as
go-cqhttp insists on. Nodes are in both dialects, the standard's and go-cqhttp's.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from onebus import segment as seg
from onebus.segment import Node, Segment, Segments

RawSegment: TypeAlias = dict[str, Any]


def encode_message(segments: Segments) -> list[RawSegment]:
    """A message; nodes in it are a message by themselves, which `encode_nodes` writes."""
    return [_segment(segment) for segment in segments]


def encode_nodes(nodes: Iterable[Node]) -> list[RawSegment]:
    """Nodes for `send_group_forward_msg` and its like: a message that exists, or one written out.

    Source: segment.md, "合并转发自定义节点"; `name` and `uin` are go-cqhttp's.
    """
    return [{"type": "node", "data": _node(node)} for node in nodes]


def _node(node: Node) -> dict[str, Any]:
    if node.message is not None:
        return {"id": node.message}
    data: dict[str, Any] = {"user_id": node.user, "nickname": node.name}
    data |= {"uin": node.user, "name": node.name}
    if node.time_s is not None:
        data["time"] = str(node.time_s)
    return data | {"content": _contents(node.content)}


def _contents(segments: Segments) -> list[RawSegment]:
    """A node's content; nodes within it lie there as they are."""
    found: list[RawSegment] = []
    for segment in segments:
        if isinstance(segment, seg.Forward) and segment.nodes:
            found += encode_nodes(segment.nodes)
        else:
            found.append(_segment(segment))
    return found


def _segment(segment: Segment) -> RawSegment:
    kind, data_of = _KINDS[type(segment)]
    return {"type": kind(segment) if callable(kind) else kind, "data": data_of(segment)}


def _given(**params: str) -> dict[str, Any]:
    """The parameters that have a value."""
    return {name: value for name, value in params.items() if value}


def _mention(segment: seg.Mention) -> dict[str, Any]:
    return {"qq": "all" if segment.user is None else segment.user} | _given(name=segment.name)


def _image(segment: seg.Image) -> dict[str, Any]:
    return _media(segment) | _given(type="flash" if segment.flash else "")


def _voice(segment: seg.Voice) -> dict[str, Any]:
    return _media(segment) | _given(magic="1" if segment.magic else "")


def _file(segment: seg.File) -> dict[str, Any]:
    """Not in the standard; NapCat and LLOneBot take it."""
    return _media(segment) | _given(name=segment.name)


def _media(segment: seg.Image | seg.Voice | seg.Video | seg.File) -> dict[str, Any]:
    """Defaults are left out: not everybody knows `cache`, `proxy` and `timeout`."""
    seconds = segment.timeout_s
    return {"file": segment.file or segment.url} | _given(
        cache="" if segment.cache else "0",
        proxy="" if segment.proxy else "0",
        timeout="" if seconds is None else f"{seconds:g}",
    )


def _location(segment: seg.Location) -> dict[str, Any]:
    place = {"lat": str(segment.latitude), "lon": str(segment.longitude)}
    return place | _given(title=segment.title, content=segment.content)


def _contact(segment: seg.Contact) -> dict[str, Any]:
    return {"type": "group" if segment.kind == "group" else "qq", "id": segment.id}


def _link(segment: seg.Link) -> dict[str, Any]:
    extra = _given(content=segment.content, image=segment.image)
    return {"url": segment.url, "title": segment.title} | extra


def _music(segment: seg.Music) -> dict[str, Any]:
    return {"type": segment.kind} | _given(
        id=segment.id,
        url=segment.url,
        audio=segment.audio,
        title=segment.title,
        content=segment.content,
        image=segment.image,
    )


def _card(segment: seg.Card) -> dict[str, Any]:
    return {"content" if segment.format == "markdown" else "data": segment.content}


def _poke(segment: seg.Poke) -> dict[str, Any]:
    return _given(type=segment.kind, id=segment.id, name=segment.name)


def _format(segment: seg.Card) -> str:
    return segment.format


def _kind(segment: seg.Unknown) -> str:
    return segment.kind


_KINDS: dict[type[Segment], tuple[str | Callable[[Any], str], Callable[[Any], dict[str, Any]]]] = {
    seg.Text: ("text", lambda segment: {"text": segment.text}),
    seg.Mention: ("at", _mention),
    seg.Reply: ("reply", lambda segment: {"id": segment.message}),
    seg.Image: ("image", _image),
    seg.Voice: ("record", _voice),
    seg.Video: ("video", _media),
    seg.File: ("file", _file),
    seg.Emoji: ("face", lambda segment: {"id": segment.id}),
    seg.Location: ("location", _location),
    seg.Contact: ("contact", _contact),
    seg.Link: ("share", _link),
    seg.Music: ("music", _music),
    seg.Forward: ("forward", lambda segment: {"id": segment.id}),
    seg.Card: (_format, _card),
    seg.Poke: ("poke", _poke),
    seg.Dice: ("dice", lambda segment: _given(result=segment.result)),
    seg.Rps: ("rps", lambda segment: _given(result=segment.result)),
    seg.Shake: ("shake", lambda _: {}),
    seg.Anonymous: ("anonymous", lambda segment: _given(ignore="1" if segment.ignore else "")),
    seg.Unknown: (_kind, lambda segment: dict(segment.data)),
}
"""Every segment of the model: what it is called there, and its parameters."""
