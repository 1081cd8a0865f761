"""A WeChat Official Account, end to end: two connector replicas, frontends apart, one bot."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.nats_server import nats_server
from tests.e2e.processes import Account, Bot, Running, onebus, write_config
from tests.fakes.wechat_api import FakeWeChat
from tests.fakes.wechat_push import AES_KEY, WeChatPlatform

pytestmark = pytest.mark.asyncio(loop_scope="module")


MENU = [
    {"name": "今日歌曲", "type": "click", "key": "SONG"},
    {"name": "扫码", "sub_button": [{"name": "scan", "type": "scancode_waitmsg", "key": "CODE"}]},
]


class WeChat(SimpleNamespace):
    """The whole: the platform's API, its pushes, our replicas, and an account for bots."""

    api: FakeWeChat
    platform: WeChatPlatform
    replicas: list[tuple[str, Running]]
    account: Account
    http: aiohttp.ClientSession

    async def push(self, replica: int, xml: str) -> tuple[int, bytes]:
        """Deliver a push to one replica, as the platform does."""
        push = self.platform.push(xml)
        url = f"{self.replicas[replica][0]}/wechat/my_mp/webhook"
        async with self.http.post(url, params=push.query, data=push.body) as response:
            return response.status, await response.read()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wechat(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WeChat]:
    folder = tmp_path_factory.mktemp("wechat")
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(FakeWeChat().serve())
        api.followers.follow("oUser", nickname="Old friend")
        api.templates["T1"] = {"thing1"}
        api.tags[2] = "星标组"
        nats = await stack.enter_async_context(nats_server(folder / "nats"))
        http = await stack.enter_async_context(aiohttp.ClientSession())

        def config(name: str) -> Path:
            settings: dict[str, Any] = {
                "app_id": api.app_id,
                "app_secret": api.secret,
                "token": "webhook-token-canary",
                "encoding_aes_key": AES_KEY,
                "api_base": api.base,
                "menu": MENU,
            }
            path = folder / f"{name}.yaml"
            write_config(
                path,
                bus=nats.settings,
                wechat__my_mp=settings,
                port=0,
                secret_key="0123456789abcdef",
                general={"onebot.v11": {"use_ws": True, "post_message_format": "array"}},
            )
            return path

        async def start(name: str, *arguments: str) -> tuple[str, Running]:
            command = (*arguments, "-c", str(config(name)))
            running = await stack.enter_async_context(onebus(*command))
            line = await running.says("listening on")
            return f"http://127.0.0.1:{line.rpartition(':')[2]}", running

        replicas = [await start(name, "connector", "wechat") for name in ("first", "second")]
        base, _ = await start("frontends", "frontend", "http", "ws")
        account = Account(http, base, "my_mp", platform="wechat")
        await account.online()
        yield WeChat(
            api=api,
            platform=WeChatPlatform(aes_key=AES_KEY),
            replicas=replicas,
            account=account,
            http=http,
        )


async def echo(bot: Bot, account: Account) -> dict[str, Any]:
    """A bot that answers one event by its number."""
    event = await bot.event()
    await account.ok(
        "send_private_msg", user_id=event["user_id"], message=f"you said {event['raw_message']}"
    )
    return event


@pytest.mark.parametrize("replica", [0, 1])
async def test_the_reply_travels_in_the_response_whichever_replica_holds_it(
    wechat: WeChat, replica: int
) -> None:
    """One of the two replicas owns the account, so one of these replies crosses replicas."""
    bot = await wechat.account.ws()
    xml = wechat.platform.text("你好", message=100 + replica)
    pushed = asyncio.ensure_future(wechat.push(replica, xml))
    event = await echo(bot, wechat.account)
    status, body = await pushed
    assert status == 200
    assert wechat.platform.open_reply(body).content == "you said 你好"
    assert wechat.api.sent == []
    assert (event["message_type"], event["sub_type"]) == ("private", "friend")
    # The platform did not hear us and tries again, at the other replica: same reply, no new event.
    status, again = await wechat.push(1 - replica, xml)
    assert status == 200
    assert wechat.platform.open_reply(again).content == "you said 你好"
    await bot.close()


