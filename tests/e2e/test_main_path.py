"""The main job on one machine: a person says something, and a real bot framework answers."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.processes import Account, Running, onebus, spawn, write_config

BOTS = Path(__file__).with_name("bots")
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Up(SimpleNamespace):
    """A running `onebus up`."""

    process: Running
    account: Account
    base: str
    http: aiohttp.ClientSession


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    config = write_config(folder / "config.yaml", sandbox__second={})
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        line = await process.says("HTTP  ")
        base = line.split()[1].partition("/sandbox/")[0]
        account = Account(http, base)
        await account.online()
        yield Up(process=process, account=account, base=base, http=http)


async def test_the_seed_example(up: Up) -> None:
    sent = await up.account.ok("send_private_msg", user_id="alice", message="Hello")
    assert isinstance(sent["message_id"], int)
    assert 0 < sent["message_id"] < 2**31
    shown = await up.account.messages(user="alice")
    assert shown[-1]["message"] == [{"type": "text", "data": {"text": "Hello"}}]
    assert shown[-1]["from_bot"] is True
    read = await up.account.ok("get_msg", message_id=sent["message_id"])
    assert read["message_id"] == sent["message_id"]
    assert read["message"] == "Hello"
    assert read["message_type"] == "private"
    assert {"time", "real_id", "sender"} <= read.keys()


async def test_nonebot2_answers_in_private_and_in_a_group(up: Up) -> None:
    url = f"ws{up.base.removeprefix('http')}/sandbox/demo/onebot/v11"
    bot = await spawn(
        "nonebot", sys.executable, str(BOTS / "nonebot_echo.py"), env={"ONEBOT_WS_URL": url}
    )
    try:
        await bot.says("connected")
        await up.account.say("hello bot", user="carol")
        answered = await up.account.wait_for_messages(2, user="carol")
        assert answered[1]["message"][-1]["data"] == {"text": "private: hello bot"}
        native = await up.account.say("hello all [CQ:at,qq=all]", user="dave", group="lobby")
        answered = await up.account.wait_for_messages(2, group="lobby")
        assert answered[1]["message"][-1]["data"] == {"text": "group: hello all [CQ:at,qq=all]"}
        assert native == answered[0]["message_id"]
    finally:
        await bot.stop()
    assert "Traceback" not in bot.output


async def test_a_raw_client_on_api_and_event(up: Up) -> None:
    api, events = await up.account.ws("/api"), await up.account.ws("/event")
    first = await events.frame()
    assert (first["meta_event_type"], first["sub_type"]) == ("lifecycle", "connect")
    await up.account.say("ping", user="erin", group="raw")
    event = await events.event()
    assert event["raw_message"] == "ping"
    assert event["message_type"] == "group"
    answer = await api.call("send_group_msg", group_id=event["group_id"], message="pong")
    assert answer["status"] == "ok"
    shown = await up.account.wait_for_messages(2, group="raw")
    assert shown[1]["message"] == [{"type": "text", "data": {"text": "pong"}}]
    await api.close()
    await events.close()


async def test_what_is_said_is_what_bots_read_back(up: Up) -> None:
    bot = await up.account.ws()
    await up.account.say("one", user="frank")
    event = await bot.event()
    read = await up.account.ok("get_msg", message_id=str(event["message_id"]))
    assert read["raw_message"] == "one"
    assert read["sender"]["user_id"] == event["user_id"]
    by_number = await up.account.ok("get_stranger_info", user_id=event["user_id"])
    by_name = await up.account.ok("get_stranger_info", user_id="frank")
    assert by_number == by_name
    reply = f"[CQ:reply,id={event['message_id']}]two"
    sent = await up.account.ok("send_private_msg", user_id=event["user_id"], message=reply)
    shown = await up.account.messages(user="frank")
    kinds = [segment["type"] for segment in shown[-1]["message"]]
    assert kinds == ["reply", "text"]
    await up.account.ok("delete_msg", message_id=sent["message_id"])
    assert (await up.account.messages(user="frank"))[-1]["recalled"] is True
    await bot.close()


async def test_group_reads(up: Up) -> None:
    await up.account.say("hi", user="gina", group="readers")
    groups = await up.account.ok("get_group_list")
    group = next(g for g in groups if g["group_name"] == "readers")
    assert group["max_member_count"] >= group["member_count"] >= 2
    info = await up.account.ok("get_group_info", group_id=group["group_id"], no_cache="true")
    assert info == group
    members = await up.account.ok("get_group_member_list", group_id=str(group["group_id"]))
    me = await up.account.ok("get_login_info")
    assert {m["nickname"] for m in members} >= {"gina", me["nickname"]}
    mine = await up.account.ok(
        "get_group_member_info", group_id=group["group_id"], user_id=me["user_id"]
    )
    assert mine["role"] in ("owner", "admin", "member")
    state = await _state(up)
    assert {g["onebot_id"] for g in state["groups"]} >= {group["group_id"]}


async def test_a_number_of_another_account_is_not_found(up: Up) -> None:
    sent = await up.account.ok("send_private_msg", user_id="alice", message="private to demo")
    second = Account(up.http, up.base, "second")
    await second.online()
    for action in ("get_msg", "delete_msg"):
        answer = await second.call(action, message_id=sent["message_id"])
        assert (answer["status"], answer["retcode"], answer["data"]) == ("failed", 10002, None)
        assert "private to demo" not in json.dumps(answer)


async def _state(up: Up) -> Any:
    async with up.http.get(f"{up.account.sandbox}/api/state") as response:
        return await response.json()
