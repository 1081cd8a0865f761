"""What a bot can do to messages: take back, edit, pin, react to.

Telegram tells a bot nothing of its own doings, so what is taken back or edited here is logged here.
"""

import contextlib
from collections.abc import Iterator

from connectors.telegram.answers import Unchanged
from connectors.telegram.api import BotApi
from connectors.telegram.chats import encode_message, encode_place
from connectors.telegram.decode import Context, convert, decode_edited
from connectors.telegram.encode import MediaSegment, encode_edit
from connectors.telegram.known import Known
from onebus import action as act
from onebus.connector import Kit
from onebus.errors import BusError, RateLimited
from onebus.event import Chat, MessageRecalled
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import Segments

MAX_AT_ONCE = 100
"""Source: https://core.telegram.org/bots/api#deletemessages"""
_CODE_POINTS = range(0x203C, 0x110000)


class Messages:
    """The messages of one account. Every method raises ActionError."""

    def __init__(self, kit: Kit, api: BotApi, known: Known) -> None:
        self._kit = kit
        self._api = api
        self._known = known

    async def recall(self, action: act.RecallMessage) -> None:
        """deleteMessage, or deleteMessages for all parts of it."""
        chat = encode_place(ChatId(action.chat.id)).chat
        messages = action.parts or (action.message,)
        numbers = [encode_message(message) for message in messages]
        if len(numbers) == 1:
            await self._api.change("deleteMessage", chat_id=chat, message_id=numbers[0])
        for start in range(0, len(numbers) if len(numbers) > 1 else 0, MAX_AT_ONCE):
            some = numbers[start : start + MAX_AT_ONCE]
            await self._api.change("deleteMessages", chat_id=chat, message_ids=some)
        with self._done():
            for message in messages:
                await self._recalled(action.chat, message)

    async def edit(self, action: act.EditMessage) -> None:
        """editMessageText, or editMessageCaption where the message is a file."""
        captioned = _has_media(await self._segments(action.chat, action.message))
        draft = encode_edit(action.message, action.segments, captioned=captioned)
        chat = encode_place(ChatId(action.chat.id)).chat
        context = Context(self._kit.account, await self._known.me(), self._known.usernames)
        with contextlib.suppress(Unchanged):
            answer = await self._api.send(draft.method, {"chat_id": chat} | draft.params)
            with self._done():
                edited = decode_edited(convert(answer, dict), context, self._kit.now_ms())
                await self._kit.append(edited)

    async def pin(self, action: act.PinMessage) -> None:
        """pinChatMessage or unpinChatMessage; nobody is notified."""
        where = {
            "chat_id": encode_place(ChatId(action.chat.id)).chat,
            "message_id": encode_message(action.message),
        }
        with contextlib.suppress(Unchanged):
            if action.pinned:
                await self._api.change("pinChatMessage", **where, disable_notification=True)
            else:
                await self._api.change("unpinChatMessage", **where)

    async def react(self, action: act.React) -> None:
        """setMessageReaction: a bot has one reaction at a time."""
        reaction = [encode_reaction(action.emoji)] if action.added else []
        await self._api.change(
            "setMessageReaction",
            chat_id=encode_place(ChatId(action.chat.id)).chat,
            message_id=encode_message(action.message),
            reaction=reaction,
        )

    async def _segments(self, chat: Chat, message: MessageId) -> Segments:
        found = await self._kit.log.of_message(self._kit.account, chat, message)
        return getattr(found.event, "segments", ()) if found else ()

    async def _recalled(self, chat: Chat, message: MessageId) -> None:
        me = UserId(str((await self._known.me()).id))
        found = await self._kit.log.of_message(self._kit.account, chat, message)
        sender = getattr(found.event, "sender", None) if found else None
        event = MessageRecalled(
            account=self._kit.account,
            time_ms=self._kit.now_ms(),
            chat=chat,
            message=message,
            sender=sender.id if sender else me,
            operator=me,
        )
        await self._kit.append(event)

    @contextlib.contextmanager
    def _done(self) -> Iterator[None]:
        """A log that refuses does not undo what Telegram did."""
        try:
            yield
        except (BusError, RateLimited) as error:
            self._kit.logger.error("done, but not logged: %s", error)


def encode_reaction(emoji: str) -> dict[str, str]:
    """An emoji, its code point in decimal (as QQ has it), or the number of a custom emoji.

    Source: https://core.telegram.org/bots/api#reactiontype
    """
    if not emoji.isascii() or not emoji.isdigit():
        return {"type": "emoji", "emoji": emoji}
    if len(emoji) < 10 and int(emoji) in _CODE_POINTS:
        return {"type": "emoji", "emoji": chr(int(emoji))}
    return {"type": "custom_emoji", "custom_emoji_id": emoji}


def _has_media(segments: Segments) -> bool:
    return any(isinstance(segment, MediaSegment) for segment in segments)
