"""Updates into the log, whichever way they came.

An update is done when this returns: then Telegram may forget it.
"""

from collections.abc import Sequence
from functools import reduce

from msgspec.structs import replace

from connectors.telegram.albums import is_of, logged, merged
from connectors.telegram.api import BotApi
from connectors.telegram.decode import Context, Inbound, decode_update
from connectors.telegram.known import Known
from connectors.telegram.wire import Fields
from onebus.codec import CodecError
from onebus.connector import Kit
from onebus.errors import ActionError
from onebus.event import Event, MessageReceived, RoleChanged

APPEND_S = 10.0


class Intake:
    """The updates of one account in one process."""

    def __init__(self, kit: Kit, api: BotApi, known: Known) -> None:
        self._kit = kit
        self._api = api
        self._known = known

    async def decoded(self, update: Fields) -> Inbound | None:
        """What an update means; None when it cannot be read. Raises ActionError."""
        me = await self._known.me()
        self._known.met(update)
        context = Context(self._kit.account, me, self._known.usernames)
        try:
            return decode_update(update, context, self._kit.now_ms())
        except CodecError as error:
            self._kit.ignore("unreadable")
            self._kit.logger.warning("an update could not be read, and is left out: %s", error)
            return None

    async def take(self, inbound: Inbound, *, timeout_s: float = APPEND_S) -> None:
        """Log an update. Raises ActionError or BusError: then Telegram has to give it again."""
        if not inbound.events:
            self._kit.ignore(inbound.kind)
            return
        if inbound.told_twice and await self._told_to_admin(inbound.events[0]):
            return
        await self._backfill(inbound, timeout_s)
        events = [await self._with_role(event) for event in inbound.events]
        await self._append(events, timeout_s)

    async def take_album(self, album: Sequence[Inbound]) -> None:
        """Log pictures that belong together as one message; some may be in the log already."""
        left = list(album)
        while left and (parts := await logged(self._kit, left[0])):
            for inbound in left:
                if is_of(inbound, parts):
                    await self._append(inbound.events[1:], APPEND_S)
            left = [inbound for inbound in left if not is_of(inbound, parts)]
        if left:
            await self.take(reduce(merged, left))

    async def let_go(self, inbound: Inbound) -> None:
        """Tell Telegram that a button was heard of, so that it stops turning.

        Source: https://core.telegram.org/bots/api#answercallbackquery
        """
        if not inbound.callback:
            return
        try:
            await self._api.change("answerCallbackQuery", callback_query_id=inbound.callback)
        except ActionError as error:  # too late, which is harmless
            self._kit.logger.debug("a button was not let go: %s", error)

    async def _with_role(self, event: Event) -> Event:
        """A group's message with what its sender is there; a member, when Telegram does not say."""
        if not isinstance(event, MessageReceived) or not event.chat.id.startswith("-"):
            return event
        try:
            there = (await self._known.admins(event.chat)).get(event.sender.id)
        except ActionError as error:
            self._kit.logger.debug("who the admins are is not known: %s", error)
            return event
        return replace(event, membership=there) if there else event

    async def _append(self, events: Sequence[Event], timeout_s: float) -> None:
        for event in events:
            if isinstance(event, RoleChanged):
                self._known.role_changed(event.chat)
            await self._kit.append(event, timeout_s=timeout_s)

    async def _told_to_admin(self, event: Event) -> bool:
        chat = getattr(event, "chat", None)
        return chat is not None and await self._known.is_admin(chat)

    async def _backfill(self, inbound: Inbound, timeout_s: float) -> None:
        """Number what is quoted, if the log has nothing of it."""
        quoted = inbound.quoted
        if quoted is None:
            return
        found = await self._kit.log.of_message(quoted.account, quoted.chat, quoted.message)
        if found is None:
            await self._kit.append(quoted, timeout_s=timeout_s)
