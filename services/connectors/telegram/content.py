"""What a message of Telegram says → segments. Pure.

Source: https://core.telegram.org/bots/api#message.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.telegram.entities import decode_text
from connectors.telegram.files import FileKind, encode_reference
from connectors.telegram.wire import Fields, FileInfo, Message, User
from onebus import segment as seg
from onebus.ids import MessageId, UserId
from onebus.segment import Segment, Segments

DIE = "🎲"

OTHER_CONTENT = (
    "poll",
    "checklist",
    "game",
    "story",
    "invoice",
    "paid_media",
    "giveaway",
    "giveaway_winners",
)
"""Content that the model has no word for; it is kept whole."""

_NOT_CONTENT = re.compile(
    "reply_to_poll_option_id|guest_bot_caller_user|guest_bot_caller_chat|guest_query_id|"
    "message_id|message_thread_id|direct_messages_topic|from|sender_chat|"
    "sender_boost_count|sender_business_bot|sender_tag|date|business_connection_id|chat|"
    "forward_origin|forward_from|forward_from_chat|forward_from_message_id|"
    "forward_signature|forward_sender_name|forward_date|is_topic_message|"
    "is_automatic_forward|reply_to_message|external_reply|quote|reply_to_story|"
    "reply_to_checklist_task_id|via_bot|edit_date|has_protected_content|is_from_offline|"
    "is_paid_post|media_group_id|author_signature|paid_star_count|link_preview_options|"
    "suggested_post_info|effect_id|caption|caption_entities|entities|"
    "show_caption_above_media|has_media_spoiler|reply_markup"
)
"""Fields that are about a message: what is none of these, in a message without content, is it."""


def decode_segments(
    message: Message, raw: Fields, me: User, users: Mapping[str, UserId]
) -> Segments:
    """The content: what it answers, media, then the words, as a reader meets them.

    Never empty: what is not known is kept as `Unknown` with the name that the platform has for it.
    """
    media = list(_content(message, raw))
    words = decode_text(
        message.text or message.caption, message.entities or message.caption_entities, me, users
    )
    body = [*words, *media] if message.show_caption_above_media else [*media, *words]
    return (*_reply(message), *(body or _unknown(raw)))


def answered(message: Message) -> Fields | None:
    """The message that it answers. In a topic everything "answers" the topic's beginning."""
    reply = message.reply_to_message
    if reply is None or "forum_topic_created" in reply:
        return None
    if message.is_topic_message and reply.get("message_id") == message.message_thread_id:
        return None
    return reply if isinstance(reply.get("message_id"), int) else None


def _reply(message: Message) -> Iterator[Segment]:
    if reply := answered(message):
        yield seg.Reply(MessageId(str(reply["message_id"])))


def _content(message: Message, raw: Fields) -> Iterator[Segment]:
    if message.animation:  # which comes with a `document` of the same file
        yield _animation(message.animation)
    elif message.document:
        yield seg.File(**_file(message.document, "document"))
    if message.photo:
        yield seg.Image(**_file(message.photo[-1], "photo"))
    if message.sticker:
        yield _sticker(message.sticker)
    for kind, info in (("video", message.video), ("video_note", message.video_note)):
        if info:
            yield seg.Video(**_file(info, kind))  # type: ignore[arg-type]
    for kind, info in (("voice", message.voice), ("audio", message.audio)):
        if info:
            yield seg.Voice(**_file(info, kind))  # type: ignore[arg-type]
    yield from _place(message)
    yield from _other(message, raw)


def _file(info: FileInfo, kind: FileKind) -> dict[str, Any]:
    name = info.file_name or " - ".join(filter(None, (info.performer, info.title)))
    reference = encode_reference(info.file_id, kind)
    return {"file": reference, "name": name, "size_bytes": info.file_size}


def _animation(info: FileInfo) -> Segment:
    """A GIF is a video without sound here; only a file that is one still is a picture."""
    still = info.mime_type.startswith("image/")
    fields = _file(info, "animation")
    return seg.Image(**fields) if still else seg.Video(**fields)


def _sticker(info: FileInfo) -> Segment:
    """A sticker that moves is no picture that a bot could look at (lottie or WebM)."""
    if info.is_animated or info.is_video:
        return seg.Emoji(encode_reference(info.file_id, "sticker"), info.emoji)
    return seg.Image(**_file(info, "sticker"))


def _place(message: Message) -> Iterator[Segment]:
    if message.venue:  # which comes with the `location`
        where = message.venue.location
        yield seg.Location(
            where.latitude, where.longitude, message.venue.title, message.venue.address
        )
    elif message.location:
        yield seg.Location(message.location.latitude, message.location.longitude)


def _other(message: Message, raw: Fields) -> Iterator[Segment]:
    if message.contact and message.contact.user_id:
        yield seg.Contact("user", UserId(str(message.contact.user_id)))
    elif message.contact:
        yield seg.Unknown("contact", dict(raw["contact"]))
    if message.dice and message.dice.emoji == DIE:
        yield seg.Dice(str(message.dice.value))
    elif message.dice:
        yield seg.Unknown("dice", dict(raw["dice"]))
    for name in OTHER_CONTENT:
        if name in raw:
            yield seg.Unknown(name, _data(raw[name]))


def _unknown(raw: Fields) -> list[Segment]:
    """Content of a kind that nothing here knows, service messages among them."""
    names = [name for name in raw if not _NOT_CONTENT.fullmatch(name) and name != "text"]
    return [seg.Unknown(name, _data(raw[name])) for name in names] or [seg.Unknown("empty")]


def _data(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {"value": value}
