"""The sandbox's own JSON of messages, both ways; pure.

A segment is `{"type": …, "data": {…}}`. People write `text` {"text"}, `mention` {"user": id or
"all"}, `reply` {"message_id"}, `image`, `voice`, `video` and `file` {"url" or "file": what POST
api/files answered, "name"?…}, `forward`
{"nodes": [{"user", "name"?, "time"?, "message"}]}, and every other segment of the model
(`onebus.segment`) under its type with its own fields: {"type": "dice", "data": {"result": "6"}}.
What a bot sends is shown in the same way.

A message as it is listed and streamed:

    {"message_id": "m019…", "user": "alice", "name": "Alice", "from_bot": false,
     "group": "lobby" or null, "peer": null or "alice", "message": [segments],
     "time": 1767225600, "recalled": false, "edited": false, "anonymous": false,
     "notice": false, "pinned": false, "reactions": {"👍": ["bob"]}}

`user` wrote it, `time` is in unix seconds. A private message has no group; its `peer` is the
person that the bot talks with, whoever of the two wrote it. A recalled message keeps its content,
so that a test can see what was taken back; the page does not show it. An edited one has its last
content; of an anonymous one `user` and `name` are the mask's.
"""

from typing import Any, TypeAlias, TypeVar, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import fields, replace

from connectors.sandbox.documents import Board
from connectors.sandbox.state import check_id
from onebus import segment as seg
from onebus.codec import encode
from onebus.errors import BadParams, NotFound
from onebus.event import Chat, MessageReceived, MessageSent
from onebus.history import Message
from onebus.ids import ChatId, MessageId, UserId
from onebus.media import SCHEME, MediaSegment
from onebus.segment import Node, Segment, Segments

MAX_MESSAGE_BYTES = 256 << 10
MAX_SEGMENTS = 1_000
MAX_NODES = 100
MAX_FORWARDS = 3
"""How deep a forward may be inside forwards."""
MAX_URL = 2_048

Json: TypeAlias = dict[str, Any]
S = TypeVar("S", bound=Struct)

_KINDS: dict[str, type[Segment]] = {str(k.__struct_config__.tag): k for k in get_args(Segment)}
_MEDIA = {"image", "voice", "video", "file"}


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A segment as people write it."""

    type: str
    data: Json = {}


class _Data(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _TextData(_Data, frozen=True):
    text: str


class _MentionData(_Data, frozen=True):
    user: str


class _ReplyData(_Data, frozen=True):
    message_id: str


class _NodeData(_Data, frozen=True):
    user: str
    message: str | list[Part]
    name: str = ""
    time: int | None = None


class _ForwardData(_Data, frozen=True):
    nodes: list[_NodeData]


def decode_message(message: str | list[Part], reply_to: str | None = None) -> Segments:
    """What a person wrote → segments. Raises BadParams."""
    segments = list(_decode_parts(message, 0))
    if reply_to is not None:
        segments.insert(0, seg.Reply(MessageId(reply_to)))
    if sum(isinstance(segment, seg.Reply) for segment in segments) > 1:
        raise BadParams("a message answers one other message at most")
    return check_size(tuple(s for s in segments if s != seg.Text("")))


def _decode_parts(message: str | list[Part], depth: int) -> Segments:
    parts = [Part("text", {"text": message})] if isinstance(message, str) else message
    if len(parts) > MAX_SEGMENTS:
        raise BadParams(f"a message has at most {MAX_SEGMENTS} segments")
    return tuple(_decode_part(part, depth) for part in parts)


def _decode_part(part: Part, depth: int) -> Segment:
    match part.type:
        case "text":
            return seg.Text(_read(part, _TextData).text)
        case "mention":
            user = check_id("mention.user", _read(part, _MentionData).user)
            return seg.Mention(None if user == "all" else UserId(user))
        case "reply":
            return seg.Reply(MessageId(_read(part, _ReplyData).message_id))
        case "forward":
            nodes = _read(part, _ForwardData).nodes
            return _check_forward(seg.Forward(nodes=tuple(_node(n, depth) for n in nodes)), depth)
        case "anonymous":
            raise BadParams('to write anonymously, send "anonymous": true beside "message"')
    return _with_url(_decode_other(part))


def _node(node: _NodeData, depth: int) -> Node:
    return Node(
        user=UserId(check_id("node.user", node.user)),
        name=node.name or node.user,
        time_s=node.time,
        content=_decode_parts(node.message, depth + 1),
    )


def _decode_other(part: Part) -> Segment:
    """A segment with the fields that the model gives it; of media the address is enough."""
    if (kind := _KINDS.get(part.type)) is None:
        raise BadParams(f"there is no segment {part.type!r}; there are {', '.join(_KINDS)}")
    data = dict(part.data)
    if part.type in _MEDIA and "url" in data:
        data.setdefault("file", data["url"])
    unknown = data.keys() - {field.name for field in fields(kind)}
    if unknown:
        raise BadParams(f"a segment {part.type!r} has no {', '.join(sorted(unknown))}")
    return _convert(part, data | {"type": part.type}, kind)


def _read(part: Part, kind: type[S]) -> S:
    return _convert(part, part.data, kind)


def _convert(part: Part, data: Json, kind: type[S]) -> S:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise BadParams(f"a segment {part.type!r} is not like this: {error}") from error


def decode_sent(segments: Segments) -> Segments:
    """What a bot sends → what is logged: media with the URL to show, or in the media store.

    Raises BadParams.
    """
    if len(segments) > MAX_SEGMENTS:
        raise BadParams(f"a message has at most {MAX_SEGMENTS} segments")
    return check_size(tuple(_with_url(segment) for segment in segments))


def check_size(segments: Segments) -> Segments:
    """The segments, if they say something and fit. Raises BadParams."""
    if not segments:
        raise BadParams("the message is empty")
    if len(encode(segments)) > MAX_MESSAGE_BYTES:
        raise BadParams(f"the message is larger than {MAX_MESSAGE_BYTES >> 10} KiB")
    return segments


def check_url(what: str, url: str) -> str:
    """An address that a browser may load. Raises BadParams."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadParams(f"{what} is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or len(url) > MAX_URL:
        raise BadParams(f"{what} must be an http or https URL of at most {MAX_URL} characters")
    return url