async def test_a_later_send_goes_through_the_customer_service_api(wechat: WeChat) -> None:
    sent = await wechat.account.ok("send_private_msg", user_id="oUser", message="later & [more]")
    pushed = await wechat.api.wait_for_sent(1)
    assert pushed[-1] == {
        "touser": "oUser",
        "msgtype": "text",
        "text": {"content": "later & [more]"},
    }
    read = await wechat.account.ok("get_msg", message_id=sent["message_id"])
    assert read["raw_message"] == "later &amp; &#91;more&#93;"


async def test_a_retry_of_a_push_is_one_event(wechat: WeChat) -> None:
    bot = await wechat.account.ws()
    xml = wechat.platform.text("once", message=200)
    pushes = [asyncio.ensure_future(wechat.push(replica, xml)) for replica in (0, 1, 0)]
    event = await bot.event()
    assert event["raw_message"] == "once"
    await wechat.account.ok("send_private_msg", user_id=event["user_id"], message="noted")
    statuses = [status for status, _ in await asyncio.gather(*pushes)]
    assert statuses == [200, 200, 200]
    final = asyncio.ensure_future(wechat.push(0, wechat.platform.text("two", message=201)))
    assert (await bot.event())["raw_message"] == "two"
    await final
    await bot.close()


async def test_followers_and_what_the_platform_cannot_do(wechat: WeChat) -> None:
    assert [f["nickname"] for f in await wechat.account.ok("get_friend_list")] == ["Old friend"]
    bot = await wechat.account.ws()
    subscribed = wechat.platform.event("subscribe", user="oNew")
    pushed = asyncio.ensure_future(wechat.push(0, subscribed))
    event = await bot.event()
    assert (event["post_type"], event["notice_type"]) == ("notice", "friend_add")
    answer = await wechat.account.call("get_group_list")
    assert answer["retcode"] == 10001
    assert "wechat cannot get groups" in answer["message"]
    for file, why in (("http://127.0.0.1/a", "public internet"), ("/etc/passwd", "media.roots")):
        image = f"[CQ:image,file={file}]"
        answer = await wechat.account.call("send_private_msg", user_id="oNew", message=image)
        assert answer["status"] == "failed"
        assert why in answer["message"]
    assert (await wechat.account.ok("can_send_image")) == {"yes": True}
    assert (await pushed)[0] == 200
    await bot.close()


async def test_the_menu_is_there_and_what_is_done_with_it_reaches_bots(wechat: WeChat) -> None:
    assert wechat.api.menu == {"button": MENU}
    assert wechat.api.calls["/cgi-bin/menu/create"] == 1
    bot = await wechat.account.ws()
    scanned = {"ScanType": "qrcode", "ScanResult": "https://a.example/?a=1"}
    xml = wechat.platform.event("scancode_waitmsg", EventKey="CODE", ScanCodeInfo=scanned)
    pushed = asyncio.ensure_future(wechat.push(1, xml))
    events = [await bot.event(), await bot.event()]
    assert [(e["notice_type"], e["sub_type"], e["value"]) for e in events] == [
        ("interaction", "click", "CODE"),
        ("interaction", "scan", "https://a.example/?a=1"),
    ]
    user = events[0]["user_id"]
    await wechat.account.ok("send_private_msg", user_id=user, message="seen")
    status, body = await pushed
    assert status == 200
    assert wechat.platform.open_reply(body).content == "seen"
    await bot.close()


async def test_a_template_message_and_how_it_ended(wechat: WeChat) -> None:
    template = {"template_id": "T1", "url": "https://a.example/?a=1", "data": {}}
    refused = await wechat.account.call(
        "send_private_msg",
        user_id="oUser",
        message=[{"type": "json", "data": {"data": json.dumps(template)}}],
    )
    assert refused["status"] == "failed"
    assert "47003" in refused["message"]
    template["data"] = {"thing1": {"value": "你好, [1] & 2"}}
    source = json.dumps(template)
    for mark, written in (("&", "&amp;"), (",", "&#44;"), ("[", "&#91;"), ("]", "&#93;")):
        source = source.replace(mark, written)
    await wechat.account.ok("send_private_msg", user_id="oUser", message=f"[CQ:json,data={source}]")
    assert wechat.api.templated == [{"touser": "oUser", **template}]
    done = wechat.platform.event("TEMPLATESENDJOBFINISH", MsgID=7, Status="failed:user block")
    assert (await wechat.push(0, done))[0] == 200
    await wechat.replicas[0][1].says("template message '7' did not arrive: 'failed:user block'")


