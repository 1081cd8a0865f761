"""Real bot frameworks, each in a process of its own and by each transport that it has.

Every event is recognized as what it is, and every action that a framework models can be called.
"""

import json
import re
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.clients.calls import EXTENDED, STANDARD, Asked
from tests.e2e.clients.happenings import Happening
from tests.e2e.clients.launch import (
    AIOCQHTTP,
    IMHELPER,
    KOISHI,
    NAMES,
    NONEBOT,
    SECRET,
    TOKEN,
    Client,
    settings_of,
    start,
)
from tests.e2e.clients.plays import ASYNC, calls_all, check_effects, plays_all, restarts
from tests.e2e.clients.stage import Stage
from tests.e2e.processes import Account, Running, free_port, onebus, write_config

from frontends.onebot_v11.action import ACTIONS

UNKNOWN_ACTION = 1404
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Up(SimpleNamespace):
    """A running `onebus up`, and the port of each account's bot."""

    process: Running
    base: str
    http: aiohttp.ClientSession
    ports: dict[str, int]

    def account(self, name: str) -> Account:
        return Account(self.http, self.base, name, token=TOKEN)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    folder = tmp_path_factory.mktemp("clients")
    ports = {name: free_port() for name in NAMES}
    general = {"access_token": TOKEN, "secret": SECRET}
    beats = {"enable_heartbeat": True, "heartbeat_interval": 500}
    accounts = {f"sandbox__{n}": {"onebot.v11": settings_of(n, ports[n])} for n in NAMES}
    config = write_config(
        folder / "config.yaml", general={"onebot.v11": general | beats}, **accounts
    )
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        line = await process.says("HTTP  ")
        base = line.split()[1].partition("/sandbox/")[0]
        there = Up(process=process, base=base, http=http, ports=ports)
        for name in NAMES:
            await there.account(name).online()
        yield there
    assert "Traceback" not in process.output
    for secret in (TOKEN, SECRET):
        assert secret not in process.output


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(request: pytest.FixtureRequest, up: Up) -> AsyncIterator[Stage]:
    """A client of the account of its name, connected."""
    name: str = request.param
    account = up.account(name)
    self_id = (await account.ok("get_login_info"))["user_id"]
    running = await start(Client(name, up.base, self_id, up.ports[name]))
    try:
        await running.says('"login":1' if name in KOISHI else "heartbeat")
        yield Stage(account, name, running)
        assert "Traceback" not in running.output  # what its server says when stopped is its own
    finally:
        await running.kill()  # a server of its own may wait for its connections for ever


def modelled(module: str, stub: str) -> set[str]:
    """The actions that a Python framework has typed methods for."""
    spec = find_spec(module)
    assert spec
    assert spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0], stub).read_text()
    actions = set(re.findall(r"^    (?:async )?def ([a-z]\w*)\(", source, re.MULTILINE))
    return actions - {"send", "call_api", "call_action", "handle_event"}


@pytest.mark.parametrize("client", NONEBOT, indirect=True)
async def test_nonebot2_recognizes_everything(client: Stage) -> None:
    await plays_all(client, lambda happening: happening.nonebot)
    kinds = {line["event"] for line in client.told if "event" in line}
    assert "HeartbeatMetaEvent" in kinds
    assert not kinds & {"Event", "MessageEvent", "RequestEvent", "MetaEvent"}
    if client.name != "nonebot_http":
        assert client.told[0]["event"] == "LifecycleMetaEvent"


@pytest.mark.parametrize("client", NONEBOT, indirect=True)
async def test_nonebot2_knows_that_it_is_meant(client: Stage) -> None:
    after = len(client.running.lines)
    earlier = await client.account.say("earlier", user="bob", group="yard")
    quoted = (await client.hears("event", "GroupMessageEvent", after))["data"]
    assert (quoted["to_me"], quoted["reply"]) == (False, None)
    message = [
        {"type": "reply", "data": {"message_id": earlier}},
        {"type": "mention", "data": {"user": client.name}},
        {"type": "text", "data": {"text": " what?"}},
    ]
    after = len(client.running.lines)
    await client.account.say(message, user="ann", group="yard")
    data = (await client.hears("event", "GroupMessageEvent", after))["data"]
    assert data["to_me"] is True
    assert data["reply"]["message_id"] == quoted["message_id"]
    assert data["reply"]["sender"]["nickname"] == "bob"
    assert data["message"] == [{"type": "text", "data": {"text": "what?"}}]


@pytest.mark.parametrize("client", NONEBOT, indirect=True)
async def test_nonebot2_calls_everything(client: Stage, up: Up) -> None:
    actions = modelled("nonebot.adapters.onebot.v11", "bot.pyi")
    assert actions == {asked.action for asked in STANDARD} | {"set_restart"}
    await calls_all(client, *STANDARD)
    await restarts(client, up.process)
    await check_effects(client)


@pytest.mark.parametrize("client", AIOCQHTTP, indirect=True)
async def test_aiocqhttp_recognizes_everything(client: Stage) -> None:
    await plays_all(client, lambda happening: happening.name)
    if client.name == "aiocqhttp_split":
        assert client.told[0]["event"] == "meta_event.lifecycle.connect"


