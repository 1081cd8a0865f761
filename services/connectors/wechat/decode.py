"""Platform XML → events. Pure: no clock, no network, no state.

Sources: https://developers.weixin.qq.com/doc/service/en/guide/product/message/Receiving_standard_messages.html
and https://developers.weixin.qq.com/doc/service/en/guide/product/message/Receiving_event_pushes.html
and https://developers.weixin.qq.com/doc/service/en/guide/product/menu/intro.html
and https://developers.weixin.qq.com/doc/service/en/guide/product/template_message/Template_Message_Interface.html
"""

import math
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import Literal, TypeAlias
from xml.etree.ElementTree import ParseError

from defusedxml import ElementTree
from msgspec import Struct

from onebus.errors import OnebusError
from onebus.event import (
    Chat,
    Event,
    FriendAdded,
    FriendRemoved,
    Interaction,
    MessageReceived,
    User,
    private_chat,
)
from onebus.ids import Account, MessageId, UserId
from onebus.segment import Image, Link, Location, Segment, Segments, Text, Unknown, Video, Voice

Fields = Mapping[str, str]
Control: TypeAlias = Literal["click", "view", "scan"]

MAX_SECONDS = 1 << 40
"""Far beyond any date, and still a number that every reader of the log can hold in ms."""

_QR_PREFIX = "qrscene_"
_INTERACTIONS: Mapping[str, Control] = {
    "CLICK": "click",
    "VIEW": "view",
    "view_miniprogram": "view",
    "SCAN": "scan",
    "scancode_push": "click",
    "scancode_waitmsg": "click",
    "pic_sysphoto": "click",
    "pic_photo_or_album": "click",
    "pic_weixin": "click",
    "location_select": "click",
}
"""Pictures and places that a button asks for come as messages of their own."""
_SCANNED = "ScanCodeInfo/ScanResult"
_REPLYABLE = frozenset({"subscribe", "SCAN", "CLICK", "scancode_waitmsg"})
"""Events that the platform lets us answer: the user looks at the chat when they happen."""
_TEMPLATE_DONE = "TEMPLATESENDJOBFINISH"
_MAX_STATUS = 100


class BadXml(OnebusError):
    """A body that is no XML, has a DTD or entities, or lacks what every push carries."""


class Inbound(Struct, frozen=True):
    """One push: what it says, and how it can be answered.

    `key` is the same at every retry. `us` is the account's original id ("gh_…"), the sender of a
    reply. `events` is empty for kinds that bots never see. `failure`: what an operator should read.
    """

    key: str
    kind: str
    us: str
    chat: Chat
    events: tuple[Event, ...]
    replyable: bool
    failure: str = ""


def parse_xml(body: bytes) -> Fields:
    """The children of the root and their text; theirs are named after both. Raises BadXml.

    DTDs are refused, and with them every entity of one's own: nothing expands, nothing is fetched.
    """
    try:
        root = ElementTree.fromstring(body, forbid_dtd=True)
    except (ParseError, ValueError, LookupError):  # LookupError: an encoding nobody knows
        raise BadXml("the body is not acceptable XML") from None
    fields = {child.tag: child.text or "" for child in root}
    below = {f"{child.tag}/{one.tag}": one.text or "" for child in root for one in child}
    return fields | below


def decode(fields: Fields, account: Account) -> Inbound:
    """A push → its events. Raises BadXml when it lacks sender, time, type or message id."""
    user, us = UserId(_required(fields, "FromUserName")), _required(fields, "ToUserName")
    time_ms = _seconds(_required(fields, "CreateTime")) * 1000
    kind = _required(fields, "MsgType")
    if kind == "event":
        return _decode_event(fields, account, user, us, time_ms)
    message = MessageId(_required(fields, "MsgId"))
    chat = private_chat(user)
    event = MessageReceived(
        account=account,
        time_ms=time_ms,
        chat=chat,
        message=message,
        sender=User(user),
        segments=decode_segments(kind, fields),
    )
    return Inbound(message, kind, us, chat, (event,), replyable=True)


def _required(fields: Fields, name: str) -> str:
    if not (value := fields.get(name, "").strip()):
        raise BadXml(f"the push has no {name}")
    return value


