"""Sections A2 and B1: what answers say, and the forms of every action.

Source: https://github.com/botuniverse/onebot-11/blob/master/communication/http.md and
`api/README.md`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.conformance.calling import CALLS, EVENTS, call, fields_of, good, shown
from tests.fakes.onebot_session import OwnerBus, session_with

from frontends.onebot_v11.action import ACTIONS
from frontends.onebot_v11.config import Config
from frontends.onebot_v11.retcode import RETCODES
from frontends.onebot_v11.session import Session
from onebus.action import ACTIONS as NATIVE_ACTIONS
from onebus.action import action_name
from onebus.errors import ActionError
from onebus.settings import Settings

ACCEPTED = {"status": "async", "retcode": 1, "data": None}
CAN_ALL = tuple(action_name(action) for action in NATIVE_ACTIONS)


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Session, OwnerBus]]:
    """A session that runs what nobody waits for; at the end all of it is done."""
    async with session_with(*EVENTS, capabilities=CAN_ALL) as (session, bus):
        background = session._shared.background
        async with asyncio.TaskGroup() as group:
            task = group.create_task(background.run())
            await asyncio.sleep(0)
            yield session, bus
            await asyncio.wait_for(background.idle(), 5)
            task.cancel()


async def execute(session: Session, action: str, params: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = shown(await session.execute(action, params, as_text=False))
    return answer


@pytest.mark.proves(24, 76, 77, 78, 79)
@pytest.mark.parametrize("action", sorted(CALLS))
async def test_every_action_can_be_async(action: str) -> None:
    """Accepted without data, whatever it answers by itself; and then done."""
    known = CALLS[action]
    async with running() as (session, bus):
        bus.answers = known.platform
        answer = await execute(session, f"{action}_async", known.params)
    assert answer.items() >= ACCEPTED.items()
    assert [fields_of(asked) for asked in bus.asked] == (await good(action)).asked


@pytest.mark.proves(80, 82)
@pytest.mark.parametrize("action", sorted(CALLS))
async def test_every_action_can_be_rate_limited(action: str) -> None:
    known = CALLS[action]
    async with running() as (session, bus):
        bus.answers = known.platform
        answer = await execute(session, f"{action}_rate_limited", known.params)
    assert answer.items() >= ACCEPTED.items()


@pytest.mark.proves(84)
@pytest.mark.parametrize("form", ["", "_async", "_rate_limited"])
async def test_the_example_that_is_no_action(form: str) -> None:
    async with session_with() as (session, _):
        answer = await execute(session, f"clean_data_dir{form}", {})
    assert (answer["status"], answer["retcode"], answer["data"]) == ("failed", 1404, None)


@pytest.mark.proves(75)
@pytest.mark.parametrize("action", sorted(CALLS))
@pytest.mark.parametrize("params", [{}, {"user_id": "nobody", "group_id": -1, "message_id": "x"}])
async def test_every_call_is_answered(action: str, params: dict[str, Any]) -> None:
    answer = (await call(action, params)).answer
    assert answer["status"] in ("ok", "async", "failed")
    assert list(answer) == ["status", "retcode", "data", "message", "wording"]


@pytest.mark.parametrize(
    ("action", "status", "retcode"),
    [
        pytest.param("clean_cache", "ok", 0, marks=pytest.mark.proves(19)),
        pytest.param("set_restart", "async", 1, marks=pytest.mark.proves(20)),
    ],
)
async def test_status_of_what_succeeds(action: str, status: str, retcode: int) -> None:
    answer = (await good(action)).answer
    assert (answer["status"], answer["retcode"]) == (status, retcode)


@pytest.mark.proves(21)
@pytest.mark.parametrize("error", [kind for kind in RETCODES if issubclass(kind, ActionError)])
async def test_status_of_what_fails(error: type[ActionError]) -> None:
    async with session_with() as (session, bus):
        bus.answers = {"get_groups": error("no")}
        answer = await execute(session, "get_group_list", {})
    assert (answer["status"], answer["data"]) == ("failed", None)
    assert answer["retcode"] not in (0, 1)


@pytest.mark.proves(22)
async def test_data_is_null_not_absent_when_there_is_none() -> None:
    for action in ("set_group_kick", "clean_cache", "delete_msg"):
        answer = (await good(action)).answer
        assert answer["data"] is None
    assert (await call("get_msg", {})).answer["data"] is None


@pytest.mark.proves(23)
async def test_data_is_an_object_or_an_array() -> None:
    for action, known in CALLS.items():
        data = (await good(action)).data
        assert isinstance(data, type(known.answers))


@pytest.mark.proves(48)
def test_there_is_no_1406() -> None:
    assert 1406 not in {retcode for retcode, _ in RETCODES.values()}


@pytest.mark.proves(282, 287)
async def test_the_only_hidden_action() -> None:
    assert [name for name in ACTIONS if name.startswith(".")] == [".handle_quick_operation"]
    for action in (".ocr_image", ".get_word_slices", "handle_quick_operation"):
        async with session_with() as (session, _):
            assert (await execute(session, action, {}))["retcode"] == 1404


@pytest.mark.proves(267)
async def test_good_means_online_and_all_parts_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session_with() as (session, bus):
        for online, connected in ((True, True), (True, False), (False, True)):
            monkeypatch.setattr(
                session._shared.directory, "online", lambda _, online=online: online
            )
            bus.available = connected
            expected = {"online": online, "good": online and connected}
            assert (await execute(session, "get_status", {}))["data"] == expected


@pytest.mark.proves(273)
async def test_the_version_has_its_three_fields() -> None:
    """More is allowed."""
    data = (await good("get_version_info")).data
    assert data.keys() >= {"app_name", "app_version", "protocol_version"}
    assert data["protocol_version"] == "v11"


@pytest.mark.proves(11)
@pytest.mark.parametrize("as_text", [False, True])
async def test_text_is_read_as_the_declared_type(as_text: bool) -> None:
    """In a query and a form all is text; in JSON it may be."""
    params = {"group_id": "2001", "user_id": "10", "duration": "60"}
    asked = (await good("set_group_ban", params, as_text=as_text)).asked
    assert asked == (await good("set_group_ban")).asked
    params = {"user_id": "10", "message": "[CQ:face,id=1]", "auto_escape": "true"}
    sent = (await good("send_private_msg", params, as_text=as_text)).asked
    assert sent == (await good("send_private_msg")).asked


def test_calls_name_every_action_of_the_standard() -> None:
    assert len(CALLS) == 39
    assert set(CALLS) <= set(ACTIONS)


@pytest.mark.proves(73)
def test_no_token_by_default() -> None:
    assert Config().access_token == ""


@pytest.mark.proves(83)
def test_the_interval_of_rate_limited_calls() -> None:
    assert Config().rate_limit_interval == 500


def test_defaults_of_transports() -> None:
    """Those that are the standard's, and those that `cannot.json` says are not."""
    config = Config()
    assert (config.use_http, config.use_ws, config.use_ws_reverse) == (True, False, False)
    assert (config.secret, config.post_timeout, config.http_reverse) == ("", 5000, ())
    assert config.ws_reverse_url == config.ws_reverse_api_url == config.ws_reverse_event_url == ""
    assert config.ws_reverse_reconnect_interval == 3000
    assert (Settings().host, Settings().port) == ("127.0.0.1", 6727)
