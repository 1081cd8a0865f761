"""What goes out: parts, answers, refusals, and what the log is told of it."""

import asyncio

import pytest
from tests.unit.connectors.telegram.conftest import ADMINED, ALICE, BOB, GROUP, Replicas

from onebus import action as act
from onebus import deadline
from onebus import segment as seg
from onebus.action import SendMessage
from onebus.errors import (
    BadParams,
    BusUnavailable,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
    UnsupportedAction,
)
from onebus.event import Chat, MessageEdited, MessageRecalled, MessageSent, group_chat, private_chat
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import Segment, Text, plain_text

PRIVATE = private_chat(UserId(str(ALICE)))
TEA = group_chat(ChatId(str(GROUP)))
COURT = group_chat(ChatId(str(ADMINED)))


def say(*segments: Segment | str, chat: Chat = PRIVATE) -> SendMessage:
    return SendMessage(chat, tuple(Text(s) if isinstance(s, str) else s for s in segments))


async def test_what_is_sent_is_logged_as_telegram_shows_it(replicas: Replicas) -> None:
    connector = replicas.connector()
    sent = await connector.send_message(say("hello ", seg.Mention(UserId(str(BOB)), "Bob")))
    assert sent.sequence
    (event,) = replicas.memory.events()
    assert isinstance(event, MessageSent)
    assert event.message == sent.message
    assert event.sender.name == "Onebus"
    assert event.segments[0] == Text("hello ")
    assert isinstance(event.segments[1], seg.Mention)
    assert event.segments[1].user == str(BOB)


async def test_a_long_text_is_several_messages_that_list_each_other(replicas: Replicas) -> None:
    connector = replicas.connector()
    sent = await connector.send_message(say("a" * 4096 + "b"))
    events = replicas.memory.events()
    assert [plain_text(event.segments)[:1] for event in events] == ["a", "b"]  # type: ignore[union-attr]
    assert [event.parts for event in events] == [("1", "2"), ("1", "2")]  # type: ignore[union-attr]
    assert sent.message == "1"
    await connector.recall_message(
        act.RecallMessage(PRIVATE, sent.message, (MessageId("1"), MessageId("2")))
    )
    assert replicas.api.of("deleteMessages") == [{"chat_id": ALICE, "message_ids": [1, 2]}]
    recalled = [e for e in replicas.memory.events() if isinstance(e, MessageRecalled)]
    assert [(e.message, e.sender, e.operator) for e in recalled] == [
        ("1", str(replicas.api.world.bot), str(replicas.api.world.bot)),
        ("2", str(replicas.api.world.bot), str(replicas.api.world.bot)),
    ]


async def test_an_answer_in_a_topic(replicas: Replicas) -> None:
    connector = replicas.connector()
    replicas.api.world.message(GROUP, ALICE, text="cake?")
    topic = Chat("group", ChatId(f"{GROUP}:3"), "", ChatId(str(GROUP)))
    await connector.send_message(say(seg.Reply(MessageId("1")), "yes", chat=topic))
    (call,) = replicas.api.of("sendMessage")
    assert (call["chat_id"], call["message_thread_id"]) == (GROUP, 3)
    assert call["reply_parameters"]["message_id"] == 1
    (event,) = replicas.memory.events()
    assert event.chat.id == f"{GROUP}:3"  # type: ignore[union-attr]
    assert event.segments == (seg.Reply(MessageId("1")), Text("yes"))  # type: ignore[union-attr]


async def test_what_was_sent_of_a_longer_message_is_logged_and_the_outcome_is_unknown(
    replicas: Replicas,
) -> None:
    connector = replicas.connector()
    replicas.api.answer_next("sendDice", 400, "Bad Request: not enough rights to send dice")
    with pytest.raises(OutcomeUnknown, match="a part of it was sent, then: Telegram"):
        await connector.send_message(say("before", seg.Dice()))
    (event,) = replicas.memory.events()
    assert plain_text(event.segments) == "before"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("code", "text", "error"),
    [
        (400, "Bad Request: chat not found", NotFound),
        (400, "Bad Request: message to be replied not found", NotFound),
        (400, "Bad Request: not enough rights to send text messages to the chat", Forbidden),
        (400, "Bad Request: can't parse entities", BadParams),
        (401, "Unauthorized", Forbidden),
        (403, "Forbidden: bot was blocked by the user", Forbidden),
        (413, "Request Entity Too Large", BadParams),
        (500, "", OutcomeUnknown),
        (502, "", OutcomeUnknown),
    ],
)
async def test_refusals(replicas: Replicas, code: int, text: str, error: type[Exception]) -> None:
    connector = replicas.connector()
    await connector.open()
    replicas.api.answer_next("sendMessage", code, text)
    with pytest.raises(error) as caught:
        await connector.send_message(say("x"))
    assert type(caught.value) is error
    assert replicas.memory.events() == []


async def test_what_is_put_off_is_sent_in_its_time_and_other_chats_are_not_held_up(
    replicas: Replicas,
) -> None:
    connector = replicas.connector()
    replicas.api.answer_next("sendMessage", 429, "Too Many Requests: retry after 2", retry_after=2)
    started_s = asyncio.get_running_loop().time()
    with deadline.within(20):
        first = asyncio.ensure_future(connector.send_message(say("late")))
        await replicas.api.counted("sendMessage", 1)
        await connector.send_message(say("at once", chat=TEA))
        assert not first.done()
        await first
    assert asyncio.get_running_loop().time() - started_s >= 2
    texts = [call["text"] for call in replicas.api.of("sendMessage")]
    assert texts == ["at once", "late"]  # and the refused one before them
    assert [call["text"] for call in replicas.api.of("sendMessage")] == ["at once", "late"]