def with_forward_ids(segments: Segments, chat: Chat, message: MessageId) -> Segments:
    """The segments of this message, its forwards with ids: a forward's id says where it is."""
    return tuple(
        replace(segment, id=f"{message}.{place}.{chat.kind}.{chat.id}")
        if isinstance(segment, seg.Forward)
        else segment
        for place, segment in enumerate(segments)
    )


def place_of_forward(forward: str) -> tuple[Chat, MessageId, int]:
    """In which chat and message a forward is, and as which segment of it. Raises NotFound."""
    match forward.split(".", 3):
        case [message, place, "private" | "group" as kind, chat] if (
            place.isascii() and place.isdigit() and len(place) <= 4
        ):
            return Chat(kind, ChatId(chat)), MessageId(message), int(place)
    raise NotFound(f"there is no forward {forward[:100]}")


def encode_segment(segment: Segment) -> Json:
    """A segment → the sandbox's JSON."""
    match segment:
        case seg.Mention():
            return {
                "type": "mention",
                "data": {"user": "all" if segment.user is None else segment.user},
            }
        case seg.Image():
            flash = {"flash": True} if segment.flash else {}
            return {"type": "image", "data": {"url": _shown_at(segment), **flash}}
        case seg.Voice() | seg.Video() | seg.File() if segment.file.startswith(SCHEME):
            data = msgspec.to_builtins(replace(segment, url=_shown_at(segment)))
            return {"type": data.pop("type"), "data": data}
        case seg.Reply():
            return {"type": "reply", "data": {"message_id": segment.message}}
        case seg.Forward():
            nodes = [_encode_node(node) for node in segment.nodes]
            return {"type": "forward", "data": {"id": segment.id, "nodes": nodes}}
    data = msgspec.to_builtins(segment)
    return {"type": data.pop("type"), "data": data}


def _shown_at(segment: MediaSegment) -> str:
    """Where the page finds it: on the web, or among our own files."""
    if segment.file.startswith(SCHEME):
        return f"api/files/{segment.file.removeprefix(SCHEME)}"
    return segment.url or segment.file


def _encode_node(node: Node) -> Json:
    content = [encode_segment(segment) for segment in node.content]
    return {"user": node.user, "name": node.name, "time": node.time_s, "message": content}


def encode_place(chat: Chat) -> Json:
    """A chat → `group`, or `peer`: the person that the bot talks with."""
    private = chat.kind == "private"
    return {"group": None if private else chat.id, "peer": chat.id if private else None}


def encode_message(message: Message, *, edited: bool = False, board: Board | None = None) -> Json:
    """A message as it is now → the sandbox's JSON."""
    event = message.event
    received = event if isinstance(event, MessageReceived) else None
    return {
        "message_id": event.message,
        "user": event.sender.id,
        "name": (event.membership and event.membership.card) or event.sender.name,
        "from_bot": isinstance(event, MessageSent),
        **encode_place(event.chat),
        "message": [encode_segment(segment) for segment in event.segments],
        "time": event.time_ms // 1000,
        "recalled": message.recalled,
        "edited": edited,
        "anonymous": bool(received and received.anonymous),
        "notice": bool(received and received.notice),
        "pinned": bool(board and event.message in board.pins),
        "reactions": (board and board.reactions.get(event.message)) or {},
    }


def encode_recall(chat: Chat, message: MessageId, operator: UserId) -> Json:
    """A recall → what the stream says of it."""
    return {
        "message_id": message,
        "operator": operator,
        **encode_place(chat),
        "recalled": True,
    }


def encode_edit(chat: Chat, message: MessageId, segments: Segments) -> Json:
    """An edit → what the stream says of it."""
    return {
        "message_id": message,
        **encode_place(chat),
        "message": [encode_segment(segment) for segment in segments],
        "edited": True,
    }


def _check_forward(forward: seg.Forward, depth: int) -> seg.Forward:
    if depth >= MAX_FORWARDS:
        raise BadParams(f"forwards are at most {MAX_FORWARDS} deep")
    if not 1 <= len(forward.nodes) <= MAX_NODES:
        raise BadParams(f"a forward has 1 to {MAX_NODES} nodes")
    return forward


def _with_url(segment: Segment, depth: int = 0) -> Segment:
    match segment:
        case seg.Image() | seg.Voice() | seg.Video() | seg.File():
            kind = str(segment.__struct_config__.tag)
            if segment.file.startswith(SCHEME):
                return replace(segment, url="")
            url = segment.url or segment.file
            if not url.startswith(("http://", "https://")):
                raise BadParams(
                    f"give {kind}.file as an http or https URL, or as a file that was uploaded"
                )
            return replace(segment, url=check_url(f"{kind}.file", url))
        case seg.Forward():
            _check_forward(segment, depth)
            return replace(segment, nodes=tuple(_node_with_urls(n, depth) for n in segment.nodes))
    return segment


def _node_with_urls(node: Node, depth: int) -> Node:
    return replace(node, content=tuple(_with_url(s, depth + 1) for s in node.content))
