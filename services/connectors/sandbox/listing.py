"""The messages of a chat as people list them: in the log is their only store.

Every replica reads the same, and what was just written too.
"""

from collections import deque

from msgspec import Struct
from msgspec.structs import replace

from connectors.sandbox.documents import Board
from connectors.sandbox.message import Json, encode_message
from onebus import subjects
from onebus.connector import Kit
from onebus.errors import NotFound
from onebus.event import Chat, MessageEdited, MessageRecalled, MessageReceived, MessageSent
from onebus.history import Message
from onebus.ids import MessageId
from onebus.log import Stored
from onebus.segment import Segments


class Listing(Struct, frozen=True):
    """Messages of a chat, oldest first; `truncated` when there were older ones than the limit."""

    messages: list[Json]
    truncated: bool


async def listing(
    kit: Kit, board: Board | None, chat: Chat, after: MessageId | None, limit: int
) -> Listing:
    """The last messages of a chat, of those after the given one. Raises NotFound."""
    start = 1
    if after is not None:
        known = await kit.log.of_message(kit.account, chat, after)
        if known is None:
            raise NotFound(f"there is no message {after} in this chat")
        start = known.sequence + 1
    read = _Read(limit)
    await kit.log.scan([subjects.contents_of(kit.account, chat)], read.take, start=start)
    return Listing(read.listed(board), read.count > limit)


class _Read:
    """What was read of a chat; recalls and edits come after their messages, however late."""

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._messages: deque[tuple[int, MessageReceived | MessageSent]] = deque(maxlen=limit)
        self._recalled: set[MessageId] = set()
        self._edits: dict[MessageId, Segments] = {}

    def take(self, stored: Stored) -> None:
        match stored.event:
            case MessageReceived() | MessageSent() as event:
                self.count += 1
                self._messages.append((stored.sequence, event))
            case MessageRecalled(message=message):
                self._recalled.add(message)
            case MessageEdited(message=message, segments=segments):
                self._edits[message] = segments

    def listed(self, board: Board | None) -> list[Json]:
        return [self._message(*entry, board) for entry in self._messages]

    def _message(
        self, sequence: int, event: MessageReceived | MessageSent, board: Board | None
    ) -> Json:
        edited = self._edits.get(event.message)
        if edited is not None:
            event = replace(event, segments=edited)
        message = Message(sequence, event, event.message in self._recalled)
        return encode_message(message, edited=edited is not None, board=board)
