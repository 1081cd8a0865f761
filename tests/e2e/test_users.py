"""All services at work, each a process of its own under its own user: NATS refuses nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from nats.aio.msg import Msg
from tests.e2e.guarded import GuardedNats, guarded_nats
from tests.e2e.processes import BIN, Account, Running, free_port, spawn, write_config
from tests.e2e.receivers import Posted, Receiver, receiver
from tests.fakes.wechat_api import FakeWeChat
from tests.fakes.wechat_push import AES_KEY, WeChatPlatform

from onebus import subjects
from onebus.bus import Bus
from onebus.event import AccountChanged
from onebus.ids import Account as NativeAccount
from onebus.ids import AccountId, Platform
from onebus.log import Log

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOBBY = "lobby"
COMMANDS = {
    "connector-sandbox": ("connector", "sandbox"),
    "connector-wechat": ("connector", "wechat"),
    "frontend-http": ("frontend", "http"),
    "frontend-ws": ("frontend", "ws"),
    "frontend-ws-reverse": ("frontend", "ws-reverse"),
    "frontend-http-post": ("frontend", "http-post"),
}


class Stage:
    """NATS, every service, a bot's framework that is gone to, and WeChat's own servers."""

    def __init__(
        self, folder: Path, nats: GuardedNats, http: aiohttp.ClientSession, bots: Receiver
    ) -> None:
        self.folder = folder
        self.nats = nats
        self.http = http
        self.bots = bots
        self.api = FakeWeChat()
        self.platform = WeChatPlatform(aes_key=AES_KEY)
        self.running: dict[str, Running] = {}
        self.bases: dict[str, str] = {}
        self.refused: list[str] = []
        self.bots_port = 0

    def config(self, name: str, service: str) -> Path:
        path = self.folder / f"{name}.yaml"
        wechat = {
            "app_id": self.api.app_id,
            "app_secret": self.api.secret,
            "token": "webhook-token-canary",
            "encoding_aes_key": AES_KEY,
            "api_base": self.api.base,
        }
        targets: dict[str, Any] = {
            "ws_reverse": [f"ws://127.0.0.1:{self.bots_port}/ws"],
            "http_reverse": [f"http://127.0.0.1:{self.bots_port}/post"],
        }
        onebot = {"use_http": True, "use_ws": True, "rate_limit_interval": 50}
        return write_config(
            path,
            port=0,
            bus=self.nats.settings_of(service),
            general={"onebot.v11": onebot},
            sandbox__demo={"onebot.v11": targets},
            sandbox__other={},
            wechat__my_mp=wechat,
        )

    async def start(self, name: str) -> None:
        """Start a service; `connector-sandbox/2` is another replica of it."""
        service = name.partition("/")[0]
        config = self.config(name.replace("/", "-"), service)
        running = await spawn(name, str(BIN / "onebus"), *COMMANDS[service], "-c", str(config))
        self.running[name] = running
        line = await running.says("listening on")
        self.bases[name] = f"http://127.0.0.1:{line.rpartition(':')[2]}"

    async def restart_nats(self) -> None:
        self.refused += self.nats.violations
        await self.nats.kill()
        await self.nats.start()

    async def says(self, text: str) -> None:
        """Somebody writes in the lobby, as soon as the platform takes it."""
        http = self.account("frontend-http")
        await http.online()
        async with asyncio.timeout(20):
            while True:
                try:
                    await http.say(text, group=LOBBY)
                    return
                except AssertionError:
                    await asyncio.sleep(0.1)

    def account(self, frontend: str, name: str = "demo", platform: str = "sandbox") -> Account:
        base, sandbox = self.bases[frontend], self.bases["connector-sandbox"]
        return Account(self.http, base, name, sandbox_base=sandbox, platform=platform)

    async def command(self, service: str, *arguments: str) -> list[str]:
        """Run `onebus ARGUMENTS` as a service."""
        command = (str(BIN / "onebus"), *arguments, "-c", str(self.config("command", service)))
        running = await spawn(" ".join(arguments), *command)
        assert await running.ended() == 0, running.output
        return running.lines


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder, port = tmp_path_factory.mktemp("users"), free_port()
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(guarded_nats(folder / "nats"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        bots = await stack.enter_async_context(receiver(port))
        there = Stage(folder, nats, http, bots)
        there.bots_port = port
        await stack.enter_async_context(there.api.serve())
        there.api.followers.follow("oUser", nickname="Old friend")
        try:
            lines = await there.command("setup", "bus", "setup")
            assert sum(line.startswith("created ") for line in lines) == 12
            for name in (*COMMANDS, "connector-sandbox/2", "connector-wechat/2"):
                await there.start(name)
            await there.account("frontend-http").online()
            yield there
        finally:
            codes = {name: await running.stop() for name, running in there.running.items()}
    assert set(codes.values()) == {0}
    assert there.refused + nats.violations == []
    assert not [r.output for r in there.running.values() if "forbids" in r.output]


async def test_an_event_reaches_bots_by_every_transport(stage: Stage) -> None:
    http = stage.account("frontend-http")
    forward = await stage.account("frontend-ws").ws()
    assert (await forward.call("get_status"))["data"]["good"]
    reverse = await stage.bots.socket()
    assert (await reverse.call("get_status"))["data"]["good"]
    async with stage.http.get(f"{http.base}/onebot/v11/events") as stream:
        assert stream.status == 200
        await http.say("to all of you", group=LOBBY)
        seen = [await forward.event(), await reverse.event(), (await stage.bots.posted()).event]
        async with asyncio.timeout(15):
            while b"to all of you" not in (line := await stream.content.readline()):
                pass
    seen.append(json.loads(line.removeprefix(b"data: ")))
    assert {event["message_id"] for event in seen} == {seen[0]["message_id"]}
    await forward.close()


async def test_actions_of_every_kind_are_done(stage: Stage) -> None:
    http, forward = stage.account("frontend-http"), await stage.account("frontend-ws").ws()
    before = len(await http.messages(group=LOBBY))
    await http.say("are you all there?", group=LOBBY)
    event = await forward.event()
    where = {"group_id": event["group_id"], "message": "yes"}
    sent = await http.ok("send_group_msg", **where)
    once = [await http.ok("send_group_msg", **where, idempotency_key="one") for _ in range(2)]
    assert once[0] == once[1]
    for action in ("send_group_msg_async", "send_group_msg_rate_limited"):
        for bot in (http, forward):
            assert (await bot.call(action, **where))["retcode"] == 1
    await http.wait_for_messages(before + 7, group=LOBBY)
    read = await http.ok("get_msg", message_id=sent["message_id"])
    assert read["raw_message"] == "yes"
    history = (await forward.call("get_group_msg_history", group_id=event["group_id"]))["data"]
    texts = [message["raw_message"] for message in history["messages"]]
    assert texts.count("yes") == 6
    await http.ok("delete_msg", message_id=sent["message_id"])
    assert [m for m in await http.messages(group=LOBBY) if m.get("recalled")]
    assert (await http.call("get_msg", message_id=77))["status"] == "failed"
    await forward.close()


async def test_a_quick_operation_is_done_once(stage: Stage) -> None:
    http = stage.account("frontend-http")

    async def answer(posted: Posted) -> web.Response:
        asked = posted.event.get("raw_message") == "ping?"
        return web.json_response({"reply": "pong!"}) if asked else web.Response(status=204)

    stage.bots.respond = answer
    await http.say("ping?", user="quick")
    shown = await http.wait_for_messages(2, user="quick")
    assert shown[1]["message"][0]["data"]["text"] == "pong!"


async def test_the_operator_reads_dead_letters(stage: Stage) -> None:
    http = stage.account("frontend-http")
    refusing = asyncio.Event()

    async def refuse(posted: Posted) -> web.Response:
        if posted.event.get("raw_message") != "not this":
            return web.Response(status=204)
        refusing.set()
        return web.Response(status=404)

    stage.bots.respond = refuse
    await http.say("not this", user="dead")
    await asyncio.wait_for(refusing.wait(), 15)
    async with asyncio.timeout(15):
        while not (lines := await stage.command("operator", "dead-letters")):
            pass
    assert [line for line in lines if line.endswith("the bot answered HTTP 404")]


async def test_the_sandbox_shows_and_streams_what_is_its_own(stage: Stage) -> None:
    http = stage.account("frontend-http")
    url = f"{http.sandbox}/api/stream"
    async with stage.http.get(url, params={"group": LOBBY}) as chat, stage.http.get(url) as whole:
        await http.say("seen by people", group=LOBBY)
        for stream in (chat, whole):
            async with asyncio.timeout(15):
                while b"seen by people" not in await stream.content.readline():
                    pass
    async with stage.http.get(f"{http.sandbox}/api/state") as response:
        assert response.status == 200
    assert (await http.messages(group=LOBBY))[-1]["message"][0]["data"]["text"] == "seen by people"


@pytest.mark.parametrize("replica", ["connector-wechat", "connector-wechat/2"])
async def test_a_passive_reply_crosses_replicas(stage: Stage, replica: str) -> None:
    account = stage.account("frontend-http", "my_mp", "wechat")
    await account.online()
    bot = await stage.account("frontend-ws", "my_mp", "wechat").ws()
    push = stage.platform.push(stage.platform.text("hello", message=len(replica)))
    url = f"{stage.bases[replica]}/wechat/my_mp/webhook"

    async def pushed() -> bytes:
        async with stage.http.post(url, params=push.query, data=push.body) as response:
            return await response.read()

    held = asyncio.ensure_future(pushed())
    event = await bot.event()
    await account.ok("send_private_msg", user_id=event["user_id"], message="hello to you")
    assert stage.platform.open_reply(await held).content == "hello to you"
    await account.ok("send_private_msg", user_id=event["user_id"], message="by the API")
    await stage.api.wait_for_sent(1)
    await bot.close()


async def test_a_killed_service_is_followed_by_another(stage: Stage) -> None:
    http = stage.account("frontend-http")
    await stage.running.pop("connector-sandbox").kill()
    stage.bases["connector-sandbox"] = stage.bases["connector-sandbox/2"]
    for name in ("frontend-ws-reverse", "frontend-http-post"):
        await stage.running.pop(name).kill()
        await stage.start(name)
    http = stage.account("frontend-http")
    await http.say("after the kill", group=LOBBY)
    reverse = await stage.bots.socket()
    await _hears(reverse, "after the kill")
    async with asyncio.timeout(20):
        while (await stage.bots.posted()).event.get("raw_message") != "after the kill":
            pass
    async with asyncio.timeout(20):
        while (await http.call("send_group_msg", group_id=LOBBY, message="!"))["retcode"]:
            pass


async def test_nats_comes_back_and_all_goes_on(stage: Stage) -> None:
    bot = await stage.account("frontend-ws").ws()
    calls = [
        asyncio.ensure_future(bot.call("send_group_msg_rate_limited", group_id=LOBBY, message="q"))
    ]
    await stage.restart_nats()
    await asyncio.gather(*calls)
    await stage.says("back again")
    async with asyncio.timeout(20):
        while (await bot.event())["raw_message"] != "back again":
            pass
    lines = await stage.command("setup", "bus", "setup")
    assert sum(line.endswith("is as it should be") for line in lines) == 12
    await bot.close()


async def test_a_new_platform_needs_its_credentials_and_a_restart_of_nats(stage: Stage) -> None:
    bot = await stage.account("frontend-ws").ws()
    await stage.nats.draw("connector-new")
    await stage.restart_nats()
    account = NativeAccount(Platform("new"), AccountId("a"))

    async def answer(message: Msg) -> None:
        await connector.publish(message.reply, b"answered")

    async with (
        Bus(stage.nats.options_of("connector-new"), "test") as connector,
        Bus(stage.nats.options_of("frontend-http"), "test") as frontend,
    ):
        await connector.wait_ready(10)
        await frontend.wait_ready(10)
        subject = f"onebus.{subjects.actions(account)}"
        await connector.subscribe(subject, answer)
        await connector.api("INFO")  # its subscription is there, too
        assert (await frontend.request(subject, b"ask", 5)).data == b"answered"
        assert await Log(connector).append(
            AccountChanged(account=account, time_ms=1, id="1", online=True)
        )
    await stage.says("with the new one")
    while (await bot.event())["raw_message"] != "with the new one":
        pass
    await bot.close()


async def _hears(socket: Any, text: str) -> None:
    async with asyncio.timeout(20):
        while (await socket.event())["raw_message"] != text:
            pass
