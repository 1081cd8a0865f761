"""Messages that are quoted, and that the log never had: older than it, or said while we were away.

The upstream is asked for them, so that bots see what was quoted. They are numbered and never
delivered (`onebus.event.MessageBackfilled`). What the upstream does not know either stays away.
"""

import asyncio
import contextlib

from connectors.onebot11 import answers
from connectors.onebot11.calls import Calls, number
from connectors.onebot11.fields import Payload, Unreadable
from onebus.connector import Kit
from onebus.errors import ActionError, BusError
from onebus.event import Chat, Event, MessageBackfilled, MessageReceived, MessageSent
from onebus.ids import MessageId
from onebus.segment import Reply

ASK_S = 3.0
"""How long a message waits for the one that it quotes."""


class Quotes:
    """The quoted messages of one account."""

    def __init__(self, kit: Kit, calls: Calls) -> None:
        self._kit = kit
        self._calls = calls

    async def before(self, event: Event) -> None:
        """See that the log has what a message quotes, before it has the message."""
        if not isinstance(event, MessageReceived | MessageSent):
            return
        for segment in event.segments:
            if isinstance(segment, Reply):
                with contextlib.suppress(ActionError, BusError, Unreadable, TimeoutError):
                    async with asyncio.timeout(ASK_S):
                        await self._find(event.chat, segment.message)

    async def _find(self, chat: Chat, message: MessageId) -> None:
        if await self._kit.log.of_message(self._kit.account, chat, message):
            return
        data = await self._calls.read("get_msg", message_id=number(message))
        if chat.kind == "group" and Payload(data).optional_id("group_id") not in ("", chat.id):
            return
        found = answers.message_of(data)
        await self._kit.append(
            MessageBackfilled(
                account=self._kit.account,
                time_ms=found.time_ms,
                chat=chat,
                message=message,
                sender=found.sender,
                segments=found.segments,
            )
        )
