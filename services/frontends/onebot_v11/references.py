"""Ids that a translation meets, and what they stand for.

Looking an id up waits for NATS, translating does not: a caller asks which ids there are, looks all
of them up, and hands the answers to the translation.
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from msgspec import Struct

from onebus.event import Chat
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import Node

MessageKey: TypeAlias = tuple[Chat, MessageId]
"""A message in its chat, which has kind and id alone: see `message_key`."""


def message_key(chat: Chat, message: MessageId) -> MessageKey:
    """What a message is looked up by, whatever else is known of its chat."""
    return Chat(chat.kind, chat.id), message


class References(Struct, frozen=True):
    """Native ids that need numbers before something can be shown to a bot."""

    users: frozenset[UserId] = frozenset()
    groups: frozenset[ChatId] = frozenset()
    messages: frozenset[MessageKey] = frozenset()


class Numbers(Struct, frozen=True):
    """Native ids → integers. Every user and group asked for is here; a message may be missing."""

    users: Mapping[UserId, int] = {}
    groups: Mapping[ChatId, int] = {}
    messages: Mapping[MessageKey, int] = {}


class WireIds(Struct, frozen=True):
    """Ids as a bot wrote them in a message: numbers in decimal, or native ids.

    `messages` are those quoted, `nodes` those forwarded, which may be of another chat.
    """

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    messages: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()


class Natives(Struct, frozen=True):
    """Ids as a bot wrote them → native ids; what nothing is known of is missing."""

    users: Mapping[str, UserId] = {}
    groups: Mapping[str, ChatId] = {}
    messages: Mapping[str, MessageId] = {}
    nodes: Mapping[str, Node] = {}


class Gathered:
    """References while they are being found: for each event of the log, so it is plain sets."""

    __slots__ = ("groups", "messages", "users")

    def __init__(self) -> None:
        self.users: set[UserId] = set()
        self.groups: set[ChatId] = set()
        self.messages: set[MessageKey] = set()

    def all(self) -> References:
        """What was found."""
        return References(frozenset(self.users), frozenset(self.groups), frozenset(self.messages))


def all_references(parts: Iterable[References]) -> References:
    """Several sets of references as one."""
    found = list(parts)
    return References(
        frozenset().union(*(part.users for part in found)),
        frozenset().union(*(part.groups for part in found)),
        frozenset().union(*(part.messages for part in found)),
    )
