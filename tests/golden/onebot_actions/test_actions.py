"""What each action asks of the platform, and what it answers: the JSON files beside this one.

`given.platform` has what the platform answers to an action; an action that is not there is one that
it cannot do. The log holds `log.json`, numbered from 1, for the account telegram.demo, user 9.
`expect.asked` are the actions that reach the platform; `expect.message` is a part of the text.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.conformance.statements import claims
from tests.fakes.onebot_session import session_with

from frontends.onebot_v11.action import ACTIONS
from frontends.onebot_v11.config import Config
from frontends.onebot_v11.quick import operations
from frontends.onebot_v11.retcode import ASYNC, OK
from onebus import __version__
from onebus.codec import encode
from onebus.event import Event

HERE = Path(__file__).parent
FILES = ("public", "refused", "forward", "history", "extensions", "quick_calls")

STANDARD = [
    "send_private_msg",
    "send_group_msg",
    "send_msg",
    "delete_msg",
    "get_msg",
    "get_forward_msg",
    "send_like",
    "set_group_kick",
    "set_group_ban",
    "set_group_anonymous_ban",
    "set_group_whole_ban",
    "set_group_admin",
    "set_group_anonymous",
    "set_group_card",
    "set_group_name",
    "set_group_leave",
    "set_group_special_title",
    "set_friend_add_request",
    "set_group_add_request",
    "get_login_info",
    "get_stranger_info",
    "get_friend_list",
    "get_group_info",
    "get_group_list",
    "get_group_member_info",
    "get_group_member_list",
    "get_group_honor_info",
    "get_cookies",
    "get_csrf_token",
    "get_credentials",
    "get_record",
    "get_image",
    "can_send_image",
    "can_send_record",
    "get_status",
    "get_version_info",
    "set_restart",
    "clean_cache",
    ".handle_quick_operation",
]


def load(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text())


def cases(*names: str) -> list[Any]:
    return [
        pytest.param(
            item["given"],
            item["expect"],
            id=f"{name} {i} {item['source']}",
            marks=claims(item["source"]),
        )
        for name in names
        for i, item in enumerate(load(name))
    ]


@pytest.mark.parametrize(("given", "expect"), cases(*FILES))
async def test_actions(given: dict[str, Any], expect: dict[str, Any]) -> None:
    config = msgspec.convert(given.get("config", {}), Config)
    async with session_with(*msgspec.convert(load("log"), list[Event]), config=config) as (
        session,
        bus,
    ):
        bus.answers = given.get("platform", {})
        as_text = given.get("as_text", False)
        answer = await session.execute(given["action"], given.get("params", {}), as_text=as_text)
    seen = json.loads(encode(answer))
    asked = [json.loads(encode(action)) for action in bus.asked]
    assert seen["retcode"] == expect.get("retcode", 0), seen["message"]
    assert seen["status"] == {0: "ok", 1: "async"}.get(seen["retcode"], "failed")
    assert seen["data"] == expect.get("data")
    assert expect.get("message", "") in seen["message"]
    assert bool(seen["message"]) == bool(expect.get("message"))
    assert asked == expect.get("asked", [])


@pytest.mark.parametrize(("given", "expect"), cases("quick"))
def test_quick_operations(given: dict[str, Any], expect: list[Any]) -> None:
    default = given.get("at_sender_default", True)
    found = operations(given["context"], given["operation"], at_sender_default=default)
    assert [list(operation) for operation in found] == expect


def test_every_action_of_the_standard_is_offered_and_has_a_case() -> None:
    assert len(STANDARD) == 39
    assert set(STANDARD) <= set(ACTIONS)
    seen = {item["given"]["action"] for name in FILES for item in load(name)}
    assert set(ACTIONS) - seen == {"get_version_info"}  # its answer changes with every version


async def test_the_version() -> None:
    """Source: checklist 269-273, api/public.md:589."""
    async with session_with() as (session, _):
        answer = await session.execute("get_version_info", {}, as_text=False)
    expected = {"app_name": "onebus", "app_version": __version__, "protocol_version": "v11"}
    assert (answer.status, answer.data) == ("ok", expected)


@pytest.mark.parametrize("action", sorted(set(ACTIONS) - {"get_version_info"}))
async def test_what_the_platform_cannot_do_is_never_an_empty_success(action: str) -> None:
    """With every parameter right, only the frontend's own actions succeed on such a platform."""
    done = (OK, ASYNC)
    given = next(
        item["given"]
        for name in FILES
        for item in load(name)
        if item["given"]["action"] == action and item["expect"].get("retcode", OK) in done
    )
    async with session_with(*msgspec.convert(load("log"), list[Event])) as (session, bus):
        bus.sends = False
        as_text = given.get("as_text", False)
        answer = await session.execute(action, given.get("params", {}), as_text=as_text)
    if action in OWN:
        assert answer.status == "ok"
    else:
        assert (answer.retcode, answer.data) == (10001, None)
        assert "telegram cannot " in answer.message


OWN = {
    "get_msg",
    "get_login_info",
    "can_send_image",
    "can_send_record",
    "get_status",
    "get_group_msg_history",
    "get_friend_msg_history",
}
"""Answered without the platform."""