def _seconds(text: str) -> int:
    try:
        seconds = int(text)
    except ValueError:
        raise BadXml("CreateTime is not a number") from None
    if not 0 < seconds < MAX_SECONDS:
        raise BadXml("CreateTime is not a time")
    return seconds


def decode_segments(kind: str, fields: Fields) -> Segments:
    """The content of a message; a kind without a word of ours is kept as it came."""
    make = _SEGMENTS.get(kind)
    if make is None:
        return (Unknown(kind, dict(fields)),)
    return make(fields)


def _text(fields: Fields) -> Segments:
    return (Text(fields.get("Content", "")),)


def _image(fields: Fields) -> Segments:
    return (Image(fields.get("MediaId", ""), url=fields.get("PicUrl", "")),)


def _voice(fields: Fields) -> Segments:
    """The voice, and what the platform understood of it where the account has recognition."""
    media, suffix = fields.get("MediaId", ""), fields.get("Format", "")
    voice: Segment = Voice(media, name=f"{media}.{suffix}" if suffix else "")
    recognized = fields.get("Recognition", "")
    return (voice, Text(recognized)) if recognized else (voice,)


def _video(fields: Fields) -> Segments:
    return (Video(fields.get("MediaId", "")),)


def _location(fields: Fields) -> Segments:
    """X is the latitude. A place that is no pair of numbers is kept as it came."""
    try:
        x, y = float(fields["Location_X"]), float(fields["Location_Y"])
    except (KeyError, ValueError):
        x, y = math.nan, math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        return (Unknown("location", dict(fields)),)
    return (Location(x, y, title=fields.get("Label", "")),)


def _link(fields: Fields) -> Segments:
    title, content = fields.get("Title", ""), fields.get("Description", "")
    return (Link(fields.get("Url", ""), title, content),)


_SEGMENTS: Mapping[str, Callable[[Fields], Segments]] = {
    "text": _text,
    "image": _image,
    "voice": _voice,
    "video": _video,
    "shortvideo": _video,
    "location": _location,
    "link": _link,
}


def _decode_event(fields: Fields, account: Account, user: UserId, us: str, time_ms: int) -> Inbound:
    kind, value = _required(fields, "Event"), fields.get("EventKey", "")
    event_id = _event_id(user, time_ms, kind, value)
    events: list[Event] = []
    if kind == "subscribe":
        events.append(FriendAdded(account=account, time_ms=time_ms, id=event_id, user=User(user)))
    if kind == "unsubscribe":
        events.append(FriendRemoved(account=account, time_ms=time_ms, id=event_id, user=User(user)))
    chat = private_chat(user)
    events += (
        Interaction(
            account=account,
            time_ms=time_ms,
            id=event_id + suffix,
            chat=chat,
            user=User(user),
            kind=control,
            value=said,
        )
        for suffix, control, said in _controls(kind, value, fields)
    )
    failure = _failure(fields) if kind == _TEMPLATE_DONE else ""
    replyable = kind in _REPLYABLE
    return Inbound(event_id, kind, us, chat, tuple(events), replyable, failure)


def _controls(kind: str, value: str, fields: Fields) -> Iterator[tuple[str, Control, str]]:
    """What was used, with the end of its event's id: a button, and the code scanned with it."""
    if control := _control(kind, value):
        yield "", control, value.removeprefix(_QR_PREFIX)
    if kind.startswith("scancode_") and (scanned := fields.get(_SCANNED, "")):
        yield "-scan", "scan", scanned


def _failure(fields: Fields) -> str:
    """That a template message did not arrive; its id is the one that sending it gave."""
    status = fields.get("Status", "")[:_MAX_STATUS]
    if status == "success":
        return ""
    return f"template message {fields.get('MsgID', '')[:_MAX_STATUS]!r} did not arrive: {status!r}"


def _control(kind: str, value: str) -> Control | None:
    """What was used; following through a code with a value is a scan of it, too."""
    if kind == "subscribe":
        return "scan" if value.startswith(_QR_PREFIX) else None
    return _INTERACTIONS.get(kind)


def _event_id(user: UserId, time_ms: int, kind: str, value: str) -> str:
    """Events have no id; the platform says: sender and time. Two buttons fit into one second."""
    event_id = f"{user}-{time_ms // 1000}-{kind}"
    if not value:
        return event_id
    return f"{event_id}-{blake2b(value.encode(), digest_size=4).hexdigest()}"
