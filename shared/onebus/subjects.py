"""NATS subjects, written and checked here and nowhere else.

Subjects have no prefix here; `Bus` puts the configured one in front. Every token that comes from
outside is escaped, so an account called `a.b`, `*` or `>` is harmless: what is not in
`A-Za-z0-9_-` becomes `=XX` per byte, the empty token `=`, and a token that would grow beyond
`MAX_TOKEN` its hash (no reader ever needs the way back: a stored body names its own subject).

    events.{shard}.{platform}.{account}.message.{chat}.{message}
    events.{shard}.{platform}.{account}.backfill.{chat}.{message}
    events.{shard}.{platform}.{account}.edit.{chat}.{message}.{event}
    events.{shard}.{platform}.{account}.notice.{chat}.{message}.recalled
    events.{shard}.{platform}.{account}.{notice|request|account}.{type}.{event}
    events.{shard}.{platform}.{account}.owner
    actions.{platform}.{account}
    passive.{platform}.{account}.{chat}
    deferred.{platform}.{account}.{id}
    dead.{target}
"""

import re
from functools import lru_cache
from hashlib import blake2b

from onebus import event as ev
from onebus.event import Chat, Event
from onebus.ids import Account, MessageId, Platform

MAX_TOKEN = 180
EVENTS = "events.>"
DEFERRED = "deferred.>"
DEAD = "dead.*"
INBOX = "_INBOX"

ACCOUNTS_KEPT = 4096
"""Accounts whose tokens are remembered: they are asked for several times for every message."""

_OUTSIDE = re.compile(rb"[^A-Za-z0-9_-]")
_PLAIN = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_TOKEN}}}")
_ESCAPED = re.compile(r"[A-Za-z0-9_=-]+")
_CATEGORY = {ev.FriendRequested: "request", ev.GroupRequested: "request"}


def escape(token: str) -> str:
    """Any text → one subject token, injective but for hash collisions beyond MAX_TOKEN."""
    if _PLAIN.fullmatch(token):
        return token
    raw = token.encode("utf-8", "surrogatepass")
    escaped = _OUTSIDE.sub(lambda match: b"=%02X" % match[0][0], raw).decode()
    if len(escaped) > MAX_TOKEN:
        return "=h" + blake2b(raw, digest_size=20).hexdigest()
    return escaped or "="


def is_escaped(token: str) -> bool:
    """Whether a text can stand in a subject as one token."""
    return bool(_ESCAPED.fullmatch(token))


def key(*tokens: str) -> str:
    """Tokens → a key of a bucket."""
    return ".".join(map(escape, tokens))


def inbox_prefix(user: str) -> str:
    """Below which a user of NATS receives answers; the usual one where there is no user."""
    return f"_INBOX_{escape(user)}" if user else INBOX


@lru_cache(ACCOUNTS_KEPT)
def account_key(account: Account) -> str:
    """The tokens of an account, in keys and subjects alike."""
    return key(account.platform, account.account_id)


@lru_cache(ACCOUNTS_KEPT)
def shard(account: Account) -> str:
    """Two hex digits that spread accounts over streams, once there are several."""
    return blake2b(account_key(account).encode(), digest_size=1).hexdigest()


def events_of(account: Account) -> str:
    """Filter: every event of one account."""
    return f"events.{shard(account)}.{account_key(account)}.>"


def messages_of(account: Account, chat: Chat) -> str:
    """Filter: the messages of one chat."""
    return f"{_events(account)}.message.{chat_token(chat)}.*"


def contents_of(account: Account, chat: Chat) -> str:
    """Filter: messages, edits and recalls of one chat, which alone have its token at this place."""
    return f"{_events(account)}.*.{chat_token(chat)}.>"


def edits(account: Account, chat: Chat, message_id: MessageId) -> str:
    """Filter: the edits of one message."""
    return f"{_events(account)}.edit.{chat_token(chat)}.{escape(message_id)}.*"


def message(account: Account, chat: Chat, message_id: MessageId) -> str:
    """Where a message is stored, received or sent."""
    return f"{_events(account)}.message.{chat_token(chat)}.{escape(message_id)}"


def backfill(account: Account, chat: Chat, message_id: MessageId) -> str:
    """Where a message is stored that is only known because it was quoted."""
    return f"{_events(account)}.backfill.{chat_token(chat)}.{escape(message_id)}"


def recall(account: Account, chat: Chat, message_id: MessageId) -> str:
    """Where the recall of a message is stored."""
    return f"{_events(account)}.notice.{chat_token(chat)}.{escape(message_id)}.recalled"


def of_event(event: Event) -> str:
    """Where an event is stored: by its own content alone."""
    match event:
        case ev.MessageReceived() | ev.MessageSent():
            return message(event.account, event.chat, event.message)
        case ev.MessageBackfilled():
            return backfill(event.account, event.chat, event.message)
        case ev.MessageRecalled():
            return recall(event.account, event.chat, event.message)
        case ev.MessageEdited():
            place = f"{chat_token(event.chat)}.{escape(event.message)}.{escape(event.id)}"
            return f"{_events(event.account)}.edit.{place}"
        case ev.AccountChanged():
            return f"{_events(event.account)}.account.{escape(event.id)}"
    category = _CATEGORY.get(type(event), "notice")
    name = str(event.__struct_config__.tag)
    return f"{_events(event.account)}.{category}.{name}.{escape(event.id)}"


def owner(account: Account) -> str:
    """Where the owner of an account whose events have synthetic ids says so."""
    return f"{_events(account)}.owner"


def is_owner(subject: str) -> bool:
    """Whether an entry is the record of an owner, and no event."""
    tokens = subject.split(".")
    return len(tokens) == 5 and tokens[4] == "owner"


def account_in(subject: str) -> str:
    """The account's tokens (`account_key`) in the subject of an event."""
    return ".".join(subject.split(".", 4)[2:4])


def actions(account: Account) -> str:
    """Where the owner of an account takes actions."""
    return f"actions.{account_key(account)}"


def passive(account: Account, chat: Chat) -> str:
    """Where a replica that holds a webhook request of the chat takes its reply."""
    return f"passive.{account_key(account)}.{chat_token(chat)}"


def deferred(account: Account, action_id: str) -> str:
    """Where an action waits for its turn."""
    return f"deferred.{account_key(account)}.{escape(action_id)}"


def deferred_on(platform: Platform) -> str:
    """Filter: the same for every account of a platform."""
    return f"deferred.{escape(platform)}.>"


def account_of_deferred(subject: str) -> str:
    """The account's tokens (`account_key`) in the subject of an action that waits."""
    return ".".join(subject.split(".", 3)[1:3])


def deferred_of(account: Account) -> str:
    """Filter: every action of an account that waits, or that had its turn."""
    return f"deferred.{account_key(account)}.>"


def dead(target: str) -> str:
    """Where what a bot could not be given is kept; `target` is its key."""
    return f"dead.{escape(target)}"


def chat_token(chat: Chat) -> str:
    """A chat as one token: `p-` or `g-`, because a user and a group may share an id."""
    return escape(f"{chat.kind[0]}-{chat.id}")


@lru_cache(ACCOUNTS_KEPT)
def _events(account: Account) -> str:
    return f"events.{shard(account)}.{account_key(account)}"
