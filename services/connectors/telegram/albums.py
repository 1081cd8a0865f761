"""Albums: Telegram sends each picture as an update of its own, bots get one message.

Only who polls can wait for the rest of an album without taking the first pictures from Telegram's
hands: its updates come again until a later one is asked for. Called by a webhook, onebus would have
to answer for a picture before it is sent the next one; there each is a message by itself.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from connectors.telegram.decode import Inbound
from onebus.connector import Kit
from onebus.event import MessageReceived
from onebus.ids import MessageId
from onebus.segment import Reply

MOST = 10
"""Pictures in an album. Source: https://core.telegram.org/bots/api#sendmediagroup"""


def album_of(inbound: Inbound) -> tuple[object, str] | None:
    """To which album of which chat a picture belongs; None for what is in none."""
    said = inbound.events[0] if inbound.events else None
    if not inbound.album or not isinstance(said, MessageReceived):
        return None
    return said.chat.key, inbound.album


def merged(one: Inbound, other: Inbound) -> Inbound:
    """Two parts of an album as one message under the number of the first, which lists both."""
    first, second = _said(one), _said(other)
    more = tuple(part for part in second.segments if not isinstance(part, Reply))
    said = replace(
        first,
        segments=first.segments + more,
        parts=(*(first.parts or (first.message,)), second.message),
    )
    # The uploads of the other part have the id of its own update, so they stay apart.
    return replace(
        one, events=(said, *one.events[1:], *other.events[1:]), quoted=one.quoted or other.quoted
    )


async def logged(kit: Kit, inbound: Inbound) -> tuple[MessageId, ...]:
    """The parts of the message that a picture is the first of; empty when the log has none.

    A process that ended in between may have logged a shorter album.
    """
    said = _said(inbound)
    found = await kit.log.of_message(kit.account, said.chat, said.message)
    if found is None or not isinstance(found.event, MessageReceived):
        return ()
    return (said.message, *found.event.parts)


def is_of(inbound: Inbound, messages: Sequence[MessageId]) -> bool:
    """Whether a picture is one of these messages."""
    return _said(inbound).message in messages


def _said(inbound: Inbound) -> MessageReceived:
    said = inbound.events[0]
    assert isinstance(said, MessageReceived)  # noqa: S101  # album_of has seen to it
    return said
