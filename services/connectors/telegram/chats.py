"""Chats and people of Telegram, by the ids that they have here. Pure.

A group is `-100…`, as Telegram has it; a topic is `{group}:{thread}`, with the group as its parent;
a private chat is its user. Source: https://core.telegram.org/bots/api#chat.
"""

import re
from typing import Any

from msgspec import Struct

from connectors.telegram import wire
from onebus.errors import BadParams
from onebus.event import Chat, Membership, User, group_chat, private_chat
from onebus.ids import ChatId, MessageId, UserId

_CHAT = re.compile(r"(-?[0-9]{1,18}|@[A-Za-z0-9_]{3,64})(?::([0-9]{1,15}))?")


class Place(Struct, frozen=True):
    """Where a call of the Bot API goes: a chat, and in a forum a topic of it."""

    chat: int | str
    thread: int | None = None

    def params(self) -> dict[str, Any]:
        """The parameters that name it."""
        return {"chat_id": self.chat} | (
            {"message_thread_id": self.thread} if self.thread is not None else {}
        )


def encode_place(chat: ChatId) -> Place:
    """A chat → where to call. Raises BadParams when it is no chat of Telegram."""
    match = _CHAT.fullmatch(chat)
    if match is None:
        raise BadParams("this is no chat of Telegram: a number, {group}:{topic}, or @name")
    name, thread = match.groups()
    return Place(name if name[0] == "@" else int(name), int(thread) if thread else None)


def encode_user(user: UserId) -> int:
    """A user → their number. Raises BadParams when it is none."""
    if re.fullmatch(r"[0-9]{1,18}", user):
        return int(user)
    raise BadParams("this is no user of Telegram: it must be a number")


def encode_message(message: MessageId) -> int:
    """A message → its number within its chat. Raises BadParams when it is none."""
    if re.fullmatch(r"[0-9]{1,15}", message):
        return int(message)
    raise BadParams("this is no message of Telegram")


def decode_chat(chat: wire.Chat) -> Chat:
    """A chat as a whole; channels are groups."""
    if chat.type == "private":
        return private_chat(UserId(str(chat.id)))
    return group_chat(ChatId(str(chat.id)), chat.title)


def decode_place(message: wire.Message) -> Chat:
    """Where a message stands: in a forum its topic, unless that is the general one.

    A `message_thread_id` without `is_topic_message` is a thread of comments, and no place.
    """
    whole = decode_chat(message.chat)
    if whole.kind == "private" or not message.is_topic_message or not message.message_thread_id:
        return whole
    topic = message.forum_topic_created or message.forum_topic_edited
    name = topic.name if topic and topic.name else whole.name
    return Chat("group", ChatId(f"{whole.id}:{message.message_thread_id}"), name, whole.id)


def decode_user(user: wire.User) -> User:
    """A person or bot."""
    return User(UserId(str(user.id)), user.name or user.username)


def decode_sender(message: wire.Message) -> tuple[User, Membership | None]:
    """Who wrote a message, and what they are in the group, as far as the message says so.

    Who writes as a chat (an anonymous admin, a channel) has the chat's id and name. An anonymous
    admin signs with their title.
    """
    as_chat = message.sender_chat
    if as_chat is None:
        known = message.sender or wire.User(message.chat.id, first_name=message.chat.title)
        tagged = Membership(title=message.sender_tag) if message.sender_tag else None
        return decode_user(known), tagged
    user = User(UserId(str(as_chat.id)), as_chat.title or as_chat.username)
    if as_chat.id == message.chat.id:
        return user, Membership("admin", title=message.author_signature)
    return user, None
