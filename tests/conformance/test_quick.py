"""Quick operations: each field of each event, as actions that reach the platform.

Source: the tables "快速操作" in https://github.com/botuniverse/onebot-11/blob/master/event/message.md
and `request.md`.
"""

from typing import Any

import pytest
from tests.conformance.calling import call

from frontends.onebot_v11.config import Config

Fields = dict[str, Any]

PRIVATE: Fields = {"message_type": "private", "user_id": 10, "message_id": 1}
GROUP: Fields = {"message_type": "group", "group_id": 2001, "user_id": 10, "message_id": 1}
ANONYMOUS = GROUP | {"sub_type": "anonymous", "anonymous": {"id": 7, "name": "x", "flag": "f7"}}
FRIEND: Fields = {"post_type": "request", "request_type": "friend", "user_id": 10, "flag": "f"}
JOIN: Fields = FRIEND | {"request_type": "group", "sub_type": "add", "group_id": 2001}
HELLO = [{"type": "text", "text": "hello"}]
MENTION = {"type": "mention", "user": "10"}


async def asked(context: Fields, **operation: Any) -> list[Fields]:
    """The actions that a quick operation comes to."""
    params = {"context": context, "operation": operation}
    outcome = await call(".handle_quick_operation", params)
    assert (outcome.answer["status"], outcome.answer["data"]) == ("ok", None), outcome
    return outcome.asked


async def sent(context: Fields, **operation: Any) -> list[Fields]:
    """The segments of the one message that is sent."""
    (action,) = await asked(context, **operation)
    assert action["type"] == "send_message"
    where = {k: v for k, v in action["chat"].items() if k in ("kind", "id")}
    private = context["message_type"] == "private"
    assert where == {"kind": "private", "id": "10"} if private else {"kind": "group", "id": "2001"}
    found: list[Fields] = action["segments"]
    return found


@pytest.mark.proves(32)
@pytest.mark.parametrize("context", [PRIVATE, GROUP, ANONYMOUS, FRIEND, JOIN])
async def test_nothing_is_done_that_was_not_asked_for(context: Fields) -> None:
    nothing: list[Fields] = [{}, {"reply": None}, {"approve": None}, {"delete": False, "x": True}]
    for operation in nothing:
        assert await asked(context, **operation) == []


@pytest.mark.parametrize(
    "context",
    [
        pytest.param(PRIVATE, marks=pytest.mark.proves(310)),
        pytest.param(GROUP, marks=pytest.mark.proves(291, 338)),
    ],
)
async def test_reply(context: Fields) -> None:
    segment = {"type": "text", "data": {"text": "hello"}}
    for reply in ("hello", [segment], segment):
        assert await sent(context, reply=reply, at_sender=False) == HELLO
    assert await asked(context, auto_escape=True) == []


@pytest.mark.parametrize(
    "context",
    [
        pytest.param(PRIVATE, marks=pytest.mark.proves(311)),
        pytest.param(GROUP, marks=pytest.mark.proves(339)),
    ],
)
async def test_auto_escape(context: Fields) -> None:
    reply, array = "[CQ:face,id=1]", [{"type": "face", "data": {"id": "1"}}]
    plain = [{"type": "text", "text": reply}]
    assert await sent(context, reply=reply, at_sender=False, auto_escape=True) == plain
    for operation in ({"reply": reply}, {"reply": array, "auto_escape": True}):
        (face,) = await sent(context, at_sender=False, **operation)
        assert (face["type"], face["id"]) == ("emoji", "1")
    if context is GROUP:
        shown = await sent(context, reply=reply, auto_escape=True)
        assert shown == [MENTION, *plain]


@pytest.mark.proves(340)
async def test_at_sender() -> None:
    assert await sent(GROUP, reply="hello") == [MENTION, *HELLO]
    assert await sent(GROUP, reply="hello", at_sender=True) == [MENTION, *HELLO]
    assert await sent(GROUP, reply="hello", at_sender=False) == HELLO
    assert await sent(ANONYMOUS, reply="hello", at_sender=True) == HELLO
    assert Config().quick_operation_at_sender_default is True


@pytest.mark.proves(341)
async def test_delete() -> None:
    (action,) = await asked(GROUP, delete=True)
    assert (action["type"], action["message"]) == ("recall_message", "m1")
    assert await asked(GROUP, delete=False) == []


@pytest.mark.proves(342)
async def test_kick() -> None:
    """Never refuses later requests."""
    (action,) = await asked(GROUP, kick=True, reject_add_request=True)
    expected = {"type": "kick_member", "group": "2001", "user": "10", "reject_future": False}
    assert action == expected
    assert await asked(GROUP, kick=False) == []
    assert await asked(ANONYMOUS, kick=True) == []


@pytest.mark.proves(343)
async def test_ban() -> None:
    (action,) = await asked(GROUP, ban=True, ban_duration=60)
    assert (action["type"], action["user"], action["duration_s"]) == ("mute_member", "10", 60)
    (action,) = await asked(ANONYMOUS, ban=True, ban_duration=60)
    assert (action["user"], action["anonymous_flag"], action["duration_s"]) == (None, "f7", 60)
    assert await asked(GROUP, ban=False) == []


@pytest.mark.proves(344)
async def test_ban_duration() -> None:
    for context in (GROUP, ANONYMOUS):
        for operation, duration_s in (({}, 1800), ({"ban_duration": "90"}, 90)):
            (action,) = await asked(context, ban=True, **operation)
            assert action["duration_s"] == duration_s
        assert await asked(context, ban_duration=60) == []


@pytest.mark.parametrize(
    ("context", "name"),
    [
        pytest.param(FRIEND, "answer_friend_request", marks=pytest.mark.proves(438)),
        pytest.param(JOIN, "answer_group_request", marks=pytest.mark.proves(449)),
    ],
)
async def test_approve(context: Fields, name: str) -> None:
    for approve in (True, False):
        (action,) = await asked(context, approve=approve)
        assert (action["type"], action["flag"], action["approve"]) == (name, "f", approve)
    assert await asked(context, remark="r", reason="r") == []


@pytest.mark.proves(439)
async def test_remark() -> None:
    (action,) = await asked(FRIEND, approve=True, remark="sis")
    assert (action["approve"], action["remark"]) == (True, "sis")
    assert await asked(FRIEND, remark="sis") == []


@pytest.mark.proves(450)
async def test_reason() -> None:
    for kind in ("add", "invite"):
        (action,) = await asked(JOIN | {"sub_type": kind}, approve=False, reason="no")
        assert (action["approve"], action["reason"], action["kind"]) == (False, "no", kind)
