"""sandbox → onebus A → onebus B → a bot, while A or half of B is killed: nothing lost or doubled.

A keeps what happens in its log. B says which of it came last (forward WebSocket), or A knows what B
has taken (reverse WebSocket, HTTP POST); what comes twice all the same is one entry at B.
"""

import asyncio
import contextlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.e2e.nats_server import nats_server
from tests.e2e.processes import (
    BIN,
    READY_S,
    Account,
    Bot,
    Running,
    free_port,
    onebus,
    spawn,
    write_config,
)

TOKEN, SECRET = "upstream-token-canary", "upstream-secret-canary"
GROUPS = ("hall", "yard", "pier")
SAID = 120
"""Messages a group."""
EVERY_S = 0.05
AFTER = (30, 70)
"""After how many messages of the first group A is killed."""
DOWN_S = 0.5


class Upstream:
    """A, which is killed and started again on its port and data."""

    def __init__(self, config: Path, data: Path) -> None:
        self._command = (str(BIN / "onebus"), "up", "-c", str(config), "--data-dir", str(data))
        self.running: Running | None = None

    async def start(self) -> None:
        self.running = await spawn("A", *self._command)

    async def killed(self) -> None:
        assert self.running
        await self.running.kill()
        await asyncio.sleep(DOWN_S)  # the outage itself
        await self.start()

    async def stop(self) -> None:
        assert self.running
        await self.running.stop()


def at_a(way: str, base_b: str) -> dict[str, Any]:
    there = f"{base_b.removeprefix('http')}/onebot11/demo"
    if way == "ws":
        return {"use_ws": True}
    if way == "ws_reverse":
        url = f"ws{there}/ws"
        return {
            "use_ws_reverse": True,
            "ws_reverse_url": url,
            "ws_reverse_reconnect_interval": 200,
        }
    return {"http_reverse": [f"http{there}/webhook"]}


def at_b(way: str, base_a: str) -> dict[str, Any]:
    there = f"{base_a.removeprefix('http')}/sandbox/demo/onebot/v11"
    urls = {"ws": f"ws{there}", "ws_reverse": "", "http": f"http{there}"}
    return {"url": urls[way], "access_token": TOKEN, "secret": SECRET}


async def says(account: Account, group: str, said: list[str]) -> None:
    """Somebody who says each thing again until it is acknowledged, under an id of their own."""
    for number in range(SAID):
        text = f"{group}-{number}"
        body = {"user": "ann", "group": group, "message": text, "message_id": text}
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                url = f"{account.sandbox}/api/messages"
                limit = aiohttp.ClientTimeout(total=5)
                async with account.http.post(url, json=body, timeout=limit) as response:
                    if response.status == 200:
                        break
            await asyncio.sleep(0.1)
        said.append(text)
        await asyncio.sleep(EVERY_S)  # the pace of the load


async def hears(bot: Bot, heard: list[str], ends: set[str]) -> None:
    """Until the last message of every group has come."""
    while ends - set(heard):
        heard.append((await bot.event(timeout_s=60))["raw_message"])


@pytest.mark.parametrize("way", ["ws", "ws_reverse", "http"])
async def test_a_killed_upstream_loses_and_doubles_nothing(way: str, tmp_path: Path) -> None:
    base_a, base_b = (f"http://127.0.0.1:{free_port()}" for _ in "ab")
    general = {"access_token": TOKEN, "secret": SECRET}
    config_a = write_config(
        tmp_path / "a.yaml",
        port=int(base_a.rpartition(":")[2]),
        general={"onebot.v11": {**general, "use_http": True}},
        sandbox__demo={"onebot.v11": at_a(way, base_b)},
    )
    config_b = write_config(
        tmp_path / "b.yaml",
        port=int(base_b.rpartition(":")[2]),
        onebot11__demo=at_b(way, base_a),
    )
    upstream = Upstream(config_a, tmp_path / "a")
    await upstream.start()
    try:
        async with (
            onebus("up", "-c", str(config_b), "--data-dir", str(tmp_path / "b")),
            aiohttp.ClientSession() as http,
        ):
            account = Account(http, base_b, "demo", platform="onebot11")
            account.sandbox = f"{base_a}/sandbox/demo"
            await account.online()
            bot = await account.ws()
            said: dict[str, list[str]] = {group: [] for group in GROUPS}
            heard: list[str] = []
            ends = {f"{group}-{SAID - 1}" for group in GROUPS}
            async with asyncio.TaskGroup() as group:
                for name in GROUPS:
                    group.create_task(says(account, name, said[name]))
                group.create_task(hears(bot, heard, ends))
                for after in AFTER:
                    while len(said[GROUPS[0]]) < after:
                        await asyncio.sleep(0.05)
                    await upstream.killed()
            for name in GROUPS:
                assert [text for text in heard if text.startswith(name)] == said[name]
            # It is online again, and actions go through.
            await account.online()
            state = await account.ok("get_group_list")
            assert {one["group_name"] for one in state} == set(GROUPS)
            await bot.call("get_status")
            assert bot.events == []
            await bot.close()
    finally:
        await upstream.stop()


async def owner(replicas: list[Running]) -> Running:
    """The replica of B that serves the account."""
    async with asyncio.timeout(READY_S):
        while True:
            for replica in replicas:
                if any("online as" in line for line in replica.lines):
                    return replica
            await asyncio.sleep(0.05)


async def test_a_killed_replica_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The other one takes over, and goes on behind what the log has of A."""
    base_a = f"http://127.0.0.1:{free_port()}"
    general = {"access_token": TOKEN, "secret": SECRET}
    config_a = write_config(
        tmp_path / "a.yaml",
        port=int(base_a.rpartition(":")[2]),
        general={"onebot.v11": {**general, "use_http": True}},
        sandbox__demo={"onebot.v11": {"use_ws": True}},
    )
    async with (
        AsyncExitStack() as stack,
        nats_server(tmp_path / "nats") as nats,
        onebus("up", "-c", str(config_a), "--data-dir", str(tmp_path / "a")),
        aiohttp.ClientSession() as http,
    ):

        async def at_b_start(*role: str) -> tuple[Running, str]:
            port = free_port()
            account = at_b("ws", base_a) | {"onebot.v11": {"use_ws": True, "use_http": True}}
            made = {"port": port, "bus": nats.settings, "onebot11__demo": account}
            config = write_config(tmp_path / f"b-{port}.yaml", **made)
            running = await stack.enter_async_context(onebus(*role, "-c", str(config)))
            return running, f"http://127.0.0.1:{port}"

        replicas = [(await at_b_start("connector", "onebot11"))[0] for _ in "12"]
        _, base_ws = await at_b_start("frontend", "ws")
        killed = await owner(replicas)
        account = Account(http, base_ws, "demo", platform="onebot11")
        account.sandbox = f"{base_a}/sandbox/demo"
        bot = await account.ws()
        said: dict[str, list[str]] = {group: [] for group in GROUPS}
        heard: list[str] = []
        async with asyncio.TaskGroup() as group:
            for name in GROUPS:
                group.create_task(says(account, name, said[name]))
            group.create_task(hears(bot, heard, {f"{one}-{SAID - 1}" for one in GROUPS}))
            while len(said[GROUPS[0]]) < AFTER[0]:
                await asyncio.sleep(0.05)
            await killed.kill()
        for name in GROUPS:
            assert [text for text in heard if text.startswith(name)] == said[name]
        await owner([one for one in replicas if one is not killed])
        answer = await bot.call("get_group_list")
        assert {one["group_name"] for one in answer["data"]} == set(GROUPS)
        assert bot.events == []
        await bot.close()