async def test_what_is_put_off_for_too_long_is_told_at_once(replicas: Replicas) -> None:
    connector = replicas.connector()
    replicas.api.answer_next("sendMessage", 429, "Too Many Requests", retry_after=3000)
    with deadline.within(20), pytest.raises(RateLimited) as caught:
        await connector.send_message(say("x"))
    assert caught.value.retry_after_s
    assert caught.value.retry_after_s > 2900


async def test_a_group_that_became_a_supergroup(replicas: Replicas) -> None:
    connector = replicas.connector()
    replicas.api.world.group(-77, "old", "group")
    text = "Bad Request: group chat was upgraded to a supergroup chat"
    replicas.api.answer_next("sendMessage", 400, text, migrate_to_chat_id=GROUP)
    await connector.send_message(say("one", chat=group_chat(ChatId("-77"))))
    await connector.send_message(say("two", chat=group_chat(ChatId("-77"))))
    assert [call["chat_id"] for call in replicas.api.of("sendMessage")] == [GROUP, GROUP]
    assert {event.chat.id for event in replicas.memory.events()} == {str(GROUP)}  # type: ignore[union-attr]


async def test_who_lost_the_account_sends_nothing(replicas: Replicas) -> None:
    connector = replicas.connector()
    await connector.open()
    connector.kit.owner = False  # type: ignore[attr-defined]
    with pytest.raises(PlatformUnavailable):
        await connector.send_message(say("stale"))
    assert replicas.api.sent == []


@pytest.mark.parametrize("chat", ["x", "", "-100x", "1 2", "../getMe", "-1:x", "1" * 30])
async def test_what_is_no_chat_is_refused_here(replicas: Replicas, chat: str) -> None:
    with pytest.raises(BadParams):
        await replicas.connector().send_message(say("x", chat=group_chat(ChatId(chat))))
    assert replicas.api.counts.total() == 0


async def test_an_edit_of_our_own(replicas: Replicas) -> None:
    connector = replicas.connector()
    sent = await connector.send_message(say("old"))
    edit = act.EditMessage(PRIVATE, sent.message, (Text("new"),))
    await connector.edit_message(edit)
    await connector.edit_message(edit)  # the same again is as good as done
    _, event = replicas.memory.events()
    assert isinstance(event, MessageEdited)
    assert (event.message, plain_text(event.segments)) == (sent.message, "new")
    with pytest.raises(UnsupportedAction):
        await connector.edit_message(act.EditMessage(PRIVATE, sent.message, (seg.Image("x.png"),)))


async def test_a_message_that_could_only_go_out_in_part_is_refused(replicas: Replicas) -> None:
    with pytest.raises(BadParams, match="it would be 21 messages; 20 are the most"):
        await replicas.connector().send_message(say("x" * (4096 * 20 + 1)))
    assert replicas.api.sent == []


async def test_what_is_done_and_cannot_be_logged_is_done(replicas: Replicas) -> None:
    connector = replicas.connector()
    sent = await connector.send_message(say("rash"))

    async def refuse(*_: object, **__: object) -> int:
        raise BusUnavailable("no connection to NATS")

    connector.kit.append = refuse  # type: ignore[method-assign]
    await connector.recall_message(act.RecallMessage(PRIVATE, sent.message))
    assert replicas.api.of("deleteMessage")


async def test_reactions_and_pins(replicas: Replicas) -> None:
    connector, world = replicas.connector(), replicas.api.world
    world.message(GROUP, ALICE, text="look")
    where = (GROUP, 1)
    for emoji, expected in (
        ("👍", {"type": "emoji", "emoji": "👍"}),
        ("128077", {"type": "emoji", "emoji": "👍"}),
        ("5368324170671202286", {"type": "custom_emoji", "custom_emoji_id": "5368324170671202286"}),
    ):
        await connector.react(act.React(TEA, MessageId("1"), emoji))
        assert world.reactions[where] == [expected]
    await connector.react(act.React(TEA, MessageId("1"), "👍", added=False))
    assert world.reactions[where] == []
    with pytest.raises(BadParams, match="REACTION_INVALID"):
        await connector.react(act.React(TEA, MessageId("1"), "🦖"))
    await connector.pin_message(act.PinMessage(TEA, MessageId("1")))
    assert world.pinned[GROUP] == [1]
    await connector.pin_message(act.PinMessage(TEA, MessageId("1"), pinned=False))
    await connector.pin_message(act.PinMessage(TEA, MessageId("1"), pinned=False))
    assert world.pinned[GROUP] == []


async def test_recall_of_somebody_elses_message(replicas: Replicas) -> None:
    connector, world = replicas.connector(), replicas.api.world
    world.message(GROUP, ALICE, text="rude")
    with pytest.raises(Forbidden, match="can't be deleted"):
        await connector.recall_message(act.RecallMessage(TEA, MessageId("1")))
    world.message(ADMINED, ALICE, text="rude")
    await connector.recall_message(act.RecallMessage(COURT, MessageId("1")))
    with pytest.raises(NotFound):
        await connector.recall_message(act.RecallMessage(COURT, MessageId("1")))
