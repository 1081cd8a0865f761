"""Quick operations as a transport or a suffix runs them; their table is in the goldens."""

import asyncio

from tests.fakes.onebot_session import session_with

from frontends.onebot_v11.quick import run_quick
from onebus.action import MuteMember, SendMessage
from onebus.codec import decode
from onebus.deferred import Deferred
from onebus.segment import plain_text

CONTEXT = {"post_type": "message", "message_type": "group", "group_id": 2001, "user_id": 10}


async def test_what_failed_is_told_and_the_rest_is_done() -> None:
    async with session_with() as (session, bus):
        bus.answers["mute_member"] = None
        operation = {"reply": "x", "kick": True, "ban": True}
        failures = await run_quick(session, CONTEXT, operation)
    assert [(failure.action, failure.answer.retcode) for failure in failures] == [
        ("set_group_kick", 10001)
    ]
    assert [type(action) for action in bus.asked] == [SendMessage, MuteMember]


async def test_a_quick_reply_keeps_its_place_among_messages() -> None:
    params = {"context": CONTEXT, "operation": {"reply": "first", "at_sender": False}}
    later = {"group_id": 2001, "message": "second"}
    async with session_with() as (session, bus):
        await asyncio.gather(
            session.execute(".handle_quick_operation", params, as_text=False),
            session.execute("send_group_msg", later, as_text=False),
        )
    sent = [action for action in bus.asked if isinstance(action, SendMessage)]
    texts = [plain_text(action.segments) for action in sent]
    assert texts == ["first", "second"]


async def test_a_rate_limited_operation_waits_for_its_turn() -> None:
    params = {"context": CONTEXT, "operation": {"reply": "x", "kick": True}}
    name = ".handle_quick_operation_rate_limited"
    async with session_with(capabilities=("send_message", "kick_member")) as (session, bus):
        answer = await session.execute(name, params, as_text=False)
        waiting = [
            decode(entry.body, Deferred).action
            for entry in bus.entries(session.log.stream)
            if ".deferred." in entry.subject
        ]
    assert (answer.status, answer.retcode, answer.data) == ("async", 1, None)
    assert bus.asked == []
    assert [action.__struct_config__.tag for action in waiting] == ["send_message", "kick_member"]
