"""Events of the log → OneBot V11 events.

Source: https://github.com/botuniverse/onebot-11/tree/master/event. Beyond the standard each event
carries `event_id`, its sequence in the log as text: the token to resume from.
"""

from functools import cache
from typing import Literal

from frontends.onebot_v11.native import PROTOCOL
from frontends.onebot_v11.notice import NOTICES
from frontends.onebot_v11.references import Gathered, References, message_key
from frontends.onebot_v11.to_onebot import gather
from frontends.onebot_v11.view import Fields, View, content, message_ids, place, sender, target
from onebus import event as ev
from onebus.event import Chat, Event, MessageEvent, User
from onebus.ids import MessageId, UserId
from onebus.segment import Segments

_ACTORS = ("user", "operator", "sender", "target", "editor")
_FONT = 0


def event_references(event: Event) -> References:
    """The native ids that need numbers before the event can be shown."""
    found = Gathered()
    for name in _actors_of(type(event)):
        actor = getattr(event, name)
        if actor:
            found.users.add(actor.id if isinstance(actor, User) else actor)
    chat: Chat | None = getattr(event, "chat", None)
    if chat is not None:
        _gather_in_chat(event, chat, found)
    return found.all()


def to_onebot_event(event: Event, view: View, sequence: int) -> Fields | None:
    """The event as OneBot V11 has it; `sequence` is its place in the log.

    None for what bots do not get: the account going up or down (heartbeats say that), what
    happened to a message that has no number they could know it by, and, unless `view.report_self`,
    what the account itself writes.
    """
    if not view.report_self and _is_own(event, view):
        return None
    if isinstance(event, ev.MessageReceived | ev.MessageSent):
        details: Fields | None = _message(event, view, sequence)
    else:
        build = NOTICES.get(type(event))
        details = build(event, view) if build else None
    if details is None:
        return None
    return {
        **event.extra.get(PROTOCOL, {}),
        "time": event.time_ms // 1000,
        "self_id": view.self_id,
        **details,
        "event_id": str(sequence),
    }


def lifecycle(
    self_id: int, time_s: int, sub_type: Literal["enable", "disable", "connect"]
) -> Fields:
    """`connect` opens every connection that carries events. Source: event/meta.md, "生命周期"."""
    return {
        "time": time_s,
        "self_id": self_id,
        "post_type": "meta_event",
        "meta_event_type": "lifecycle",
        "sub_type": sub_type,
    }


def heartbeat(self_id: int, time_s: int, status: Fields, interval_ms: int) -> Fields:
    """`status` is what `get_status` answers. Source: event/meta.md, "心跳"."""
    return {
        "time": time_s,
        "self_id": self_id,
        "post_type": "meta_event",
        "meta_event_type": "heartbeat",
        "status": status,
        "interval": interval_ms,
    }


@cache
def _actors_of(kind: type[Event]) -> tuple[str, ...]:
    """Those of the fields with actors that events of this kind have."""
    return tuple(name for name in _ACTORS if name in kind.__struct_fields__)


def _gather_in_chat(event: Event, chat: Chat, found: Gathered) -> None:
    if chat.kind == "group":
        found.groups.add(chat.id)
    else:
        found.users.add(UserId(chat.id))
    segments: Segments = getattr(event, "segments", ())
    gather(segments, chat, found)
    about: MessageId | None = getattr(event, "message", None)
    if isinstance(event, ev.MessageReceived):
        if event.anonymous:
            found.users.add(UserId(event.anonymous.id))
    elif about is not None and not isinstance(event, ev.MessageSent):
        found.messages.add(message_key(chat, about))


def _is_own(event: Event, view: View) -> bool:
    """Whether the account itself wrote this."""
    edited = isinstance(event, ev.MessageEdited) and event.editor.id == view.self_user
    return edited or isinstance(event, ev.MessageSent)


def _message(event: MessageEvent, view: View, sequence: int) -> Fields:
    """Source: event/message.md. Strict clients drop an event that lacks one of these."""
    fields: Fields = {
        **_kind(event),
        **message_ids(sequence),
        **place(event.chat, view),
        "user_id": view.numbers.users[event.sender.id],
        **target(event, view),
    }
    if event.chat.kind == "group":
        fields["anonymous"] = _anonymous(event, view)
        fields["group_name"] = event.chat.name
    fields.update(content(event.segments, event.chat, view))
    fields["font"] = _FONT
    fields["sender"] = sender(event, view)
    return fields


def _kind(event: MessageEvent) -> Fields:
    """Not in the standard: `message_sent`; aiocqhttp needs `message_sent_type` to see it."""
    if isinstance(event, ev.MessageSent):
        return {
            "post_type": "message_sent",
            "message_type": event.chat.kind,
            "message_sent_type": "self",
            "sub_type": "friend" if event.chat.kind == "private" else "normal",
        }
    private = event.chat.kind == "private"
    return {
        "post_type": "message",
        "message_type": event.chat.kind,
        "sub_type": event.relation if private else _group_sub_type(event),
    }


def _group_sub_type(event: ev.MessageReceived) -> str:
    if event.notice:
        return "notice"
    return "anonymous" if event.anonymous else "normal"


def _anonymous(event: MessageEvent, view: View) -> Fields | None:
    mask = event.anonymous if isinstance(event, ev.MessageReceived) else None
    if mask is None:
        return None
    return {"id": view.numbers.users[UserId(mask.id)], "name": mask.name, "flag": mask.flag}