async def test_what_the_account_has_noted_of_a_follower(wechat: WeChat) -> None:
    wechat.api.followers.follow("oTagged", remark="the one with the hat", tagid_list=[2])
    friends = await wechat.account.ok("get_friend_list")
    (friend,) = (friend for friend in friends if friend.get("labels"))
    assert (friend["remark"], friend["labels"]) == ("the one with the hat", ["星标组"])
    stranger = await wechat.account.ok("get_stranger_info", user_id="oTagged")
    assert (stranger["remark"], stranger["labels"]) == ("the one with the hat", ["星标组"])
    await wechat.account.ok("set_friend_remark", user_id="oTagged", remark="戴帽子的")
    stranger = await wechat.account.ok("get_stranger_info", user_id="oTagged")
    assert stranger["remark"] == "戴帽子的"
    del wechat.api.followers["oTagged"]


async def test_files_both_ways(wechat: WeChat) -> None:
    """The voice is fetched when the bot opens its address, by the owner, and once."""
    sound = b"#!AMR\n" + bytes(range(256)) * 1000
    wechat.api.media["voice-1"] = ("voice", sound)
    bot = await wechat.account.ws()
    xml = wechat.platform.xml("voice", "oUser", MsgId=900, MediaId="voice-1", Format="amr")
    pushed = asyncio.ensure_future(wechat.push(1, xml))
    segment = (await bot.event())["message"][0]
    assert (segment["type"], segment["data"]["file"]) == ("record", "voice-1")
    calls = wechat.api.calls.total()
    url = segment["data"]["url"]
    assert "TOKEN" not in url
    for header, part in (({}, sound), ({"Range": "bytes=200000-"}, sound[200_000:])):
        async with wechat.http.get(url, headers=header) as response:
            assert response.headers["Content-Type"] == "audio/amr"
            assert await response.read() == part
    assert wechat.api.calls.total() == calls + 1
    found = await wechat.account.ok("get_record", file="voice-1", out_format="amr")
    assert found["file_size"] == str(len(sound))
    assert (await pushed)[0] == 200

    picture = b"\x89PNG\r\n\x1a\n" + bytes(1000)
    file = f"base64://{base64.b64encode(picture).decode()}"
    before = len(wechat.api.sent)
    sent = await wechat.account.ok(
        "send_private_msg", user_id="oUser", message=[{"type": "image", "data": {"file": file}}]
    )
    (pushed_image,) = wechat.api.sent[before:]
    assert wechat.api.media[pushed_image["image"]["media_id"]] == ("image", picture)
    message = await wechat.account.ok("get_msg", message_id=sent["message_id"])
    async with wechat.http.get(message["message"][0]["data"]["url"]) as response:
        assert await response.read() == picture
    await bot.close()


async def test_a_file_that_the_platform_has_elsewhere_or_not_at_all(wechat: WeChat) -> None:
    wechat.api.media["film-1"] = ("video", b"")
    bot = await wechat.account.ws()
    for number, media, status in ((901, "film-1", 302), (902, "gone", 404)):
        xml = wechat.platform.xml("video", "oUser", MsgId=number, MediaId=media)
        pushed = asyncio.ensure_future(wechat.push(0, xml))
        url = (await bot.event())["message"][0]["data"]["url"]
        async with wechat.http.get(url, allow_redirects=False) as response:
            assert response.status == status
            elsewhere = response.headers.get("Location", "")
            assert elsewhere == ("http://films.example/1.mp4" if status == 302 else "")
        await pushed
    await bot.close()


async def test_what_is_not_signed_is_refused_and_tells_nobody(wechat: WeChat) -> None:
    push = wechat.platform.push(wechat.platform.text("forged", message=300))
    url = f"{wechat.replicas[0][0]}/wechat/my_mp/webhook"
    forged = {**push.query, "msg_signature": "0" * 40}
    async with wechat.http.post(url, params=forged, data=push.body) as response:
        assert response.status == 401
    for _, running in wechat.replicas:
        for secret in ("webhook-token-canary", wechat.api.secret, AES_KEY, "nats-password-canary"):
            assert secret not in running.output
        assert all(token not in running.output for token in wechat.api.tokens.values())
        assert "Traceback" not in running.output
