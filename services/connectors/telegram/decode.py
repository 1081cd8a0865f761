"""Updates of Telegram → events. Pure: what is not in the update comes in a Context.

Source: https://core.telegram.org/bots/api#update.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from connectors.telegram import wire
from connectors.telegram.chats import decode_chat, decode_place, decode_sender, decode_user
from connectors.telegram.content import answered, decode_segments
from connectors.telegram.members import decode_join_request, decode_member_update
from connectors.telegram.wire import Fields
from onebus import event as ev
from onebus.codec import CodecError
from onebus.event import (
    Event,
    FileUploaded,
    MessageBackfilled,
    MessageReceived,
    MessageSent,
    UploadedFile,
    private_chat,
)
from onebus.ids import Account, MessageId, UserId
from onebus.segment import File, Reply

T = TypeVar("T")
ALLOWED_UPDATES = (
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "message_reaction",
    "callback_query",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
)
"""What is asked for. `chat_member` and `message_reaction` come only when they are named."""


class Context(Struct, frozen=True):
    """What a translation needs beside the update. `users`: usernames in lower case → who."""

    account: Account
    me: wire.User
    users: Mapping[str, UserId] = {}


class Inbound(Struct, frozen=True):
    """An update as it concerns us.

    `quoted`: the message that it answers or pins, for a log that never had it. `album`: what its
    pictures have in common. `told_twice`: to an admin `chat_member` says the same, so that these
    events are not for it. `callback`: a button that waits to be let go.
    """

    id: int
    kind: str
    events: tuple[Event, ...] = ()
    quoted: MessageBackfilled | None = None
    album: str = ""
    told_twice: bool = False
    callback: str = ""


def decode_update(update: Fields, context: Context, now_ms: int) -> Inbound:
    """An update → what it means; no events for kinds that bots never see. Raises CodecError."""
    update_id = update.get("update_id")
    if not isinstance(update_id, int):
        raise CodecError("an update without update_id")
    for kind, decode in _KINDS.items():
        if isinstance(body := update.get(kind), dict):
            head = {"account": context.account, "id": str(update_id)}
            return decode(_Update(update_id, kind, body, head, now_ms), context)
    return Inbound(update_id, next((name for name in update if name != "update_id"), "empty"))


class _Update(Struct, frozen=True):
    id: int
    kind: str
    body: dict[str, Any]
    head: dict[str, Any]
    now_ms: int

    def read(self, kind: type[T]) -> T:
        return convert(self.body, kind)


def convert(value: Any, kind: type[T]) -> T:
    """A decoded value of the Bot API as a type of `wire`. Raises CodecError."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise CodecError(str(error)) from error


def decode_sent(raw: Fields, context: Context) -> MessageSent:
    """A message of our own as Telegram shows it. Raises CodecError."""
    return MessageSent(**_message_fields(convert(raw, wire.Message), raw, context))


def decode_edited(raw: Fields, context: Context, now_ms: int) -> ev.MessageEdited:
    """A message of our own after we gave it new words. Raises CodecError.

    Telegram's own time of an edit is in seconds, in which a message may be edited twice.
    """
    fields = _message_fields(convert(raw, wire.Message), raw, context)
    return ev.MessageEdited(
        account=context.account,
        id=f"own-{now_ms}",
        time_ms=now_ms,
        chat=fields["chat"],
        message=fields["message"],
        editor=fields["sender"],
        segments=fields["segments"],
    )


def _message_fields(message: wire.Message, raw: Fields, context: Context) -> dict[str, Any]:
    """What every kind of message event says: the one place that builds it."""
    sender, membership = decode_sender(message)
    return {
        "account": context.account,
        "time_ms": message.date * 1000,
        "chat": decode_place(message),
        "message": MessageId(str(message.message_id)),
        "sender": sender,
        "membership": membership,
        "segments": decode_segments(message, raw, context.me, context.users),
    }


def _backfilled(raw: Fields | None, context: Context) -> MessageBackfilled | None:
    """A quoted message; None for one whose content Telegram does not show (its date is 0)."""
    if raw is None or not raw.get("date"):
        return None
    fields = _message_fields(convert(raw, wire.Message), raw, context)
    fields["segments"] = tuple(part for part in fields["segments"] if not isinstance(part, Reply))
    return MessageBackfilled(**fields)


