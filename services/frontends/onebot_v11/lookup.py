"""The ids of one account, both ways: what a translation asks for before it is made.

Numbers are the same at every replica (`onebus.idmap`). Input is generous: a bot may name a user,
group or message by number, by numeric string, or by the platform's own id. A number of another
account or platform is "not found".
"""

import re
from typing import cast

from frontends.onebot_v11.references import (
    MessageKey,
    Natives,
    Numbers,
    References,
    WireIds,
    message_key,
)
from onebus.errors import NotFound
from onebus.event import (
    Chat,
    MessageBackfilled,
    MessageEvent,
    MessageReceived,
    MessageSent,
)
from onebus.idmap import FIRST_HASHED, Kind, Numbering, fold, unfold
from onebus.ids import Account, ChatId, UserId
from onebus.log import Log, Stored
from onebus.segment import Node

END_OF_NUMBERS = 2 * FIRST_HASHED
NOTHING = WireIds()
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")


class Lookup:
    """Ids within one account. All calls raise BusError when NATS is away."""

    def __init__(self, account: Account, scope: str, ids: Numbering, log: Log) -> None:
        self._account = account
        self._scope = scope
        self._ids = ids
        self._log = log

    async def number(self, user: UserId) -> int:
        """The number of one user."""
        return await self._ids.number(self._scope, "user", user)

    async def numbers(self, wanted: References) -> Numbers:
        """Numbers for native ids; a message that the log does not have is left out."""
        users = await self._ids.numbers(self._scope, "user", wanted.users)
        groups = await self._ids.numbers(self._scope, "group", wanted.groups)
        messages = {key: await self._message_number(key) for key in wanted.messages}
        return Numbers(
            cast("dict[UserId, int]", users),
            cast("dict[ChatId, int]", groups),
            {key: number for key, number in messages.items() if number is not None},
        )

    def known(self, wanted: References) -> Numbers | None:
        """The same, if nothing has to be asked for."""
        if wanted.messages:
            return None
        users = self._ids.known(self._scope, "user", wanted.users)
        groups = self._ids.known(self._scope, "group", wanted.groups)
        if users is None or groups is None:
            return None
        return Numbers(
            {UserId(native): number for native, number in users.items()},
            {ChatId(native): number for native, number in groups.items()},
        )

    async def natives(self, wanted: WireIds, chat: Chat) -> Natives:
        """Native ids for what a bot wrote in a message to this chat; unknown ones are left out.

        Only a message of the same chat can be quoted; any of the account can be forwarded.
        """
        if wanted == NOTHING:
            return Natives()
        users = {text: await self._native("user", _read(text)) for text in wanted.users}
        groups = {text: await self._native("group", _read(text)) for text in wanted.groups}
        messages = {text: await self._quoted(_read(text), chat) for text in wanted.messages}
        nodes = {text: await self._find(_read(text)) for text in wanted.nodes}
        return Natives(
            {text: UserId(native) for text, native in users.items() if native is not None},
            {text: ChatId(native) for text, native in groups.items() if native is not None},
            {text: stored.event.message for text, stored in messages.items() if stored},
            {text: _node(stored.event, chat) for text, stored in nodes.items() if stored},
        )

    async def user(self, given: int | str) -> UserId:
        """A user as a bot names one. Raises NotFound."""
        return UserId(await self._existing("user", given))

    async def group(self, given: int | str) -> ChatId:
        """A group as a bot names one. Raises NotFound."""
        return ChatId(await self._existing("group", given))

    async def message(self, given: int | str) -> "StoredMessage":
        """A message of this account by its message_id. Raises NotFound."""
        if stored := await self._find(given):
            return stored
        raise NotFound(f"no message {given} in this account's log")

    async def _existing(self, kind: Kind, given: int | str) -> str:
        if (native := await self._native(kind, given)) is not None:
            return native
        raise NotFound(f"no {kind} {given}: this number was never given to a bot here")

    async def _native(self, kind: Kind, given: int | str) -> str | None:
        """A number is looked up; what cannot be one of our numbers is the platform's own id."""
        if isinstance(given, int) and 0 < given < END_OF_NUMBERS:
            return await self._ids.native(self._scope, kind, given)
        return str(given) or None

    async def _message_number(self, key: MessageKey) -> int | None:
        stored = await self._log.of_message(self._account, *key)
        return fold(stored.sequence) if stored else None

    async def _quoted(self, given: int | str, chat: Chat) -> "StoredMessage | None":
        stored = await self._find(given)
        return stored if stored and stored.event.chat.key == chat.key else None

    async def _find(self, given: int | str) -> "StoredMessage | None":
        if not isinstance(given, int):
            return None
        near = self._log.last_seen or await self._log.end()
        stored = await self._at(unfold(given, near))
        if stored is None:  # this process may not have seen how far the log has come
            stored = await self._at(unfold(given, await self._log.end()))
        return stored

    async def _at(self, sequence: int | None) -> "StoredMessage | None":
        """The message at a sequence, if it is a message and this account's."""
        stored = await self._log.at(sequence) if sequence else None
        if stored is None or stored.event.account != self._account:
            return None
        event = stored.event
        if isinstance(event, MessageBackfilled):
            event = event.received()
        if not isinstance(event, MessageReceived | MessageSent):
            return None
        return StoredMessage(stored, event)


def _read(text: str) -> int | str:
    """An id inside a message: a number in its usual form is one, all else is the platform's id."""
    return int(text) if _NUMBER.fullmatch(text) else text


def _node(event: MessageEvent, chat: Chat) -> Node:
    """A message as part of a forward; outside its own chat a connector cannot find it by id."""
    return Node(
        event.message if event.chat.key == chat.key else None,
        event.sender.id,
        event.sender.name,
        event.time_ms // 1000,
        event.segments,
    )


class StoredMessage:
    """A message with its number and its place."""

    def __init__(self, stored: Stored, event: MessageEvent) -> None:
        self.sequence = stored.sequence
        self.number = fold(stored.sequence)
        self.event = event
        self.key: MessageKey = message_key(event.chat, event.message)