@pytest.mark.parametrize("client", AIOCQHTTP, indirect=True)
async def test_aiocqhttp_answers_by_quick_operations(client: Stage) -> None:
    """A handler's return value: in the answer to HTTP POST, else by the hidden action."""
    for user in ("ann", "hal", "ida", "kim"):
        await client.post("groups/yard/members", {"user": user})
    await client.happen(type="role_changed", group="yard", user=client.name, role="owner")
    effects: dict[str, tuple[str, dict[str, Any]]] = {
        "hal": ("notice.group_ban.ban", {"ban": True, "ban_duration": 60}),
        "ida": ("notice.group_decrease.kick", {"kick": True}),
        "kim": ("notice.group_recall", {"delete": True}),
    }
    for user, (kind, operation) in effects.items():
        after = len(client.running.lines)
        await client.account.say(f"quick {json.dumps(operation)}", user=user, group="yard")
        data = (await client.hears("event", kind, after))["data"]
        assert data["user_id"] == await client.numbered(f"@{user}")
    operation = {"reply": "[one]", "auto_escape": True}
    await client.account.say(f"quick {json.dumps(operation)}", user="ann", group="yard")
    answer = (await client.account.wait_for_messages(5, group="yard"))[-1]
    assert [part["type"] for part in answer["message"]] == ["mention", "text"]
    assert answer["message"][1]["data"]["text"].strip() == "[one]"


@pytest.mark.parametrize("client", AIOCQHTTP, indirect=True)
async def test_aiocqhttp_answers_requests_by_quick_operations(client: Stage) -> None:
    await client.account.say("x", user="ann", group="yard")
    refuse = json.dumps({"approve": False, "reason": "full"})
    await client.happen(
        type="group_requested", user="lea", group="yard", kind="add", comment=refuse
    )
    after = len(client.running.lines)
    approve = json.dumps({"approve": True, "remark": "pal"})
    await client.happen(type="friend_requested", user="joe", comment=approve)
    data = (await client.hears("event", "notice.friend_add", after))["data"]
    assert data["user_id"] == await client.numbered("@joe")
    assert (await client.person("joe"))["remark"] == "pal"
    assert await client.answered("lea") == ("refused", "full")


@pytest.mark.parametrize("client", AIOCQHTTP, indirect=True)
async def test_aiocqhttp_calls_everything(client: Stage, up: Up) -> None:
    assert modelled("aiocqhttp", "api.pyi") == {asked.action for asked in STANDARD} | {
        "set_restart"
    }
    await calls_all(client, *STANDARD)
    await restarts(client, up.process)
    await check_effects(client)


@pytest.mark.parametrize("client", KOISHI, indirect=True)
async def test_koishi_recognizes_everything(client: Stage) -> None:
    await plays_all(client, lambda happening: happening.koishi)
    for line in client.told:
        if "event" in line:
            sent, session = line["data"], line["session"]
            assert session["user"] == str(sent["user_id"])
            assert session["self"] == str(sent["self_id"])
            where = str(sent["group_id"]) if "group_id" in sent else f"private:{sent['user_id']}"
            assert session.get("channel") in (where, None)
            if sent["post_type"] == "request":
                assert session["message"] == sent["flag"]
            elif "message_id" in sent:
                assert session["message"] == str(sent["message_id"])


@pytest.mark.parametrize("client", KOISHI, indirect=True)
async def test_koishi_calls_everything(client: Stage, up: Up) -> None:
    models: dict[str, Any] = next(line["models"] for line in client.told if "models" in line)
    plan = (*EXTENDED, *STANDARD)
    files = {action for action in models if action.endswith(("_file", "_file_url"))}
    asked = {asked.action for asked in plan}
    assert models.keys() & ACTIONS.keys() - files <= asked | {"set_restart"}
    for action in models.keys() - ACTIONS.keys():
        assert (await client.calls(Asked(action)))["failed"] == UNKNOWN_ACTION
    await calls_all(client, *plan)
    await restarts(client, up.process)
    await check_effects(client)


@pytest.mark.parametrize("client", KOISHI, indirect=True)
async def test_koishi_calls_without_waiting(client: Stage) -> None:
    """`…Async` is `_async`, whose answer `async_as_ok` makes one that Koishi takes."""
    await client.account.say("x", user="ann", group="pier")
    asked = Asked("send_group_msg", {"group_id": "#pier", "message": "sent"})
    answer = await client.calls(asked, "async")
    if client.name == "koishi_forward":
        assert answer == {"called": "send_group_msg", "data": None}
    else:
        assert answer["failed"] == ASYNC
    shown = (await client.account.wait_for_messages(2, group="pier"))[1]
    assert shown["message"] == [{"type": "text", "data": {"text": "sent"}}]


@pytest.mark.parametrize("client", [IMHELPER], indirect=True)
async def test_a_client_of_imhelpers_shape(client: Stage) -> None:
    """It knows messages by their type, and hands everything else on as it is."""
    await plays_all(client, _as_imhelper)
    plan = [asked for asked in STANDARD if asked.action in IMHELPER_CALLS]
    assert len(plan) == len(IMHELPER_CALLS)
    await calls_all(client, *plan)


def _as_imhelper(happening: Happening) -> str:
    post_type, kind, *_ = happening.name.split(".")
    return f"{post_type}.{kind}" if post_type == "message" else post_type


IMHELPER_CALLS = {
    *("send_private_msg", "send_group_msg", "delete_msg", "get_msg", "get_stranger_info"),
    *("get_group_info", "get_group_list", "get_group_member_info", "get_group_member_list"),
    *("set_group_kick", "set_group_ban", "set_group_admin", "set_group_card", "set_group_name"),
    *("set_group_leave", "set_friend_add_request", "set_group_add_request"),
}
"""The actions that the SDK has methods for."""