def _message(update: _Update, context: Context) -> Inbound:
    message = update.read(wire.Message)
    for is_service, decode in _SERVICE:
        if is_service(message):
            return decode(update, message, context)
    fields = _message_fields(message, update.body, context)
    ours = fields["sender"].id == str(context.me.id)
    said = MessageSent(**fields) if ours else MessageReceived(**fields, notice=_is_notice(fields))
    return Inbound(
        update.id,
        update.kind,
        (said, *_uploaded(said, update)),
        quoted=_backfilled(answered(message), context),
        album=message.media_group_id,
    )


def _is_notice(fields: dict[str, Any]) -> bool:
    """Service messages that no event stands for are tips of the system."""
    kinds = [getattr(segment, "kind", "") for segment in fields["segments"]]
    return any(kind.startswith(_SERVICE_KINDS) for kind in kinds)


_SERVICE_KINDS = (
    "new_chat_photo",
    "delete_chat_photo",
    "group_chat_created",
    "supergroup_chat_created",
    "channel_chat_created",
    "message_auto_delete_timer_changed",
    "migrate_",
    "video_chat_",
    "forum_topic_",
    "general_forum_topic_",
    "proximity_alert_triggered",
    "boost_added",
    "chat_background_set",
    "chat_owner_",
)


def _uploaded(said: MessageReceived | MessageSent, update: _Update) -> tuple[Event, ...]:
    """A document in a group is a file of the group, too."""
    if said.chat.kind != "group" or not isinstance(said, MessageReceived):
        return ()
    return tuple(
        FileUploaded(
            **update.head,
            time_ms=said.time_ms,
            chat=said.chat,
            user=said.sender.id,
            file=UploadedFile(segment.file, segment.name, segment.size_bytes or 0),
        )
        for segment in said.segments
        if isinstance(segment, File)
    )


def _edited(update: _Update, context: Context) -> Inbound:
    message = update.read(wire.Message)
    fields = _message_fields(message, update.body, context)
    event = ev.MessageEdited(
        **update.head,
        time_ms=(message.edit_date or message.date) * 1000,
        chat=fields["chat"],
        message=fields["message"],
        editor=fields["sender"],
        segments=fields["segments"],
    )
    # What the log never had gets a number by its new content, or bots could not be told.
    return Inbound(update.id, update.kind, (event,), MessageBackfilled(**fields))


def _joined(update: _Update, message: wire.Message, context: Context) -> Inbound:
    """What `my_chat_member` says of the bot itself is not said again."""
    sender, _ = decode_sender(message)
    events = tuple(
        ev.MemberJoined(
            account=context.account,
            id=f"{update.id}-{user.id}",
            time_ms=message.date * 1000,
            chat=decode_chat(message.chat),
            user=decode_user(user),
            operator=sender.id,
            how="approve" if sender.id == str(user.id) else "invite",
        )
        for user in message.new_chat_members
        if user.id != context.me.id
    )
    return Inbound(update.id, update.kind, events, told_twice=True)


def _left(update: _Update, message: wire.Message, context: Context) -> Inbound:
    user = message.left_chat_member
    if user is None or user.id == context.me.id:
        return Inbound(update.id, update.kind)
    event = ev.MemberLeft(
        **update.head,
        time_ms=message.date * 1000,
        chat=decode_chat(message.chat),
        user=decode_user(user),
        operator=decode_sender(message)[0].id,
    )
    return Inbound(update.id, update.kind, (event,), told_twice=True)


def _renamed(update: _Update, message: wire.Message, context: Context) -> Inbound:  # noqa: ARG001
    topic = message.forum_topic_edited
    event = ev.GroupRenamed(
        **update.head,
        time_ms=message.date * 1000,
        chat=decode_place(message),
        operator=decode_sender(message)[0].id,
        name=topic.name if topic else message.new_chat_title,
    )
    return Inbound(update.id, update.kind, (event,))


