"""Actions from a bot to the platform and back, over real processes."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.processes import Account, onebus, write_config

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def account(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Account]:
    folder = tmp_path_factory.mktemp("up")
    config = write_config(folder / "config.yaml")
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        line = await process.says("HTTP  ")
        account = Account(http, line.split()[1].partition("/sandbox/")[0])
        await account.online()
        yield account


async def test_a_history_is_read_page_by_page(account: Account) -> None:
    for text in ("one", "two", "three", "four"):
        await account.say(text, user="alice", group="pages")
    newest = await account.ok("get_group_msg_history", group_id="pages", count=2)
    assert [m["raw_message"] for m in newest["messages"]] == ["three", "four"]
    oldest = newest["messages"][0]
    older = await account.ok(
        "get_group_msg_history", group_id=oldest["group_id"], message_seq=oldest["message_seq"]
    )
    assert [m["raw_message"] for m in older["messages"]] == ["one", "two", "three"]
    known = await account.ok("get_msg", message_id=oldest["message_id"])
    assert older["messages"][-1] == known


async def test_messages_of_two_chats_are_forwarded_and_read_again(account: Account) -> None:
    await account.say("in the group", user="bob", group="news")
    await account.say("privately", user="bob")
    group = await account.ok("get_group_msg_history", group_id="news", count=1)
    private = await account.ok("get_friend_msg_history", user_id="bob", count=1)
    ids = [m["message_id"] for found in (group, private) for m in found["messages"]]
    nodes = [{"type": "node", "data": {"id": str(message_id)}} for message_id in ids]
    nodes.append({"type": "node", "data": {"name": "Carol", "uin": "carol", "content": "made up"}})
    sent = await account.ok("send_group_forward_msg", group_id="news", messages=nodes)
    for params in ({"message_id": sent["message_id"]}, {"id": sent["forward_id"]}):
        opened = await account.ok("get_forward_msg", **params)
        texts = [said["content"] for said in opened["messages"]]
        assert texts == ["in the group", "privately", "made up"]
        names = [said["sender"]["nickname"] for said in opened["messages"]]
        assert names == ["bob", "bob", "Carol"]
        assert [node["type"] for node in opened["message"]] == ["node"] * 3


@pytest.mark.proves(293)
async def test_a_quick_operation_over_a_socket(account: Account) -> None:
    bot = await account.ws()
    await account.say("hello", user="dora", group="quick")
    event = await bot.event()
    context = {key: event[key] for key in ("group_id", "user_id", "message_id", "self_id")}
    operation = {"reply": "[1]", "auto_escape": True, "delete": "true"}
    answer = await bot.call(".handle_quick_operation", context=context, operation=operation)
    assert answer["retcode"] == 10003  # a plain member takes back nobody's message
    assert answer["message"].startswith("delete_msg: ")
    shown = (await account.messages(group="quick"))[-1]["message"]
    assert [segment["type"] for segment in shown] == ["mention", "text"]
    assert shown[-1]["data"] == {"text": "[1]"}
    await bot.close()


async def test_every_reading_action_answers_within_its_type(account: Account) -> None:
    await account.say("hi", user="emil", group="readers")
    honors = await account.ok("get_group_honor_info", group_id="readers", type="all")
    assert all(isinstance(honors[key], list) for key in honors if key.endswith("_list"))
    credentials = await account.ok("get_credentials")
    assert credentials == {
        **await account.ok("get_cookies"),
        "csrf_token": (await account.ok("get_csrf_token"))["token"],
    }
    restart = await account.call("set_restart", delay=0)
    assert (restart["status"], restart["retcode"], restart["data"]) == ("async", 1, None)
    await account.online()
