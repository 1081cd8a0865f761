"""An orderly stop of every role, with something in flight on a platform that takes its time."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import WSCloseCode, web
from tests.e2e.nats_server import NatsServer, nats_server
from tests.e2e.processes import Account, Bot, Running, free_port, onebus, write_config
from tests.e2e.receivers import Posted, receiver
from tests.fakes.wechat_api import FakeWeChat
from tests.fakes.wechat_push import AES_KEY, WeChatPlatform

pytestmark = pytest.mark.asyncio(loop_scope="module")
STOPPING = 10011
UNKNOWN = (10006, 10010)
AT_ONCE_S = 5.0
"""Of a dead process's account nobody would know for longer than this: its session lives for 6 s."""
ACCOUNTS = ("one", "posts", "two", "up", "three")
"""Each a user of its own, and served by processes of its own."""


class World:
    """A NATS, the platform, and as many processes of ours as a test wants."""

    def __init__(self, nats: NatsServer, http: aiohttp.ClientSession, folder: Path) -> None:
        self.nats = nats
        self.http = http
        self.folder = folder
        self.apis = {name: FakeWeChat(f"wx{name}") for name in ACCOUNTS}
        self.api = self.apis["one"]

    def platform(self, account: str) -> WeChatPlatform:
        """Who delivers what users write to an account."""
        return WeChatPlatform(app_id=self.apis[account].app_id, aes_key=AES_KEY)

    def config(self, *accounts: str, **changes: Any) -> tuple[str, str]:
        """A file with these accounts on a port of its own, and where that is."""
        port = free_port()
        blocks = {
            f"wechat__{name}": {
                "app_id": self.apis[name].app_id,
                "app_secret": self.apis[name].secret,
                "token": "webhook-token-canary",
                "encoding_aes_key": AES_KEY,
                "api_base": self.apis[name].base,
                "request_timeout_s": 60,
                "passive_window_s": 2.5,
            }
            for name in accounts
        }
        path = write_config(
            self.folder / f"{port}.yaml",
            **{"bus": self.nats.settings, "port": port, **blocks, **changes},
        )
        return str(path), f"http://127.0.0.1:{port}"

    @asynccontextmanager
    async def process(
        self, *command: str, accounts: tuple[str, ...] = ("one",), **changes: Any
    ) -> AsyncIterator[tuple[Running, str]]:
        path, base = self.config(*accounts, **changes)
        async with onebus(*command, "-c", path) as running:
            await running.says("listening on")
            yield running, base

    def account(self, base: str, name: str = "one") -> Account:
        return Account(self.http, base, name, platform="wechat")

    @asynccontextmanager
    async def slow(self, account: str = "one") -> AsyncIterator[FakeWeChat]:
        """The platform answers nobody until the end of the block."""
        api = self.apis[account]
        api.sent.clear()
        api.hang.clear()
        try:
            yield api
        finally:
            api.hang.set()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("drain")
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server(folder / "nats"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        made = World(nats, http, folder)
        for api in made.apis.values():
            await stack.enter_async_context(api.serve())
            api.followers.follow("oUser")
        await stack.enter_async_context(made.process("connector", "wechat"))
        yield made


async def ended_well(running: Running, timeout_s: float = 15) -> None:
    assert await running.ended(timeout_s) == 0, running.output
    assert "Traceback" not in running.output, running.output


async def refuses(base: str) -> None:
    """Wait until nobody can connect."""
    port = int(base.rpartition(":")[2])
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.02)


def sending(account: Account) -> "asyncio.Future[dict[str, Any]]":
    return asyncio.ensure_future(account.call("send_private_msg", user_id="oUser", message="hi"))


async def send_frame(ws: Any, echo: str) -> None:
    params = {"user_id": "oUser", "message": echo}
    await ws.send_json({"action": "send_private_msg", "params": params, "echo": echo})


async def answers(bot: Bot) -> dict[str, Any]:
    """All answers until the socket is closed, by echo."""
    found = {}
    async for message in bot.ws:
        frame = message.json()
        if "echo" in frame:
            found[frame["echo"]] = frame
    return found


async def test_http_finishes_its_requests_and_takes_no_more(world: World) -> None:
    async with world.process("frontend", "http") as (running, base), world.slow() as api:
        account = world.account(base)
        await account.online()
        await asyncio.gather(*(account.ok("get_status") for _ in range(2)))  # two connections
        call = sending(account)
        await api.wait_for_sent(1)
        running.signal(signal.SIGTERM)
        await refuses(base)
        # One of them is still open, and is told so.
        url = f"{account.base}/onebot/v11/get_status"
        async with world.http.get(url) as refusal:
            assert refusal.status == 503
            assert refusal.headers["Retry-After"] == "2"
            assert refusal.headers["Connection"] == "close"
        assert not call.done()
        api.hang.set()
        assert (await call)["status"] == "ok"
        await ended_well(running)


