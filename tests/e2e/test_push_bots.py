"""Bots of real frameworks that onebus goes to: by reverse WebSocket and HTTP POST."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from tests.e2e.processes import Running, spawn
from tests.e2e.pushing import SECRET, TOKEN, Blocks, Ports, Up, pushing

BOTS = Path(__file__).with_name("bots")
pytestmark = pytest.mark.asyncio(loop_scope="module")


def _bots(ports: Ports) -> Blocks:
    """An account for each test, so that none sees another's events."""

    def url(scheme: str, name: str, path: str = "") -> str:
        return f"{scheme}://127.0.0.1:{ports[name]}{path}"

    reverse = {"use_ws_reverse": True, "ws_reverse_reconnect_interval": 200}
    yield "nonebot", {**reverse, "ws_reverse_url": url("ws", "nonebot", "/onebot/v11/ws")}
    yield (
        "nonebot_http",
        {"http_reverse": [url("http", "nonebot_http", "/onebot/v11/http")], "secret": SECRET},
    )
    yield (
        "aio",
        {
            **reverse,
            "ws_reverse_api_url": url("ws", "aio", "/ws/api"),
            "ws_reverse_event_url": url("ws", "aio", "/ws/event"),
            "access_token": TOKEN,
        },
    )
    yield "aio_http", {"http_reverse": [{"url": url("http", "aio_http"), "secret": SECRET}]}


NAMES = ("nonebot", "nonebot_http", "aio", "aio_http")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    async with pushing(tmp_path_factory.mktemp("push_bots"), NAMES, _bots) as there:
        yield there


@asynccontextmanager
async def bot(name: str, script: str, **env: str) -> AsyncIterator[Running]:
    running = await spawn(name, sys.executable, str(BOTS / script), env=env)
    try:
        yield running
        assert "Traceback" not in running.output  # what its server says when stopped is its own
    finally:
        await running.kill()  # a server that is not ours may wait for its connections for ever


async def test_nonebot2_by_reverse_websocket(up: Up) -> None:
    account = up.account("nonebot")
    async with bot("nonebot", "nonebot_server.py", PORT=str(up.ports["nonebot"])) as nonebot:
        await nonebot.says("connected")
        await account.say("hello", user="carol")
        answered = await account.wait_for_messages(2, user="carol")
        assert answered[1]["message"][-1]["data"] == {"text": "private: hello"}
    async with bot("nonebot", "nonebot_server.py", PORT=str(up.ports["nonebot"])) as nonebot:
        await nonebot.says("connected")
        await account.say("again", user="carol", group="lobby")
        answered = await account.wait_for_messages(2, group="lobby")
        assert answered[1]["message"][-1]["data"] == {"text": "group: again"}
        assert "Duplicate" not in nonebot.output


async def test_nonebot2_by_http(up: Up) -> None:
    account = up.account("nonebot_http")
    self_id = (await account.ok("get_login_info"))["user_id"]
    env = {
        "PORT": str(up.ports["nonebot_http"]),
        "ONEBOT_SECRET": SECRET,
        "ONEBOT_API_ROOTS": json.dumps({str(self_id): f"{account.base}/onebot/v11"}),
    }
    async with bot("nonebot", "nonebot_server.py", **env) as nonebot:
        await nonebot.says("running on")
        await account.say("hello", user="carol")
        await nonebot.says("connected")
        answered = await account.wait_for_messages(2, user="carol")
        assert answered[1]["message"][-1]["data"] == {"text": "private: hello"}
        assert "Signature" not in nonebot.output


async def test_aiocqhttp_by_reverse_websocket_in_two(up: Up) -> None:
    account = up.account("aio", TOKEN)
    env = {"PORT": str(up.ports["aio"]), "ACCESS_TOKEN": TOKEN}
    async with bot("aiocqhttp", "aiocqhttp_bot.py", **env) as aiocqhttp:
        await aiocqhttp.says("lifecycle connect")
        await up.process.says(f"API at ws://127.0.0.1:{up.ports['aio']}/ws/api: connected")
        await account.say("hello", user="dave")
        answered = await account.wait_for_messages(2, user="dave")
        assert answered[1]["message"][-1]["data"] == {"text": "called: hello"}
        await account.say("quick hello", user="dave")
        answered = await account.wait_for_messages(4, user="dave")
        assert answered[3]["message"][-1]["data"] == {"text": "quickly: hello"}


async def test_aiocqhttp_by_http(up: Up) -> None:
    account = up.account("aio_http")
    env = {
        "PORT": str(up.ports["aio_http"]),
        "SECRET": SECRET,
        "API_ROOT": f"{account.base}/onebot/v11/",
    }
    async with bot("aiocqhttp", "aiocqhttp_bot.py", **env) as aiocqhttp:
        await aiocqhttp.says("Running on")
        await account.say("hello", user="dave")
        answered = await account.wait_for_messages(2, user="dave")
        assert answered[1]["message"][-1]["data"] == {"text": "called: hello"}
        await account.say("quick hello", user="dave", group="lobby")
        answered = await account.wait_for_messages(2, group="lobby")
        assert answered[1]["message"][-1]["data"] == {"text": "quickly: hello"}
        assert "signature" not in aiocqhttp.output
