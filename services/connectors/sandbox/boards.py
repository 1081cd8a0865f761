"""What a chat has besides its messages: reactions, pins, files, and how far the bot has read.

The events are made here and logged by who asked.
"""

from connectors.sandbox.conversations import Conversations
from connectors.sandbox.documents import (
    Pin,
    StoredFile,
    with_file,
    with_pin,
    with_reaction,
    with_read,
)
from connectors.sandbox.groups import new_id
from connectors.sandbox.state import State, check_id
from onebus import subjects
from onebus.connector import Kit
from onebus.event import Chat, FileUploaded, MessagePinned, ReactionChanged, UploadedFile
from onebus.ids import MessageId, UserId

FILE = "f-"
"""How the ids of uploaded files begin."""


class Boards:
    """Changes what the chats of one account have besides their messages."""

    def __init__(self, kit: Kit, state: State, conversations: Conversations) -> None:
        self._kit = kit
        self._state = state
        self._conversations = conversations

    async def react(self, wanted: ReactionChanged) -> ReactionChanged:
        """A reaction is put on a message or taken off. Raises NotFound, BadParams, Forbidden."""
        check_id("emoji", wanted.emoji)
        message = await self._conversations.known(wanted.chat, wanted.message)
        change = with_reaction(wanted.message, wanted.emoji, wanted.user, wanted.added)
        await self._state.change_board(message.event.chat, change)
        return wanted

    async def pin(
        self, chat: Chat, message: MessageId, operator: UserId, pinned: bool, event_id: str = ""
    ) -> MessagePinned:
        """A message is pinned or taken down. Raises NotFound or Forbidden."""
        known = await self._conversations.known(chat, message)
        now_ms = self._kit.now_ms()
        pin = Pin(operator, now_ms // 1000) if pinned else None
        await self._state.change_board(known.event.chat, with_pin(message, pin))
        return MessagePinned(
            account=self._kit.account,
            time_ms=now_ms,
            id=event_id or new_id(now_ms),
            chat=known.event.chat,
            message=message,
            sender=known.event.sender.id,
            operator=operator,
            pinned=pinned,
        )

    async def upload(self, chat: Chat, file: StoredFile, event_id: str) -> FileUploaded:
        """A file is in the chat."""
        await self._state.change_board(chat, with_file(file))
        return FileUploaded(
            account=self._kit.account,
            time_ms=self._kit.now_ms(),
            id=event_id,
            chat=chat,
            user=file.user,
            file=UploadedFile(file.id, file.name, file.size_bytes),
        )

    async def uploaded(self, file: str) -> StoredFile | None:
        """A file that is in some chat, by its id."""
        if not file.startswith(FILE):
            return None
        boards = await self._state.boards.all()
        return next((kept for b in boards for kept in b.files if kept.id == file), None)

    async def read(self, chat: Chat, message: MessageId | None) -> None:
        """The bot has read up to a message, or to the last one. Raises NotFound."""
        if message is not None:
            await self._conversations.known(chat, message)
        elif (message := await self._last(chat)) is None:
            return
        await self._state.change_board(chat, with_read(message))

    async def _last(self, chat: Chat) -> MessageId | None:
        where = subjects.messages_of(self._kit.account, chat)
        entries = await self._kit.log.read(where, limit=1)
        return next((getattr(entry.event, "message", None) for entry in entries), None)
