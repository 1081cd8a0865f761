"""A NapCat-like upstream behind `onebus up`: what only NapCat has reaches the bot, and back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from tests.e2e.processes import Account, Bot, free_port, onebus, write_config
from tests.fakes.onebot11_upstream import SELF, FakeUpstream, private, upstream

TOKEN = "upstream-token-canary"
WAIT_S = 20.0
HALL = 30003
SAID = {"message_type": "group", "sub_type": "normal", "group_id": HALL, "group_name": "Hall"}
MFACE = {"type": "mface", "data": {"emoji_id": "e1", "key": "k", "summary": "[hi]"}}


class There(SimpleNamespace):
    napcat: FakeUpstream
    account: Account
    bot: Bot

    async def told(self, **fields: Any) -> dict[str, Any]:
        """What a bot gets of an event, without what is ours."""
        await self.napcat.emit(**fields)
        return await self.bot.event()

    async def called(self, action: str) -> dict[str, Any]:
        """The parameters of the last call of an action."""
        return (await self.napcat.calls(action))[-1]


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[There]:
    port = free_port()
    async with upstream(TOKEN) as napcat, aiohttp.ClientSession() as http:
        config = write_config(
            tmp_path / "config.yaml",
            port=port,
            general={"onebot.v11": {"use_ws": True, "post_message_format": "array"}},
            onebot11__qq={"url": f"ws://{napcat.base}/", "access_token": TOKEN},
        )
        data = str(tmp_path / "data")
        async with onebus("up", "-c", str(config), "--data-dir", data) as process:
            account = Account(http, f"http://127.0.0.1:{port}", "qq", platform="onebot11")
            await account.online()
            bot = await account.ws()
            yield There(napcat=napcat, account=account, bot=bot)
            await bot.close()
        assert TOKEN not in process.output
        assert "Traceback" not in process.output


async def test_numbers_are_those_of_qq_and_segments_are_kept(there: There) -> None:
    assert (await there.account.ok("get_login_info"))["user_id"] == SELF
    seen = await there.told(**private([MFACE]) | SAID)
    assert (seen["user_id"], seen["group_id"], seen["self_id"]) == (20002, HALL, SELF)
    assert seen["group_name"] == "Hall"
    assert seen["message"] == [MFACE]
    await there.account.ok("send_group_msg", group_id=HALL, message=[MFACE])
    assert (await there.called("send_group_msg"))["message"] == [MFACE]


async def test_events_that_only_upstreams_have_come_as_they_are(there: There) -> None:
    seen = await there.told(**private("hi") | SAID)
    dismissed = {"post_type": "notice", "notice_type": "group_dismiss", "group_id": HALL, "x": [1]}
    told = await there.told(**dismissed)
    assert {key: told[key] for key in dismissed} == dismissed
    assert int(told["event_id"]) > int(seen["event_id"])
    poke = {"post_type": "notice", "notice_type": "notify", "sub_type": "poke", "group_id": HALL}
    poked = await there.told(**poke, user_id=20002, target_id=SELF, raw_info=[{"txt": "x"}])
    assert (poked["target_id"], poked["raw_info"]) == (SELF, [{"txt": "x"}])
    tip = {"post_type": "notice", "notice_type": "notify", "sub_type": "gray_tip"}
    tipped = await there.told(**tip, group_id=HALL, user_id=20002, message_id=5)
    assert tipped["message_id"] == seen["message_id"]


async def test_actions_that_only_upstreams_have_are_theirs(there: There) -> None:
    number = (await there.told(**private("hi") | SAID))["message_id"]
    answers = there.napcat.answers
    answers |= dict.fromkeys(("set_msg_emoji_like", "group_poke", "forward_friend_single_msg"))
    answers["get_essence_msg_list"] = [{"message_id": 5, "sender_id": 20002, "content": []}]
    answers["get_group_root_files"] = {"files": [{"file_id": "/f"}], "folders": []}
    ok = there.account.ok
    await ok("set_msg_emoji_like", message_id=number, emoji_id="76")
    assert (await there.called("set_msg_emoji_like"))["message_id"] == 5
    await ok("send_poke", group_id=HALL, user_id=20002)
    assert await there.called("group_poke") == {"group_id": HALL, "user_id": 20002}
    await ok("forward_friend_single_msg", message_id=number, user_id=20003)
    assert await there.called("forward_friend_single_msg") == {"message_id": 5, "user_id": 20003}
    essence = await ok("get_essence_msg_list", group_id=HALL)
    assert essence == [{"message_id": number, "sender_id": 20002, "content": []}]
    assert await ok("get_group_root_files", group_id=HALL) == answers["get_group_root_files"]
    history = await ok("get_group_msg_history", group_id=HALL)
    assert [one["message_id"] for one in history["messages"]] == [number]
    refused = await there.bot.call("no_such_action", group_id=HALL)
    assert (refused["retcode"], refused["status"]) == (1404, "failed")


async def test_being_logged_out_is_being_offline(there: There) -> None:
    there.napcat.online = False
    await there.napcat.heartbeat(online=False)
    await until(there, online=False)
    assert (await there.account.call("get_group_list"))["retcode"] == 10009
    there.napcat.online = True
    await until(there, online=True)
    seen = await there.told(**private("back", 6))
    assert seen["raw_message"] == "back"


async def until(there: There, *, online: bool) -> None:
    """Wait for what `get_status` says."""
    async with asyncio.timeout(WAIT_S):
        while (await there.account.ok("get_status"))["online"] != online:
            await asyncio.sleep(0.05)
