"""Messages as they are now, read from a log on a real nats-server."""

from typing import Any

import pytest

from onebus import history
from onebus.bus import Bus
from onebus.event import (
    Chat,
    MessageEdited,
    MessageRecalled,
    MessageReceived,
    User,
    group_chat,
    private_chat,
)
from onebus.history import message_now, messages_until
from onebus.ids import Account, AccountId, ChatId, MessageId, Platform, UserId
from onebus.log import Log
from onebus.segment import Text, plain_text

ACCOUNT = Account(Platform("sandbox"), AccountId("demo"))
LOBBY = group_chat(ChatId("lob.by"))
ALICE = User(UserId("alice"), "Alice")


class Talk:
    """What is said in a log."""

    def __init__(self, bus: Bus) -> None:
        self.log = Log(bus)

    async def say(self, text: str, chat: Chat = LOBBY) -> int:
        return await self.log.append(
            MessageReceived(
                **self._head(), chat=chat, message=MessageId(text), sender=ALICE, segments=_t(text)
            )
        )

    async def edit(self, message: str, text: str) -> None:
        head = self._head() | {"id": text}
        event = MessageEdited(
            **head, chat=LOBBY, message=MessageId(message), editor=ALICE, segments=_t(text)
        )
        await self.log.append(event)

    async def recall(self, message: str) -> None:
        event = MessageRecalled(
            **self._head(),
            chat=LOBBY,
            message=MessageId(message),
            sender=ALICE.id,
            operator=ALICE.id,
        )
        await self.log.append(event)

    async def read(self, last: int | None, limit: int) -> list[tuple[str, bool]]:
        found = await messages_until(self.log, ACCOUNT, LOBBY, last, limit)
        return [(plain_text(message.event.segments), message.recalled) for message in found]

    def _head(self) -> dict[str, Any]:
        return {"account": ACCOUNT, "time_ms": 1}


def _t(text: str) -> tuple[Text]:
    return (Text(text),)


async def test_the_last_messages_of_one_chat(bus: Bus) -> None:
    talk = Talk(bus)
    await talk.say("a")
    second = await talk.say("b")
    await talk.say("elsewhere", group_chat(ChatId("lob")))
    await talk.say("privately", private_chat(UserId("lob.by")))
    await talk.say("c")
    assert await talk.read(None, 2) == [("b", False), ("c", False)]
    assert await talk.read(second, 10) == [("a", False), ("b", False)]
    assert await talk.read(second, 1) == [("b", False)]


async def test_what_became_of_messages_later(bus: Bus) -> None:
    talk = Talk(bus)
    first = await talk.say("a")
    second = await talk.say("b")
    await talk.edit("a", "a1")
    await talk.edit("a", "a2")
    await talk.recall("b")
    await talk.edit("c", "of another message")
    assert await talk.read(second, 10) == [("a2", False), ("b", True)]
    for sequence, text, recalled in ((first, "a2", False), (second, "b", True)):
        stored = await talk.log.at(sequence)
        assert stored
        assert isinstance(stored.event, MessageReceived)
        message = await message_now(talk.log, sequence, stored.event)
        assert (plain_text(message.event.segments), message.recalled) == (text, recalled)


async def test_what_is_far_back_is_found_too(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(bus)
    monkeypatch.setattr(history, "NEAR", 2)
    last = [await talk.say(text) for text in "abcdef"][-1]
    assert [text for text, _ in await talk.read(None, 2)] == ["e", "f"]
    assert [text for text, _ in await talk.read(None, 100)] == list("abcdef")
    assert [text for text, _ in await talk.read(last - 3, 3)] == list("abc")


async def test_a_chat_where_nothing_was_said(bus: Bus) -> None:
    assert await Talk(bus).read(None, 10) == []
