"""Segments of the model → what a bot sees, one small function per type.

Source: https://github.com/botuniverse/onebot-11/blob/master/message/segment.md. Values are text,
in the order of the standard's tables; a parameter without a value is absent; `data` is never null.
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from frontends.onebot_v11.cq import RawSegment
from frontends.onebot_v11.message import as_text
from frontends.onebot_v11.references import Gathered, Numbers, References, message_key
from onebus import segment as seg
from onebus.codec import encode
from onebus.event import Chat
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import Node, Segment, Segments


class Rendered(Struct, frozen=True):
    """A message as a bot sees it; `unnumbered` are the quoted messages that had to be left out."""

    segments: list[RawSegment]
    unnumbered: tuple[MessageId, ...] = ()


def segment_references(segments: Segments, chat: Chat) -> References:
    """The ids in a message of this chat that need numbers."""
    found = Gathered()
    gather(segments, chat, found)
    return found.all()


def node_references(nodes: Iterable[Node], chat: Chat) -> References:
    """The ids in forward nodes that need numbers; what they quote is taken for this chat's."""
    found = Gathered()
    _gather_nodes(nodes, chat, found)
    return found.all()


def to_onebot_message(segments: Segments, chat: Chat, numbers: Numbers) -> Rendered:
    """A message of this chat as raw segments; a reply to what has no number is left out."""
    rendered: list[RawSegment] = []
    unnumbered: list[MessageId] = []
    for segment in segments:
        if isinstance(segment, seg.Reply):
            number = numbers.messages.get(message_key(chat, segment.message))
            if number is None:
                unnumbered.append(segment.message)
            else:
                rendered.append({"type": "reply", "data": {"id": str(number)}})
        elif isinstance(segment, seg.Forward):
            rendered.append(_forward(segment, chat, numbers))
        else:
            rendered.append(_segment(segment, numbers))
    return Rendered(rendered, tuple(unnumbered))


def to_onebot_node(node: Node, chat: Chat, numbers: Numbers) -> RawSegment:
    """A forward node with its content as an array. Source: segment.md, "合并转发自定义节点"."""
    if node.message is not None and not node.content:
        number = numbers.messages.get(message_key(chat, node.message))
        return {"type": "node", "data": {} if number is None else {"id": str(number)}}
    data: dict[str, Any] = _given(
        user_id=str(numbers.users[node.user]) if node.user else "",
        nickname=node.name,
        time="" if node.time_s is None else str(node.time_s),
    )
    data["content"] = to_onebot_message(node.content, chat, numbers).segments
    return {"type": "node", "data": data}


def gather(segments: Segments, chat: Chat, found: Gathered) -> None:
    """Add the ids in a message of this chat that need numbers."""
    for segment in segments:
        match segment:
            case seg.Text():  # nearly all
                continue
            case seg.Mention(user=str() as user):
                found.users.add(user)
            case seg.Reply(message=message):
                found.messages.add(message_key(chat, message))
            case seg.Contact(kind="user", id=user):
                found.users.add(UserId(user))
            case seg.Contact(kind="group", id=group):
                found.groups.add(ChatId(group))
            case seg.Forward(nodes=nodes):
                _gather_nodes(nodes, chat, found)


def _gather_nodes(nodes: Iterable[Node], chat: Chat, found: Gathered) -> None:
    for node in nodes:
        if node.message is not None:
            found.messages.add(message_key(chat, node.message))
        if node.user:
            found.users.add(node.user)
        gather(node.content, chat, found)


def _segment(segment: Segment, numbers: Numbers) -> RawSegment:
    match segment:
        case seg.Mention():
            return {"type": "at", "data": _mention(segment, numbers)}
        case seg.Contact():
            return {"type": "contact", "data": _contact(segment, numbers)}
        case seg.Card():
            return {"type": segment.format, "data": _card(segment)}
        case seg.Unknown():
            return {"type": segment.kind, "data": _unknown(segment)}
    kind, data_of = _PLAIN[type(segment)]
    return {"type": kind, "data": data_of(segment)}


def _text(segment: seg.Text) -> dict[str, Any]:
    return {"text": segment.text}


def _mention(segment: seg.Mention, numbers: Numbers) -> dict[str, Any]:
    if segment.user is None:
        return {"qq": "all"}
    return _given(qq=str(numbers.users[segment.user]), name=segment.name)


