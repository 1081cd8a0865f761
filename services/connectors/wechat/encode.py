"""Segments → what the platform takes. Pure: no clock, no network, no state.

Sources: https://developers.weixin.qq.com/doc/service/en/api/customer/message/api_sendcustommessage.html
and https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Passive_user_reply_message.html
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from msgspec import Struct

from connectors.wechat.template import is_template
from onebus import segment as seg
from onebus.errors import BadParams, UnsupportedAction
from onebus.segment import Link, Segment, Segments, Text
from onebus.text import split

MAX_TEXT_BYTES = 2048
"""Longest text of one message, in UTF-8."""

MAX_FORWARD_DEPTH = 3

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MEDIA = (seg.Image, seg.Voice, seg.Video, seg.File)
_UPLOADED = (seg.Image, seg.Voice, seg.Video)

MediaDraft: TypeAlias = seg.Image | seg.Voice | seg.Video
CustomDraft: TypeAlias = Text | Link | MediaDraft
Draft: TypeAlias = CustomDraft | seg.Card
"""One platform message: a text that fits, a link with a title, a file by its media id, or a card
that is a template message."""

MEDIA_TYPES: Mapping[str, tuple[str, ...]] = {
    "image": ("image/png", "image/jpeg", "image/gif", "image/bmp"),
    "voice": ("audio/amr", "audio/mpeg"),
    "video": ("video/mp4",),
}
"""What may be uploaded as what. Source: the page of `media/upload`."""


class Encoded(Struct, frozen=True):
    """The platform messages that a message becomes; `degraded` names what went out as text."""

    drafts: tuple[Draft, ...]
    degraded: tuple[str, ...]


def encode_segments(segments: Segments, *, cards: bool = True) -> Encoded:
    """A message → its platform messages, in order. Nothing is dropped silently.

    `cards`: whether a link with a title, or a file, may be a message of its own. A template always
    is one. Raises UnsupportedAction for files otherwise, BadParams for an empty message.
    """
    drafts: list[Draft] = []
    text: list[str] = []
    for segment in segments:
        if is_template(segment) or (cards and _stands_alone(segment)):
            drafts += _texts(text)
            drafts.append(cast("Draft", segment))
            text.clear()
        else:
            text.append(readable(segment))
    drafts += _texts(text)
    if not drafts:
        raise BadParams("the message is empty")
    cards_sent = {id(draft) for draft in drafts}
    degraded = (_name(s) for s in segments if not isinstance(s, Text) and id(s) not in cards_sent)
    return Encoded(tuple(drafts), tuple(dict.fromkeys(degraded)))


def _stands_alone(segment: Segment) -> bool:
    if isinstance(segment, Link):
        return bool(segment.title and segment.url)
    return isinstance(segment, _UPLOADED)


def _texts(parts: Sequence[str]) -> list[Text]:
    text = clean("".join(parts))
    return [Text(part) for part in split(text, MAX_TEXT_BYTES, "byte")]


def clean(text: str) -> str:
    """Text without what XML cannot carry: control characters and lone surrogates."""
    return _NOT_XML.sub("", text)


def _name(segment: Segment) -> str:
    return str(segment.__struct_config__.tag)


def readable(segment: Segment, depth: int = 0) -> str:
    """A segment as text that a person understands. Raises UnsupportedAction for media."""
    if isinstance(segment, _MEDIA):
        raise UnsupportedAction(
            f"a message with {_name(segment)} cannot be sent here: pictures, sound and films go out"
            " by themselves, by the customer-service API, and other files not at all"
        )
    if isinstance(segment, seg.Forward):
        return _forward(segment, depth)
    return _READABLE[type(segment)](segment)


def _forward(segment: seg.Forward, depth: int) -> str:
    if depth >= MAX_FORWARD_DEPTH:
        raise BadParams(f"forwarded messages are nested deeper than {MAX_FORWARD_DEPTH}")
    lines = [f"[forwarded messages {segment.id}]" if segment.id else "[forwarded messages]"]
    for node in segment.nodes:
        content = "".join(readable(part, depth + 1) for part in node.content)
        lines.append(f"{node.name or node.user}: {content or f'[message {node.message}]'}")
    return "\n".join(lines) + "\n"


def _mention(segment: seg.Mention) -> str:
    if segment.user is None:
        return "@all "
    return f"@{segment.name or segment.user} "


def _emoji(segment: seg.Emoji) -> str:
    return f"[{segment.name}]" if segment.name else f"[face {segment.id}]"


def _location(segment: seg.Location) -> str:
    place = f"({segment.latitude:g}, {segment.longitude:g})"
    return _line("[location]", segment.title, segment.content, place)


def _link(segment: Link) -> str:
    return _line(segment.title, segment.content, segment.url)


def _music(segment: seg.Music) -> str:
    song = segment.url or segment.audio or f"{segment.kind} {segment.id}"
    return _line("[music]", segment.title, segment.content, song)


def _line(*parts: str) -> str:
    return " ".join(part for part in parts if part)


_READABLE: Mapping[type, Callable[[Any], str]] = {
    Text: lambda segment: segment.text,
    seg.Mention: _mention,
    seg.Reply: lambda _: "",  # the platform cannot quote; the answer still reads well without
    seg.Emoji: _emoji,
    seg.Location: _location,
    seg.Contact: lambda segment: f"[{segment.kind} {segment.id}]",
    Link: _link,
    seg.Music: _music,
    seg.Card: lambda segment: segment.content,
    seg.Poke: lambda segment: f"[{segment.name or 'poke'}]",
    seg.Dice: lambda segment: f"[{_line('dice', segment.result)}]",
    seg.Rps: lambda segment: f"[{_line('rock paper scissors', segment.result)}]",
    seg.Shake: lambda _: "[shake]",
    seg.Anonymous: lambda _: "",
    seg.Unknown: lambda segment: f"[{segment.kind}]",
}


def custom_message(user: str, draft: CustomDraft, thumbnail: str = "") -> dict[str, Any]:
    """A platform message that is no template → the body of `message/custom/send`; of a file `file`
    is its media id.
    """
    match draft:
        case Text():
            return {"touser": user, "msgtype": "text", "text": {"content": draft.text}}
        case seg.Image() | seg.Voice():
            kind = _name(draft)
            return {"touser": user, "msgtype": kind, kind: {"media_id": draft.file}}
        case seg.Video():
            film = {"media_id": draft.file, "thumb_media_id": thumbnail, "title": draft.name}
            return {"touser": user, "msgtype": "video", "video": film}
    article = {
        "title": clean(draft.title),
        "description": clean(draft.content),
        "url": clean(draft.url),
        "picurl": clean(draft.image),
    }
    return {"touser": user, "msgtype": "news", "news": {"articles": [article]}}


def text_reply(text: str, *, to_user: str, from_us: str, time_s: int) -> str:
    """The XML of a passive text reply."""
    return (
        "<xml>"
        f"<ToUserName>{_cdata(to_user)}</ToUserName>"
        f"<FromUserName>{_cdata(from_us)}</FromUserName>"
        f"<CreateTime>{time_s}</CreateTime>"
        "<MsgType><![CDATA[text]]></MsgType>"
        f"<Content>{_cdata(text)}</Content>"
        "</xml>"
    )


def sealed_reply(sealed: str, signature: str, timestamp: str, nonce: str) -> str:
    """The XML around an encrypted passive reply."""
    return (
        "<xml>"
        f"<Encrypt>{_cdata(sealed)}</Encrypt>"
        f"<MsgSignature>{_cdata(signature)}</MsgSignature>"
        f"<TimeStamp>{timestamp}</TimeStamp>"
        f"<Nonce>{_cdata(nonce)}</Nonce>"
        "</xml>"
    )


def _cdata(text: str) -> str:
    """Text as character data; its end mark is torn apart, so no text can leave the element."""
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"
