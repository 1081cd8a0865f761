"""Messages as they are now: what the log first said of them, with edits and recalls laid over."""

from collections import deque

from msgspec import Struct
from msgspec.structs import replace

from onebus import subjects
from onebus.event import (
    Chat,
    MessageEdited,
    MessageEvent,
    MessageRecalled,
    MessageReceived,
    MessageSent,
)
from onebus.ids import Account, MessageId
from onebus.log import Log, Stored
from onebus.segment import Segments

NEAR = 20_000
"""How far back is looked first: reading a whole log for the last messages of a chat is slow."""


class Message(Struct, frozen=True):
    """A message with its place in the log; `event` has its present content."""

    sequence: int
    event: MessageEvent
    recalled: bool = False


async def message_now(log: Log, sequence: int, event: MessageEvent) -> Message:
    """One message of the log as it is now. Raises BusError."""
    recall = await log.recall_of(event.account, event.chat, event.message)
    edit = await log.edit_of(event.account, event.chat, event.message)
    if edit and isinstance(edit.event, MessageEdited):
        event = replace(event, segments=edit.event.segments)
    return Message(sequence, event, recall is not None)


async def messages_until(
    log: Log, account: Account, chat: Chat, last: int | None, limit: int
) -> list[Message]:
    """The last `limit` messages of a chat up to a sequence, or to now; oldest first.

    Raises BusError.
    """
    end = last or await log.end()
    if end > NEAR:
        found = await _read(log, account, chat, (end - NEAR, end), limit)
        if len(found) == limit:
            return found
    return await _read(log, account, chat, (1, end), limit)


async def _read(
    log: Log, account: Account, chat: Chat, between: tuple[int, int], limit: int
) -> list[Message]:
    """Edits and recalls come after their messages, however late."""
    first, last = between
    messages: deque[tuple[int, MessageEvent]] = deque(maxlen=limit)
    recalled: set[MessageId] = set()
    edits: dict[MessageId, Segments] = {}

    def on_event(stored: Stored) -> None:
        match stored.event:
            case MessageRecalled(message=message):
                recalled.add(message)
            case MessageEdited(message=message, segments=segments):
                edits[message] = segments
            case MessageReceived() | MessageSent() as event if stored.sequence <= last:
                messages.append((stored.sequence, event))

    await log.scan([subjects.contents_of(account, chat)], on_event, start=first)
    return [
        Message(
            sequence,
            replace(event, segments=edits.get(event.message, event.segments)),
            event.message in recalled,
        )
        for sequence, event in messages
    ]
