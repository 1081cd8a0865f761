"""How each client is started, and what onebus has to be told of it.

A client is named after the account that it serves: the framework, and how the two connect.
"""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.clients import node
from tests.e2e.clients.happenings import HAPPENINGS
from tests.e2e.processes import Running, spawn

CLIENTS = Path(__file__).parent
TOKEN = "client-token-canary"
SECRET = "client-secret-canary"
NONEBOT = ("nonebot_forward", "nonebot_reverse", "nonebot_http")
AIOCQHTTP = ("aiocqhttp_http", "aiocqhttp_split")
KOISHI = ("koishi_forward", "koishi_reverse")
IMHELPER = "imhelper"
NAMES = (*NONEBOT, *AIOCQHTTP, *KOISHI, IMHELPER)


class Client(NamedTuple):
    """What a client has to be told: `base` is where onebus is, `port` where it listens itself."""

    name: str
    base: str
    self_id: int
    port: int
    platform: str = "sandbox"

    def url(self, scheme: str) -> str:
        """Where onebus offers the account."""
        return f"{scheme}{self.base.removeprefix('http')}/{self.platform}/{self.name}/onebot/v11"


async def start(client: Client) -> Running:
    """The client's process."""
    return await _STARTS[client.name.split("_", maxsplit=1)[0]](client)


def settings_of(name: str, port: int) -> dict[str, Any]:
    """What onebus has to be told of a client."""
    there = f"ws://127.0.0.1:{port}"
    reverse = {"use_ws_reverse": True, "ws_reverse_reconnect_interval": 200}
    arrays = {"post_message_format": "array"}
    blocks: dict[str, dict[str, Any]] = {
        "nonebot_forward": {"use_ws": True},
        "nonebot_reverse": {**reverse, **arrays, "ws_reverse_url": f"{there}/onebot/v11/ws"},
        "nonebot_http": {"http_reverse": [f"http://127.0.0.1:{port}/onebot/v11/http"]},
        "aiocqhttp_http": {"http_reverse": [f"http://127.0.0.1:{port}"]},
        "aiocqhttp_split": {
            **reverse,
            **arrays,
            "ws_reverse_api_url": f"{there}/ws/api",
            "ws_reverse_event_url": f"{there}/ws/event",
        },
        "koishi_forward": {"use_ws": True, "async_as_ok": True},
        "koishi_reverse": {**reverse, **arrays, "ws_reverse_url": f"{there}/onebot"},
        "imhelper": {**arrays, "use_ws": True},
    }
    return blocks[name]


async def _python(name: str, script: str, **env: str) -> Running:
    return await spawn(name, sys.executable, str(CLIENTS / script), env=env)


async def _nonebot(client: Client) -> Running:
    settings: dict[str, Any] = {"onebot_access_token": TOKEN}
    if client.name == "nonebot_forward":
        settings |= {"driver": "~aiohttp", "onebot_ws_urls": [client.url("ws")]}
    else:
        settings |= {"driver": "~fastapi+~aiohttp", "port": client.port}
    if client.name == "nonebot_http":
        roots = {str(client.self_id): client.url("http")}
        settings |= {"onebot_api_roots": roots, "onebot_secret": SECRET}
    return await _python(client.name, "nonebot_client.py", NONEBOT=json.dumps(settings))


async def _aiocqhttp(client: Client) -> Running:
    names = {happening.name for happening in HAPPENINGS}
    names |= {"meta_event.lifecycle.connect", "meta_event.heartbeat"}
    env = {"PORT": str(client.port), "ACCESS_TOKEN": TOKEN, "EVENTS": json.dumps(sorted(names))}
    if client.name == "aiocqhttp_http":
        env |= {"API_ROOT": f"{client.url('http')}/", "SECRET": SECRET}
    return await _python(client.name, "aiocqhttp_client.py", **env)


async def _koishi(client: Client) -> Running:
    settings: dict[str, Any] = {"selfId": str(client.self_id), "token": TOKEN, "port": client.port}
    if client.name == "koishi_forward":
        settings |= {"protocol": "ws", "endpoint": client.url("ws")}
    else:
        settings |= {"protocol": "ws-reverse", "path": "/onebot"}
    script = CLIENTS / "koishi" / "client.cjs"
    return await node.client(client.name, script, {"KOISHI": json.dumps(settings)})


async def _imhelper(client: Client) -> Running:
    settings = {"base": client.url("http"), "token": TOKEN}
    script = CLIENTS / "imhelper" / "client.cjs"
    return await node.client(client.name, script, {"IMHELPER": json.dumps(settings)})


_STARTS: dict[str, Callable[[Client], Awaitable[Running]]] = {
    "nonebot": _nonebot,
    "aiocqhttp": _aiocqhttp,
    "koishi": _koishi,
    "imhelper": _imhelper,
}