async def test_a_socket_gets_its_answers_before_it_is_closed(world: World) -> None:
    async with world.process("frontend", "ws") as (running, base), world.slow() as api:
        bot = await world.account(base).ws()
        await send_frame(bot.ws, "before")
        await api.wait_for_sent(1)
        running.signal(signal.SIGTERM)
        await refuses(base)
        await send_frame(bot.ws, "too late")
        frame = await bot.frame()
        while frame.get("echo") != "too late":
            frame = await bot.frame()
        assert (frame["status"], frame["retcode"]) == ("failed", STOPPING)
        assert not bot.ws.closed
        api.hang.set()
        found = await answers(bot)
        assert found["before"]["status"] == "ok"
        assert bot.ws.close_code == WSCloseCode.GOING_AWAY
        assert len(api.sent) == 1
        await ended_well(running)


async def test_a_reverse_socket_gets_its_answers_before_it_is_closed(world: World) -> None:
    port = free_port()
    onebot = {"onebot.v11": {"ws_reverse": [f"ws://127.0.0.1:{port}/"]}}
    async with (
        receiver(port) as bot,
        world.process("frontend", "ws-reverse", general=onebot) as (running, _),
        world.slow() as api,
    ):
        socket = await bot.socket()
        await send_frame(socket.ws, "before")
        await api.wait_for_sent(1)
        running.signal(signal.SIGTERM)
        await running.says("stopping")
        assert not socket.closed.is_set()
        api.hang.set()
        while (frame := await socket.frame()).get("echo") != "before":
            pass
        assert frame["status"] == "ok"
        await asyncio.wait_for(socket.closed.wait(), 5)
        assert socket.ws.close_code == WSCloseCode.GOING_AWAY
        await ended_well(running)


async def test_a_post_and_what_its_answer_asks_for_are_finished(world: World) -> None:
    port = free_port()
    onebot = {"onebot.v11": {"http_reverse": [f"http://127.0.0.1:{port}/"], "replay_window": 60000}}
    gate = asyncio.Event()

    async def reply_late(posted: Posted) -> web.Response:
        if posted.event["post_type"] == "meta_event":
            return web.Response(status=204)
        await gate.wait()
        return web.json_response({"reply": f"you said {posted.event['raw_message']}"})

    async with (
        receiver(port) as bot,
        world.process("connector", "wechat", accounts=("posts",)) as (_, base),
    ):
        bot.respond = reply_late
        async with world.process("frontend", "http-post", accounts=("posts",), general=onebot) as (
            running,
            _,
        ):
            while (await bot.post()).event.get("sub_type") != "enable":
                pass
            async with world.slow("posts") as api:
                push = asyncio.ensure_future(deliver(world, base, "posts", 71, "one"))
                assert (await bot.posted()).event["raw_message"] == "one"
                assert (await push)[0] == 200  # the window of a passive reply is over
                running.signal(signal.SIGTERM)
                await running.says("stopping")
                gate.set()
                await api.wait_for_sent(1)
                api.hang.set()
                await ended_well(running)
        # Who comes next does not get it again.
        async with world.process("frontend", "http-post", accounts=("posts",), general=onebot):
            await deliver(world, base, "posts", 72, "two")
            assert (await bot.posted()).event["raw_message"] == "two"


async def deliver(
    world: World, base: str, account: str, number: int, text: str, user: str = "oUser"
) -> tuple[int, bytes]:
    """The platform delivers a message."""
    platform = world.platform(account)
    push = platform.push(platform.text(text, user, number))
    url = f"{base}/wechat/{account}/webhook"
    async with world.http.post(url, params=push.query, data=push.body) as response:
        return response.status, await response.read()


