"""A message of several parts: what is logged of it, and what its sender is told."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from onebus.errors import Forbidden, OutcomeUnknown
from onebus.event import MessageSent, User, group_chat
from onebus.ids import ChatId, MessageId, UserId, parse_account
from onebus.parts import send_parts
from onebus.segment import Text
from onebus.testing.memory import Memory, MemoryKit

ACCOUNT = parse_account("chatter.one")


@pytest.fixture
async def kit() -> AsyncIterator[MemoryKit]:
    async with aiohttp.ClientSession() as http:
        yield MemoryKit(Memory(), ACCOUNT, http)


async def send(draft: str) -> MessageId:
    if draft == "refused":
        raise Forbidden("not here")
    return MessageId(f"m-{draft}")


def event(draft: str, message: MessageId) -> MessageSent:
    return MessageSent(
        account=ACCOUNT,
        time_ms=1,
        chat=group_chat(ChatId("g")),
        message=message,
        sender=User(UserId("bot")),
        segments=(Text(draft),),
    )


def logged(kit: MemoryKit) -> list[tuple[str, tuple[MessageId, ...]]]:
    events = [one for one in kit.memory.events() if isinstance(one, MessageSent)]
    return [(one.message, one.parts) for one in events]


async def test_each_part_lists_all_of_them(kit: MemoryKit) -> None:
    sent = await send_parts(kit, ["a", "b"], send, event, degraded=["dice"])
    assert (sent.message, sent.sequence, sent.degraded) == ("m-a", 1, ("dice",))
    assert logged(kit) == [("m-a", ("m-a", "m-b")), ("m-b", ("m-a", "m-b"))]


async def test_a_single_one_has_no_parts(kit: MemoryKit) -> None:
    assert (await send_parts(kit, ["a"], send, event)).message == "m-a"
    assert logged(kit) == [("m-a", ())]


async def test_when_the_first_fails_nothing_was_done(kit: MemoryKit) -> None:
    with pytest.raises(Forbidden):
        await send_parts(kit, ["refused", "a"], send, event)
    assert logged(kit) == []


async def test_when_a_later_one_fails_the_others_are_logged(kit: MemoryKit) -> None:
    with pytest.raises(OutcomeUnknown, match="2 of 4 parts were sent, then: not here"):
        await send_parts(kit, ["a", "b", "refused", "c"], send, event)
    assert logged(kit) == [("m-a", ("m-a", "m-b")), ("m-b", ("m-a", "m-b"))]
