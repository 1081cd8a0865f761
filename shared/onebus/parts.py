"""Sending a message of which the platform makes several: a long text, a text with pictures."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from onebus.action import Sent
from onebus.connector import Kit
from onebus.errors import ActionError, OutcomeUnknown
from onebus.event import MessageSent
from onebus.ids import MessageId

D = TypeVar("D")


async def send_parts(
    kit: Kit,
    drafts: Sequence[D],
    send: Callable[[D], Awaitable[MessageId]],
    event: Callable[[D, MessageId], MessageSent],
    *,
    degraded: Sequence[str] = (),
) -> Sent:
    """Send each draft in order; each becomes an entry of the log that lists all parts.

    `send` gives the id that the platform gave, `event` builds what is logged of a draft. Raises
    what `send` raises for the first part. When a later one fails, those before it are logged and
    the error is OutcomeUnknown: the message must not be sent again as a whole.
    """
    ids: list[MessageId] = []
    for draft in drafts:
        try:
            ids.append(await send(draft))
        except ActionError as error:
            if not ids:
                raise
            await kit.append_sent(_events(drafts, ids, event))
            text = f"{len(ids)} of {len(drafts)} parts were sent, then: {error}"
            raise OutcomeUnknown(text) from error
    return await kit.append_sent(_events(drafts, ids, event), degraded=degraded)


def _events(
    drafts: Sequence[D], ids: Sequence[MessageId], event: Callable[[D, MessageId], MessageSent]
) -> list[MessageSent]:
    """Of what was sent."""
    parts = tuple(ids) if len(ids) > 1 else ()
    made = (event(draft, message) for draft, message in zip(drafts, ids, strict=False))
    return [replace(one, parts=parts) for one in made]