def _pinned(update: _Update, message: wire.Message, context: Context) -> Inbound:
    pinned = message.pinned_message or {}
    quoted = _backfilled(pinned, context)
    event = ev.MessagePinned(
        **update.head,
        time_ms=message.date * 1000,
        chat=decode_place(message),
        message=MessageId(str(pinned.get("message_id", ""))),
        sender=quoted.sender.id if quoted else UserId(""),
        operator=decode_sender(message)[0].id,
        pinned=True,
    )
    return Inbound(update.id, update.kind, (event,), quoted)


def _member(update: _Update, context: Context) -> Inbound:
    """About the bot itself only `my_chat_member` speaks, also to an admin."""
    change = update.read(wire.ChatMemberUpdated)
    if update.kind == "chat_member" and change.new_chat_member.user.id == context.me.id:
        return Inbound(update.id, update.kind)
    return Inbound(update.id, update.kind, tuple(decode_member_update(change, update.head)))


def _join_request(update: _Update, context: Context) -> Inbound:  # noqa: ARG001
    request = update.read(wire.ChatJoinRequest)
    return Inbound(update.id, update.kind, (decode_join_request(request, update.head),))


def _reaction(update: _Update, context: Context) -> Inbound:
    """What is new was added, what is gone was taken off."""
    change = update.read(wire.MessageReaction)
    actor = change.user or change.actor_chat
    old, new = map(_emoji, change.old_reaction), list(map(_emoji, change.new_reaction))
    before = list(old)
    changes = [(emoji, False) for emoji in before if emoji not in new]
    changes += [(emoji, True) for emoji in new if emoji not in before]
    events = (
        ev.ReactionChanged(
            account=context.account,
            id=str(update.id) if number == 0 else f"{update.id}-{number}",
            time_ms=change.date * 1000,
            chat=decode_chat(change.chat),
            message=MessageId(str(change.message_id)),
            user=UserId(str(actor.id)) if actor else UserId(""),
            emoji=emoji,
            added=added,
        )
        for number, (emoji, added) in enumerate(changes)
    )
    return Inbound(update.id, update.kind, tuple(events))


def _emoji(reaction: wire.Reaction) -> str:
    return reaction.emoji or reaction.custom_emoji_id or reaction.type


def _callback(update: _Update, context: Context) -> Inbound:  # noqa: ARG001
    """A button below a message was pressed; the time is ours, because the update has none."""
    query = update.read(wire.CallbackQuery)
    user = decode_user(query.sender)
    there = convert(query.message, wire.Message) if query.message else None
    event = ev.Interaction(
        **update.head,
        time_ms=update.now_ms,
        chat=decode_place(there) if there else private_chat(user.id),
        user=user,
        kind="click",
        value=query.data or query.game_short_name,
    )
    return Inbound(update.id, update.kind, (event,), callback=query.id)


def _poll_answer(update: _Update, context: Context) -> Inbound:  # noqa: ARG001
    """A vote; where the poll is, Telegram does not say, so it is told in private."""
    answer = update.read(wire.PollAnswer)
    if answer.user is None:
        return Inbound(update.id, update.kind)
    user = decode_user(answer.user)
    chosen = ",".join(map(str, answer.option_ids))
    event = ev.Interaction(
        **update.head,
        time_ms=update.now_ms,
        chat=private_chat(user.id),
        user=user,
        kind="click",
        value=f"poll:{answer.poll_id}:{chosen}",
    )
    return Inbound(update.id, update.kind, (event,))


_Decode: TypeAlias = Callable[[_Update, Context], Inbound]
_KINDS: Mapping[str, _Decode] = {
    "message": _message,
    "channel_post": _message,
    "edited_message": _edited,
    "edited_channel_post": _edited,
    "message_reaction": _reaction,
    "callback_query": _callback,
    "poll_answer": _poll_answer,
    "my_chat_member": _member,
    "chat_member": _member,
    "chat_join_request": _join_request,
}

_SERVICE: tuple[
    tuple[Callable[[wire.Message], object], Callable[[_Update, wire.Message, Context], Inbound]],
    ...,
] = (
    (lambda message: message.new_chat_members, _joined),
    (lambda message: message.left_chat_member, _left),
    (lambda message: message.new_chat_title, _renamed),
    (lambda message: message.forum_topic_edited and message.forum_topic_edited.name, _renamed),
    (lambda message: message.pinned_message, _pinned),
)
