"""The sandbox's own JSON of messages, both ways; pure.

A segment is `{"type": …, "data": {…}}`. People write four types: `text` {"text"}, `mention`
{"user": id or "all"}, `image` {"url"} and `reply` {"message_id"}. A bot may send every segment of
the model; one that people cannot write is shown under its own type with its own fields.

A message as it is listed and streamed:

    {"message_id": "m019…", "user": "alice", "name": "Alice", "from_bot": false,
     "group": "lobby" or null, "peer": null or "alice", "message": [segments],
     "time": 1767225600, "recalled": false}

`user` wrote it, `time` is in unix seconds. A private message has no group; its `peer` is the
person that the bot talks with, whoever of the two wrote it. A recalled message keeps its content,
so that a test can see what was taken back; the page does not show it.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from connectors.sandbox.state import check_id
from onebus import segment as seg
from onebus.codec import encode
from onebus.errors import BadParams
from onebus.event import Chat, MessageEvent, MessageReceived, MessageSent
from onebus.ids import MessageId, UserId
from onebus.log import Stored
from onebus.segment import Segment, Segments

MAX_MESSAGE_BYTES = 256 << 10
MAX_SEGMENTS = 1_000
MAX_URL = 2_048

Json: TypeAlias = dict[str, Any]


class _Data(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _Part(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    pass


class TextData(_Data, frozen=True):
    """Data of a text."""

    text: str


class TextPart(_Part, frozen=True, tag="text"):
    """`{"type": "text", "data": {"text"}}`."""

    data: TextData


class MentionData(_Data, frozen=True):
    """Data of a mention; "all" calls everyone."""

    user: str


class MentionPart(_Part, frozen=True, tag="mention"):
    """`{"type": "mention", "data": {"user"}}`."""

    data: MentionData


class ImageData(_Data, frozen=True):
    """Data of an image."""

    url: str


class ImagePart(_Part, frozen=True, tag="image"):
    """`{"type": "image", "data": {"url"}}`."""

    data: ImageData


class ReplyData(_Data, frozen=True):
    """Data of a reply."""

    message_id: str


class ReplyPart(_Part, frozen=True, tag="reply"):
    """`{"type": "reply", "data": {"message_id"}}`."""

    data: ReplyData


Part: TypeAlias = TextPart | MentionPart | ImagePart | ReplyPart


def decode_message(message: str | list[Part], reply_to: str | None) -> Segments:
    """What a person wrote → segments. Raises BadParams."""
    parts = [TextPart(TextData(message))] if isinstance(message, str) else message
    if len(parts) > MAX_SEGMENTS:
        raise BadParams(f"a message has at most {MAX_SEGMENTS} segments")
    segments = [decode_part(part) for part in parts]
    if reply_to is not None:
        segments.insert(0, seg.Reply(MessageId(reply_to)))
    if sum(isinstance(segment, seg.Reply) for segment in segments) > 1:
        raise BadParams("a message answers one other message at most")
    return check_size(tuple(s for s in segments if s != seg.Text("")))


def decode_part(part: Part) -> Segment:
    """One segment as people write it → the model's. Raises BadParams."""
    match part:
        case TextPart():
            return seg.Text(part.data.text)
        case MentionPart():
            user = check_id("mention.user", part.data.user)
            return seg.Mention(None if user == "all" else UserId(user))
        case ImagePart():
            check_url("image.url", part.data.url)
            return seg.Image(part.data.url, url=part.data.url)
        case ReplyPart():
            return seg.Reply(MessageId(part.data.message_id))


def decode_sent(segments: Segments) -> Segments:
    """What a bot sends → what is logged: media with the URL to show. Raises BadParams.

    The sandbox stores no files, so media must be somewhere on the web already.
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


def check_url(what: str, url: str) -> None:
    """An address that a browser may load. Raises BadParams."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadParams(f"{what} is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or len(url) > MAX_URL:
        raise BadParams(f"{what} must be an http or https URL of at most {MAX_URL} characters")


def encode_segment(segment: Segment) -> Json:
    """A segment → the sandbox's JSON."""
    match segment:
        case seg.Mention():
            return {
                "type": "mention",
                "data": {"user": "all" if segment.user is None else segment.user},
            }
        case seg.Image():
            return {"type": "image", "data": {"url": segment.url or segment.file}}
        case seg.Reply():
            return {"type": "reply", "data": {"message_id": segment.message}}
    data = msgspec.to_builtins(segment)
    return {"type": data.pop("type"), "data": data}


def encode_message(event: MessageEvent, *, recalled: bool) -> Json:
    """A message of the log → the sandbox's JSON."""
    private = event.chat.kind == "private"
    return {
        "message_id": event.message,
        "user": event.sender.id,
        "name": (event.membership and event.membership.card) or event.sender.name,
        "from_bot": isinstance(event, MessageSent),
        "group": None if private else event.chat.id,
        "peer": event.chat.id if private else None,
        "message": [encode_segment(segment) for segment in event.segments],
        "time": event.time_ms // 1000,
        "recalled": recalled,
    }


def encode_recall(chat: Chat, message: MessageId, operator: UserId) -> Json:
    """A recall → what the stream says of it."""
    private = chat.kind == "private"
    return {
        "message_id": message,
        "operator": operator,
        "group": None if private else chat.id,
        "peer": chat.id if private else None,
        "recalled": True,
    }


def messages_of(entries: Iterable[Stored], recalled: frozenset[MessageId]) -> list[Json]:
    """Entries of the log → their messages, those taken back marked."""
    return [
        encode_message(entry.event, recalled=entry.event.message in recalled)
        for entry in entries
        if isinstance(entry.event, MessageReceived | MessageSent)
    ]


def _with_url(segment: Segment) -> Segment:
    match segment:
        case seg.Image() | seg.Voice() | seg.Video() | seg.File():
            kind = str(segment.__struct_config__.tag)
            url = segment.url or segment.file
            if not url.startswith(("http://", "https://")):
                raise BadParams(
                    f"the sandbox keeps no files: give {kind}.file as an http or https URL,"
                    " not as base64, a path or a media id"
                )
            check_url(f"{kind}.file", url)
            return replace(segment, url=url)
        case seg.Forward():
            nodes = (replace(n, content=tuple(map(_with_url, n.content))) for n in segment.nodes)
            return replace(segment, nodes=tuple(nodes))
    return segment
