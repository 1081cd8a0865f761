"""Events of an OneBot V11 implementation → events of the log; pure.

Source: https://github.com/botuniverse/onebot-11/tree/master/event, and what go-cqhttp, NapCat,
LLOneBot and Lagrange add. What the model has no word for, or what lacks what its word needs, is a
`NativeEvent`: it reaches bots as it came. What is left over of an event that has a word is `extra`.
"""

from hashlib import blake2b
from typing import Any, Literal, TypedDict

import msgspec
from msgspec import Struct

from connectors.onebot11.decode_message import decode_message
from connectors.onebot11.fields import Fields, Payload, Unreadable, id_of, number_of
from connectors.onebot11.notices import NOTICES, REQUESTS, Base
from onebus import event as ev
from onebus.event import Chat, Event, User, group_chat, private_chat
from onebus.ids import Account, ChatId, MessageId, UserId

PROTOCOL = "onebot.v11"

_IGNORED = (
    *("time", "self_id", "post_type", "message_type", "notice_type", "request_type", "sub_type"),
    *("message_seq", "real_id", "font", "raw_message", "message_format", "message_sent_type"),
    *("event_id", "unnumbered_reply", "raw"),
)
"""What our own frontend says itself, and NapCat's copy of QQ's record in debug mode."""

_ENCODER = msgspec.json.Encoder(order="deterministic")


class Decoded(Struct, frozen=True):
    """What an upstream's event means: one entry of the log or several; none for meta events."""

    events: tuple[Event, ...]
    position: str = ""
    """Where the upstream can go on from, if it is an onebus: its `event_id`."""


def decode_event(fields: Fields, account: Account, nth: int = 0) -> Decoded:
    """An event that is no meta event. `nth`: how often the very same one came before.

    Raises Unreadable for what is no event of this standard.
    """
    if not isinstance(fields.get("post_type"), str):
        raise Unreadable("it has no post_type")
    base: Base = {
        "account": account,
        "time_ms": number_of(fields.get("time")) * 1000,
        "id": event_id(fields, nth),
    }
    try:
        events = _known(Payload(fields), base)
    except Unreadable:
        events = (_native(fields, base),)
    return Decoded(events, position_of(fields))


def position_of(fields: Fields) -> str:
    """An onebus says where in its log an event is."""
    position = fields.get("event_id")
    if isinstance(position, str) and position.isascii() and position.isdecimal():
        return position
    return ""


def event_id(fields: Fields, nth: int = 0) -> str:
    """The same for the same event wherever and however often it is delivered.

    An onebus numbers its events. Elsewhere it is a hash of all that the event says, its second
    included; what is the same in all of that and is not delivered again has another `nth`.
    """
    if position := position_of(fields):
        return f"n{position}"
    digest = blake2b(_ENCODER.encode(fields), digest_size=12).hexdigest()
    return f"h{digest}-{nth}" if nth else f"h{digest}"


def _known(payload: Payload, base: Base) -> tuple[Event, ...]:
    """Raises Unreadable."""
    match payload.value("post_type"):
        case "message" | "message_sent":
            event: Event = _message(payload, base)
            return (_with_extra(event, payload),)
        case "notice":
            build = NOTICES.get(payload.text("notice_type"))
        case "request":
            build = REQUESTS.get(payload.text("request_type"))
        case _:
            build = None
    if build is None:
        raise Unreadable("the model has no word for it")
    events = tuple(build(payload, base))
    if not events:
        raise Unreadable("it says nothing")
    return tuple(_with_extra(event, payload) for event in events)


def _with_extra(event: Event, payload: Payload) -> Event:
    rest = payload.rest(*_IGNORED)
    return msgspec.structs.replace(event, extra={PROTOCOL: rest}) if rest else event


def _native(fields: Fields, base: Base) -> Event:
    """As it came; its message, if it names one, is that of its chat."""
    payload = Payload(fields)
    chat = _place(payload)
    message = id_of(payload.value("message_id"))
    return ev.NativeEvent(
        **base,
        protocol=PROTOCOL,
        payload={key: value for key, value in fields.items() if key not in {"event_id", "raw"}},
        chat=chat,
        message=MessageId(message) if chat and message else None,
    )


def _place(payload: Payload) -> Chat | None:
    if group := payload.optional_id("group_id"):
        return group_chat(ChatId(group))
    user, me = payload.optional_id("user_id"), payload.optional_id("self_id")
    if user == me:
        user = payload.optional_id("target_id")
    return private_chat(UserId(user)) if user and user != me else None


class _Shared(TypedDict):
    chat: Chat
    message: MessageId
    sender: User
    segments: Any
    membership: ev.Membership | None


def _message(payload: Payload, base: Base) -> Event:
    """Source: event/message.md. What the account itself wrote is `message_sent`; go-cqhttp and
    Lagrange may tell it as a message of the account's own user.
    """
    kind = payload.word("message_type", "private", "group")
    sub_type, me = payload.text("sub_type"), payload.id("self_id")
    author = payload.optional_id("user_id") or payload.inside("sender").id("user_id")
    own = payload.value("post_type") == "message_sent" or author == me
    shared: _Shared = {
        "chat": _group(payload) if kind == "group" else _private(payload, author, own),
        "message": MessageId(payload.id("message_id")),
        "sender": _sender(payload.inside("sender"), author),
        "segments": decode_message(_content(payload)),
        "membership": _membership(payload.inside("sender")) if kind == "group" else None,
    }
    base = {**base, "id": ""}  # chat and message say which one it is
    if own:
        return ev.MessageSent(**base, **shared)
    return ev.MessageReceived(
        **base,
        **shared,
        relation=_relation(sub_type) if kind == "private" else "friend",
        anonymous=_anonymous(payload) if kind == "group" else None,
        notice=kind == "group" and sub_type == "notice",
    )


def _content(payload: Payload) -> object:
    message = payload.value("message")
    return payload.value("raw_message") if message is None else message


def _group(payload: Payload) -> Chat:
    return group_chat(ChatId(payload.id("group_id")), payload.text("group_name"))


def _private(payload: Payload, author: str, own: bool) -> Chat:
    """With the other side: whom our own message is for says `target_id` alone."""
    target = payload.optional_id("target_id")
    peer = target if own and target else author
    return private_chat(UserId(peer))


def _relation(sub_type: str) -> Literal["friend", "group", "other"]:
    if sub_type == "friend":
        return "friend"
    return "group" if sub_type == "group" else "other"


def _anonymous(payload: Payload) -> ev.AnonymousIdentity | None:
    mask = payload.inside("anonymous")
    identity = mask.optional_id("id")
    if not identity:
        return None
    return ev.AnonymousIdentity(identity, mask.text("name"), mask.text("flag"))


def _sender(sender: Payload, author: str) -> User:
    """Source: event/message.md, "sender 字段"."""
    sex = sender.text("sex")
    return User(
        UserId(author),
        sender.text("nickname"),
        sex if sex in ("male", "female") else "unknown",  # type: ignore[arg-type]
        max(sender.number("age"), 0),
    )


def _membership(sender: Payload) -> ev.Membership:
    role = sender.text("role")
    return ev.Membership(
        role=role if role in ("owner", "admin") else "member",  # type: ignore[arg-type]
        card=sender.text("card"),
        title=sender.text("title"),
        level=sender.text("level"),
        area=sender.text("area"),
    )
