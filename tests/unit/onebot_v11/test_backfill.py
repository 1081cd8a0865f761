"""A message that the log knows only because another quotes it: numbered, never delivered."""

from typing import Any

from tests.fakes.onebot_session import ACCOUNT, session_with

from frontends.onebot_v11.feed import Style
from onebus.action import RecallMessage, SendMessage
from onebus.event import MessageBackfilled, MessageReceived, User, group_chat
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import Reply, Text

CHAT = group_chat(ChatId("100"), "lobby")
FIELDS: dict[str, Any] = {"account": ACCOUNT, "time_ms": 1_700_000_000_000, "chat": CHAT}
QUOTED = MessageBackfilled(
    **FIELDS, message=MessageId("1"), sender=User(UserId("5"), "Eve"), segments=(Text("old"),)
)
STYLE = Style("string", report_self=True)
ANSWER = MessageReceived(
    **FIELDS,
    message=MessageId("2"),
    sender=User(UserId("6"), "Bob"),
    segments=(Reply(MessageId("1")), Text("yes")),
)


async def test_a_quoted_message_has_a_number_and_can_be_read() -> None:
    async with session_with(QUOTED, ANSWER) as (session, _):
        answer = await session.execute("get_msg", {"message_id": 2}, as_text=False)
        assert answer.data["message"] == "[CQ:reply,id=1]yes"
        quoted = (await session.execute("get_msg", {"message_id": 1}, as_text=False)).data
        assert (quoted["message"], quoted["sender"]["nickname"]) == ("old", "Eve")
        assert (quoted["message_type"], quoted["group_id"]) == ("group", 100)


async def test_it_is_no_event_for_a_bot() -> None:
    async with session_with(QUOTED, ANSWER) as (session, _):
        stored = [await session.log.at(sequence) for sequence in (1, 2)]
        shown = [await session.translate(entry, STYLE) for entry in stored if entry]
        assert [bool(found) for found in shown] == [False, True]


async def test_a_bot_can_quote_and_recall_it() -> None:
    async with session_with(QUOTED) as (session, bus):
        bus.answers["recall_message"] = None
        recalled = await session.execute("delete_msg", {"message_id": 1}, as_text=False)
        assert recalled.retcode == 0
        message = "[CQ:reply,id=1]again"
        sent = await session.execute(
            "send_group_msg", {"group_id": 100, "message": message}, as_text=False
        )
        assert sent.retcode == 0
        recall, send = bus.asked
        assert isinstance(recall, RecallMessage)
        assert recall.message == "1"
        assert isinstance(send, SendMessage)
        assert send.segments == (Reply(MessageId("1")), Text("again"))