async def test_a_connector_finishes_its_actions_and_its_webhooks_and_hands_over(
    world: World,
) -> None:
    changes: dict[str, Any] = {"accounts": ("two",)}
    async with (
        world.process("connector", "wechat", **changes) as (first, first_base),
        world.process("frontend", "http", "ws", **changes) as (_, base),
    ):
        account = world.account(base, "two")
        await account.online()
        bot = await account.ws()
        async with world.process("connector", "wechat", **changes), world.slow("two") as api:
            call = sending(account)
            await api.wait_for_sent(1)
            held = asyncio.ensure_future(deliver(world, first_base, "two", 81, "quick?", "oOther"))
            event = await bot.event()
            first.signal(signal.SIGTERM)
            await refuses(first_base)
            # Its answer is a bot's action: so the one that holds it must still take actions.
            reply = await account.call(
                "send_private_msg", user_id=event["user_id"], message="quick!"
            )
            assert reply["status"] == "ok", reply
            status, body = await held
            assert status == 200
            assert world.platform("two").open_reply(body).content == "quick!"
            assert not call.done()
            api.hang.set()
            assert (await call)["status"] == "ok"
            await ended_well(first)
            started_at = time.monotonic()
            later = await sending(account)
            assert later["status"] == "ok", later
            assert time.monotonic() - started_at < AT_ONCE_S
        assert "not everything was finished" not in first.output


async def test_up_finishes_frontends_before_the_connector_and_that_before_nats(
    world: World, tmp_path: Path
) -> None:
    path, base = world.config("up", bus={"sync_interval": "2m"})
    async with onebus("up", "-c", path, "--data-dir", str(tmp_path)) as up, world.slow("up") as api:
        await up.says("HTTP  ")
        account = world.account(base, "up")
        await account.online()
        bot = await account.ws()
        await send_frame(bot.ws, "by socket")
        call = sending(account)
        await api.wait_for_sent(1)
        reading = asyncio.ensure_future(answers(bot))
        up.signal(signal.SIGINT)
        await refuses(base)
        api.hang.set()
        assert (await call)["status"] == "ok"
        found = await reading
        assert found["by socket"]["status"] == "ok"
        assert bot.ws.close_code == WSCloseCode.GOING_AWAY
        await ended_well(up)


async def test_what_is_not_finished_in_time_is_answered_as_unknown(world: World) -> None:
    async with (
        world.process("frontend", "ws", "http", drain_timeout=0.5) as (running, base),
        world.slow() as api,
    ):
        account = world.account(base)
        await account.online()
        bot = await account.ws()
        await send_frame(bot.ws, "hangs")
        call = sending(account)
        await api.wait_for_sent(1)
        running.signal(signal.SIGTERM)
        started_at = time.monotonic()
        found = await answers(bot)
        assert found["hangs"]["retcode"] in UNKNOWN
        assert bot.ws.close_code == WSCloseCode.GOING_AWAY
        # Its turn in the chat never came: that is known for certain.
        assert (await call)["retcode"] in (*UNKNOWN, 10005)
        await ended_well(running)
        assert time.monotonic() - started_at < 10  # the platform would take longer


async def test_a_connector_without_time_says_so_and_gives_the_account_back(world: World) -> None:
    changes: dict[str, Any] = {"accounts": ("three",)}
    async with (
        world.process("connector", "wechat", drain_timeout=0.3, **changes) as (first, _),
        world.process("frontend", "http", **changes) as (_, base),
    ):
        account = world.account(base, "three")
        await account.online()
        async with world.process("connector", "wechat", **changes), world.slow("three") as api:
            call = sending(account)
            await api.wait_for_sent(1)
            first.signal(signal.SIGTERM)
            assert (await call)["retcode"] in UNKNOWN
            await ended_well(first)
            api.hang.set()
            started_at = time.monotonic()
            assert (await sending(account))["status"] == "ok"
            assert time.monotonic() - started_at < AT_ONCE_S


async def test_a_second_signal_ends_it_at_once(world: World) -> None:
    async with (
        world.process("frontend", "http", drain_timeout=60) as (running, base),
        world.slow() as api,
    ):
        account = world.account(base)
        await account.online()
        call = sending(account)
        await api.wait_for_sent(1)
        running.signal(signal.SIGTERM)
        await running.says("stopping")
        await asyncio.wait({call}, timeout=0.3)
        assert not call.done()
        running.signal(signal.SIGTERM)
        assert await running.ended(2) == -signal.SIGTERM
        assert "Traceback" not in running.output
        with pytest.raises(aiohttp.ClientError):
            await call


async def test_a_stream_ends_as_a_stream_does(world: World) -> None:
    async with world.process("frontend", "http") as (running, base):
        account = world.account(base)
        await account.online()
        async with world.http.get(f"{account.base}/onebot/v11/events") as stream:
            assert stream.status == 200
            await stream.content.readline()
            running.signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                await stream.read()  # to its proper end
        await ended_well(running)
