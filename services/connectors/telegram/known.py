"""What one process knows of people and groups beside what an update says.

Nothing of it would be missed: a username that is not known yet stays text, and who is an admin is
asked again.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, TypeAlias

from connectors.telegram import wire
from connectors.telegram.api import BotApi
from connectors.telegram.decode import convert
from connectors.telegram.members import decode_membership
from onebus.codec import CodecError
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.event import Chat, Membership
from onebus.ids import UserId

MAX_USERS = 20_000
MAX_CHATS = 5_000
ADMINS_S = 120.0
"""For how long a list of admins is believed; changes that the bot is told of come at once."""

Admins: TypeAlias = Mapping[UserId, Membership]


class Known:
    """People met, the bot itself, and where it is an admin. Each table forgets its oldest."""

    def __init__(self, api: BotApi, bot_id: int) -> None:
        self._api = api
        self._me = wire.User(bot_id)
        self._by_username: OrderedDict[str, UserId] = OrderedDict()
        self._names: OrderedDict[UserId, str] = OrderedDict()
        self._admins: OrderedDict[int, tuple[Admins, float]] = OrderedDict()

    @property
    def usernames(self) -> Mapping[str, UserId]:
        """In lower case → who has them."""
        return self._by_username

    @property
    def names(self) -> Mapping[UserId, str]:
        """What people are called."""
        return self._names

    async def me(self, *, fresh: bool = False) -> wire.User:
        """The bot itself; asked once in each process. Raises ActionError."""
        if fresh or not self._me.username:
            self._me = await self._api.read("getMe", wire.User)
        return self._me

    def met(self, update: wire.Fields) -> None:
        """Remember who did what an update tells of."""
        for body in update.values():
            if isinstance(body, dict) and isinstance(body.get("from"), dict):
                self._note(body["from"])

    async def is_admin(self, chat: Chat) -> bool:
        """Whether the bot itself is an admin of a group. Raises ActionError."""
        return UserId(str(self._me.id)) in await self.admins(chat)

    async def admins(self, chat: Chat) -> Admins:
        """Who is more than a member in a group, as of the last minutes. Raises ActionError.

        Source: https://core.telegram.org/bots/api#getchatadministrators (without other bots)
        """
        group = int(chat.parent or chat.id)
        found, asked_at_s = self._admins.get(group, ({}, 0.0))
        if not asked_at_s or time.monotonic() - asked_at_s > ADMINS_S:
            found = await self._asked(group)
            _keep(self._admins, group, (found, time.monotonic()), MAX_CHATS)
        return found

    def role_changed(self, chat: Chat) -> None:
        """What was known of a group's admins is out of date."""
        self._admins.pop(int(chat.parent or chat.id), None)

    async def _asked(self, group: int) -> Admins:
        try:
            admins = await self._api.read(
                "getChatAdministrators", list[wire.ChatMember], chat_id=group
            )
        except (NotFound, Forbidden, BadParams):  # the bot is no longer there
            return {}
        return {UserId(str(admin.user.id)): decode_membership(admin) for admin in admins}

    def _note(self, fields: Any) -> None:
        try:
            user = convert(fields, wire.User)
        except CodecError:
            return
        native = UserId(str(user.id))
        _keep(self._names, native, user.name or user.username, MAX_USERS)
        if user.username:
            _keep(self._by_username, user.username.lower(), native, MAX_USERS)


def _keep(table: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > most:
        table.popitem(last=False)
