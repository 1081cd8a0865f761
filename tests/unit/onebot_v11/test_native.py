"""An account whose platform speaks OneBot V11 itself: numbers stay, the unknown goes through."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes.onebot_session import OwnerBus, session_with

from frontends.onebot_v11.native import SPEAKS, exchanged
from frontends.onebot_v11.retcode import UnknownAction
from frontends.onebot_v11.session import Session
from frontends.onebot_v11.suffix import split_form
from onebus.action import CallNative, NativeAnswer
from onebus.errors import OutcomeUnknown
from onebus.event import Chat, MessageReceived, User, group_chat
from onebus.ids import Account, AccountId, ChatId, MessageId, Platform, UserId
from onebus.segment import Text

ACCOUNT = Account(Platform("telegram"), AccountId("demo"))
GROUP = group_chat(ChatId("5000000000000001"))
"""A number beyond 2^52, as another onebus gives them out: it stays as well."""
SAID = MessageReceived(
    account=ACCOUNT,
    time_ms=1_700_000_000_000,
    chat=GROUP,
    message=MessageId("-77"),
    sender=User(UserId("10001")),
    segments=(Text("hi"),),
)


@pytest.fixture
async def there() -> AsyncIterator[tuple[Session, OwnerBus]]:
    async with session_with(SAID, capabilities=("call_native", SPEAKS)) as made:
        yield made


async def call(there: tuple[Session, OwnerBus], name: str, **params: Any) -> Any:
    return await there[0].execute(name, params, as_text=False)


async def test_an_unknown_action_goes_through_with_native_ids(
    there: tuple[Session, OwnerBus],
) -> None:
    there[1].answers["call_native"] = NativeAnswer(
        data={"message_id": -77, "real_id": -77, "other": [{"message_id": 5}]}, message="fine"
    )
    message = [{"type": "reply", "data": {"id": "1"}}, "[CQ:reply,id=1]"]
    params = {"group_id": int(GROUP.id), "message_id": 1, "message": message, "count": 2}
    answer = await call(there, "forward_group_single_msg", **params, idempotency_key="k")
    assert there[1].asked == [
        CallNative(
            "onebot.v11",
            "forward_group_single_msg",
            params
            | {
                "message_id": -77,
                "message": [{"type": "reply", "data": {"id": "-77"}}, "[CQ:reply,id=1]"],
            },
        )
    ]
    assert (answer.status, answer.retcode, answer.message) == ("ok", 0, "fine")
    # What the log does not have keeps the upstream's number.
    assert answer.data == {"message_id": 1, "real_id": 1, "other": [{"message_id": 5}]}


async def test_what_the_upstream_says_of_its_failure_is_the_answer(
    there: tuple[Session, OwnerBus],
) -> None:
    there[1].answers["call_native"] = NativeAnswer("failed", 1200, None, "", "no such file")
    answer = await call(there, "get_group_file_system_info", group_id=1)
    assert (answer.status, answer.retcode) == ("failed", 1200)
    assert (answer.message, answer.wording) == ("no such file", "no such file")


async def test_an_upstream_that_is_lost_is_an_error_of_ours(
    there: tuple[Session, OwnerBus],
) -> None:
    there[1].answers["call_native"] = OutcomeUnknown("the connection broke")
    assert (await call(there, "send_group_sign", group_id=1)).retcode == 10006


def test_async_and_rate_limited_are_ours_for_unknown_actions_too() -> None:
    assert split_form("send_group_sign", native=True) == ("send_group_sign", "")
    assert split_form("send_group_sign_async", native=True) == ("send_group_sign", "_async")
    assert split_form("get_x_rate_limited", native=True) == ("get_x", "_async")
    assert split_form("sign_rate_limited", native=True) == ("sign", "_rate_limited")


async def test_numbers_are_kept_beyond_those_that_are_given_out_here(
    there: tuple[Session, OwnerBus],
) -> None:
    there[1].answers["leave_group"] = None
    assert (await call(there, "set_group_leave", group_id=int(GROUP.id))).status == "ok"
    assert there[1].asked[-1].group == GROUP.id  # type: ignore[attr-defined]
    seen = (await call(there, "get_msg", message_id=1)).data
    assert (seen["group_id"], seen["user_id"]) == (int(GROUP.id), 10001)


async def test_where_the_platform_speaks_something_else_an_unknown_action_is_unknown() -> None:
    async with session_with() as there:
        assert (await call(there, "send_group_sign", group_id=1)).retcode == 1404
        assert there[1].asked == []


@pytest.mark.parametrize("name", ["", "a/b", "../x", "x" * 101, "名", "a b", "a?x=1"])
def test_a_name_that_no_action_can_have_goes_nowhere(name: str) -> None:
    with pytest.raises(UnknownAction):
        split_form(name, native=True)


def test_ids_are_exchanged_where_messages_are_named_and_nowhere_else() -> None:
    met: list[tuple[Chat | None, str]] = []

    def exchange(chat: Chat | None, given: str) -> str | None:
        met.append((chat, given))
        return {"1": "10", "2": "20", "-3": "30"}.get(given)

    given = {
        "message_id": "1",
        "id": 1,
        "user_id": 2,
        "messages": [
            {"type": "node", "data": {"id": 2, "content": "[CQ:reply,id=-3]a[CQ:face,id=1]"}},
            {"group_id": "7", "message_id": 1, "message_seq": 1, "real_id": 2},
            {"message_id": True},
            {"message_id": None},
        ],
    }
    assert exchanged(given, exchange) == {
        "message_id": "10",
        "id": 1,
        "user_id": 2,
        "messages": [
            {"type": "node", "data": {"id": 20, "content": "[CQ:reply,id=30]a[CQ:face,id=1]"}},
            {"group_id": "7", "message_id": 10, "message_seq": 10, "real_id": 2},
            {"message_id": True},
            {"message_id": None},
        ],
    }
    private = Chat("private", ChatId("2"))
    assert set(met) == {
        (private, "1"),
        (private, "2"),
        (private, "-3"),
        (Chat("group", ChatId("7")), "1"),
    }
