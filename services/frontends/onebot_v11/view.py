"""What messages and notices share on their way to a bot.

Source: https://github.com/botuniverse/onebot-11/tree/master/event. Fields that the standard lacks
carry the names that go-cqhttp, NapCat and LLOneBot share, where there are any.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from frontends.onebot_v11.cq import RawSegment, format_cq
from frontends.onebot_v11.link import Links, linked
from frontends.onebot_v11.references import Numbers
from frontends.onebot_v11.to_onebot import to_onebot_message
from onebus.event import Chat, Membership, MessageEvent, MessageSent
from onebus.idmap import fold
from onebus.ids import UserId
from onebus.segment import Segments

MessageFormat: TypeAlias = Literal["string", "array"]
Fields: TypeAlias = dict[str, Any]


class View(Struct, frozen=True):
    """How one bot sees an account: who it is there, its numbers, and how it reads messages.

    `report_self`: it also gets what the account itself writes. `links`: addresses of files, if
    there can be any.
    """

    self_id: int
    self_user: UserId
    numbers: Numbers
    message_format: MessageFormat = "string"
    report_self: bool = False
    links: Links | None = None


def content(segments: Segments, chat: Chat, view: View) -> Fields:
    """`message` in the bot's format and `raw_message`, which is CQ text in both.

    `unnumbered_reply` is the native id of a quoted message that has no number.
    """
    rendered = to_onebot_message(linked(segments, view.links), chat, view.numbers)
    raw_message = format_cq(rendered.segments)
    message: str | list[RawSegment] = raw_message
    if view.message_format == "array":
        message = rendered.segments
    fields: Fields = {
        "message": message,
        "raw_message": raw_message,
        "message_format": view.message_format,
    }
    if rendered.unnumbered:
        fields["unnumbered_reply"] = rendered.unnumbered[0]
    return fields


def sender(event: MessageEvent, view: View) -> Fields:
    """Who wrote a message. Source: event/message.md, "sender 字段"."""
    user = event.sender
    fields: Fields = {"user_id": view.numbers.users[user.id], "nickname": user.name}
    if event.chat.kind == "private":
        return fields | {"sex": user.sex, "age": user.age}
    there = event.membership or Membership()
    return fields | {
        "card": there.card,
        "sex": user.sex,
        "age": user.age,
        "area": there.area,
        "level": there.level,
        "role": there.role,
        "title": there.title,
    }


def message_ids(sequence: int) -> Fields:
    """The number of a message under the names that bots look for it."""
    number = fold(sequence)
    return {"message_id": number, "message_seq": number, "real_id": number}


def target(event: MessageEvent, view: View) -> Fields:
    """`target_id`: whom a private message is for, or where the account itself wrote."""
    if not isinstance(event, MessageSent):
        return {"target_id": view.self_id} if event.chat.kind == "private" else {}
    chat, numbers = event.chat, view.numbers
    group = chat.kind == "group"
    return {"target_id": numbers.groups[chat.id] if group else numbers.users[UserId(chat.id)]}


def place(chat: Chat, view: View) -> Fields:
    """`group_id` for a group's event; a private one has none."""
    return {"group_id": view.numbers.groups[chat.id]} if chat.kind == "group" else {}