def _image(segment: seg.Image) -> dict[str, Any]:
    return {"file": segment.file} | _given(
        type="flash" if segment.flash else "", url=segment.url, file_size=_size(segment)
    )


def _voice(segment: seg.Voice) -> dict[str, Any]:
    return {"file": segment.file} | _given(
        magic="1" if segment.magic else "", url=segment.url, file_size=_size(segment)
    )


def _video(segment: seg.Video) -> dict[str, Any]:
    return {"file": segment.file} | _given(url=segment.url, file_size=_size(segment))


def _file(segment: seg.File) -> dict[str, Any]:
    """Not in the standard; the names are those of NapCat and LLOneBot."""
    return {"file": segment.name or segment.file} | _given(
        name=segment.name, url=segment.url, file_id=segment.file, file_size=_size(segment)
    )


def _size(segment: seg.Image | seg.Voice | seg.Video | seg.File) -> str:
    return "" if segment.size_bytes is None else str(segment.size_bytes)


def _emoji(segment: seg.Emoji) -> dict[str, Any]:
    return {"id": segment.id} | _given(name=segment.name)


def _location(segment: seg.Location) -> dict[str, Any]:
    place = {"lat": as_text(segment.latitude), "lon": as_text(segment.longitude)}
    return place | _given(title=segment.title, content=segment.content)


def _contact(segment: seg.Contact, numbers: Numbers) -> dict[str, Any]:
    if segment.kind == "group":
        return {"type": "group", "id": str(numbers.groups[ChatId(segment.id)])}
    return {"type": "qq", "id": str(numbers.users[UserId(segment.id)])}


def _link(segment: seg.Link) -> dict[str, Any]:
    required = {"url": segment.url, "title": segment.title}
    return required | _given(content=segment.content, image=segment.image)


def _music(segment: seg.Music) -> dict[str, Any]:
    return {"type": segment.kind} | _given(
        id=segment.id,
        url=segment.url,
        audio=segment.audio,
        title=segment.title,
        content=segment.content,
        image=segment.image,
    )


def _forward(segment: seg.Forward, chat: Chat, numbers: Numbers) -> RawSegment:
    """A bundle by its id; nodes that are known already go along as JSON text."""
    data: dict[str, Any] = {"id": segment.id}
    if segment.nodes:
        nodes = [to_onebot_node(node, chat, numbers) for node in segment.nodes]
        data["content"] = encode(nodes).decode()
    return {"type": "forward", "data": data}


def _card(segment: seg.Card) -> dict[str, Any]:
    """Source for json and xml: segment.md; markdown is what NapCat and Lagrange call it."""
    return {"content" if segment.format == "markdown" else "data": segment.content}


def _poke(segment: seg.Poke) -> dict[str, Any]:
    return _given(type=segment.kind, id=segment.id, name=segment.name)


def _thrown(segment: seg.Dice | seg.Rps) -> dict[str, Any]:
    """The standard has no parameters; `result` is what every implementation adds."""
    return _given(result=segment.result)


def _shake(_segment: seg.Shake) -> dict[str, Any]:
    return {}


def _anonymous(segment: seg.Anonymous) -> dict[str, Any]:
    return _given(ignore="1" if segment.ignore else "")


def _unknown(segment: seg.Unknown) -> dict[str, Any]:
    return {key: as_text(value) for key, value in segment.data.items() if value is not None}


def _given(**params: str) -> dict[str, Any]:
    """The parameters that have a value."""
    return {name: value for name, value in params.items() if value}


_PLAIN: dict[type[Segment], tuple[str, Callable[[Any], dict[str, Any]]]] = {
    seg.Text: ("text", _text),
    seg.Emoji: ("face", _emoji),
    seg.Image: ("image", _image),
    seg.Voice: ("record", _voice),
    seg.Video: ("video", _video),
    seg.File: ("file", _file),
    seg.Location: ("location", _location),
    seg.Link: ("share", _link),
    seg.Music: ("music", _music),
    seg.Poke: ("poke", _poke),
    seg.Dice: ("dice", _thrown),
    seg.Rps: ("rps", _thrown),
    seg.Shake: ("shake", _shake),
    seg.Anonymous: ("anonymous", _anonymous),
}
