"""Two installations in a row: sandbox → onebus A → the onebot11 connector of onebus B → nonebot2.

What happens on the sandbox reaches the bot as what it is, and what the bot asks for is done there,
as if there were no B between them. Both know users, groups and the account by the same numbers;
messages have numbers of their own at each.
"""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.clients.calls import STANDARD
from tests.e2e.clients.launch import NONEBOT, SECRET, TOKEN, Client, settings_of, start
from tests.e2e.clients.plays import calls_all, check_effects, plays_all, restarts
from tests.e2e.clients.stage import Stage
from tests.e2e.processes import Account, Running, free_port, onebus, write_config

pytestmark = pytest.mark.asyncio(loop_scope="module")

UPSTREAM_TOKEN = "upstream-token-canary"
UPSTREAM_SECRET = "upstream-secret-canary"
BACK_S = 15
OFFLINE = 10009


class Chain(SimpleNamespace):
    """Both installations; a bot's account has the same name at each."""

    a: Running
    b: Running
    base_a: str
    base_b: str
    http: aiohttp.ClientSession
    ports: dict[str, int]

    def account(self, name: str) -> Account:
        """At B, with the sandbox at A."""
        account = Account(self.http, self.base_b, name, platform="onebot11", token=TOKEN)
        account.sandbox = f"{self.base_a}/sandbox/{name}"
        return account


def at_a(name: str, base_b: str) -> dict[str, Any]:
    """How A offers an account to B: by the transport that its bot uses at B."""
    there = f"{base_b.removeprefix('http')}/onebot11/{name}"
    reverse = {"use_ws_reverse": True, "ws_reverse_reconnect_interval": 200}
    blocks: dict[str, dict[str, Any]] = {
        "nonebot_forward": {"use_ws": True},
        "nonebot_reverse": {**reverse, "ws_reverse_url": f"ws{there}/ws"},
        "nonebot_http": {"http_reverse": [f"http{there}/webhook"]},
    }
    return blocks[name]


def at_b(name: str, base_a: str) -> dict[str, Any]:
    """How B reaches it."""
    there = f"{base_a.removeprefix('http')}/sandbox/{name}/onebot/v11"
    return {
        "nonebot_forward": {"url": f"ws{there}"},
        "nonebot_reverse": {},
        "nonebot_http": {"url": f"http{there}", "secret": UPSTREAM_SECRET},
    }[name] | {"access_token": UPSTREAM_TOKEN}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chain]:
    folder = tmp_path_factory.mktemp("chain")
    ports = {name: free_port() for name in NONEBOT}
    base_a, base_b = (f"http://127.0.0.1:{free_port()}" for _ in "ab")
    general: dict[str, Any] = {"access_token": UPSTREAM_TOKEN, "secret": UPSTREAM_SECRET}
    config_a = write_config(
        folder / "a.yaml",
        port=int(base_a.rpartition(":")[2]),
        general={"onebot.v11": general | {"use_http": True, "report_self_message": True}},
        **{"sandbox.demo": {}},
        **{f"sandbox__{name}": {"onebot.v11": at_a(name, base_b)} for name in NONEBOT},
    )
    beats = {"enable_heartbeat": True, "heartbeat_interval": 500}
    offers = {"onebot.v11": {"access_token": TOKEN, "secret": SECRET, **beats}}
    config_b = write_config(
        folder / "b.yaml",
        port=int(base_b.rpartition(":")[2]),
        general=offers,
        **{
            f"onebot11__{n}": at_b(n, base_a) | {"onebot.v11": settings_of(n, ports[n])}
            for n in NONEBOT
        },
    )
    async with (
        onebus("up", "-c", str(config_a), "--data-dir", str(folder / "a")) as a,
        onebus("up", "-c", str(config_b), "--data-dir", str(folder / "b")) as b,
        aiohttp.ClientSession() as http,
    ):
        there = Chain(a=a, b=b, base_a=base_a, base_b=base_b, http=http, ports=ports)
        for name in NONEBOT:
            await there.account(name).online()
        yield there
    for process in (a, b):
        assert "Traceback" not in process.output
        for secret in (TOKEN, SECRET, UPSTREAM_TOKEN, UPSTREAM_SECRET):
            assert secret not in process.output


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(request: pytest.FixtureRequest, chain: Chain) -> AsyncIterator[Stage]:
    """A nonebot2 at B, connected."""
    name: str = request.param
    account = chain.account(name)
    self_id = (await account.ok("get_login_info"))["user_id"]
    running = await start(Client(name, chain.base_b, self_id, chain.ports[name], "onebot11"))
    try:
        await running.says("heartbeat")
        yield Stage(account, name, running)
        assert "Traceback" not in running.output
    finally:
        await running.kill()


@pytest.mark.parametrize("client", NONEBOT, indirect=True)
async def test_everything_that_happens_comes_through(client: Stage) -> None:
    await plays_all(client, lambda happening: happening.nonebot)
    kinds = {line["event"] for line in client.told if "event" in line}
    assert not kinds & {"Event", "MessageEvent", "RequestEvent", "MetaEvent"}


@pytest.mark.parametrize("client", NONEBOT, indirect=True)
async def test_everything_that_is_asked_for_is_done(client: Stage, chain: Chain) -> None:
    await calls_all(client, *STANDARD)
    await restarts(client, chain.a)
    await check_effects(client)


@pytest.mark.parametrize("client", ["nonebot_forward", "nonebot_reverse"], indirect=True)
async def test_quotes_are_of_the_right_message_both_ways(client: Stage) -> None:
    after = len(client.running.lines)
    earlier = await client.account.say("earlier", user="bob", group="quay")
    quoted = (await client.hears("event", "GroupMessageEvent", after))["data"]
    message = [
        {"type": "reply", "data": {"message_id": earlier}},
        {"type": "mention", "data": {"user": client.name}},
        {"type": "text", "data": {"text": " what?"}},
    ]
    after = len(client.running.lines)
    await client.account.say(message, user="ann", group="quay")
    data = (await client.hears("event", "GroupMessageEvent", after))["data"]
    assert data["to_me"] is True
    assert data["reply"]["message_id"] == quoted["message_id"]
    group = await client.numbered({"group_id": "#quay"})
    reply = f"[CQ:reply,id={quoted['message_id']}]this"
    sent = await client.account.ok("send_group_msg", **group, message=reply)
    shown = (await client.account.wait_for_messages(3, group="quay"))[-1]
    assert shown["message"][0] == {"type": "reply", "data": {"message_id": earlier}}
    assert (await client.account.ok("get_msg", **sent))["raw_message"] == reply
    await client.account.ok("delete_msg", **sent)
    assert (await client.account.ok("get_msg", **sent))["recalled"] is True


@pytest.mark.parametrize("client", NONEBOT, indirect=True)
async def test_what_nobody_knows_is_asked_of_the_last_in_the_row(client: Stage) -> None:
    """A says that it has no such action, and B hands that through."""
    async with asyncio.timeout(BACK_S):
        while True:  # what an earlier test has restarted is away for a moment
            answer = await client.account.call("get_group_root_files", group_id=1)
            if answer["retcode"] != OFFLINE:
                break
            await asyncio.sleep(0.1)
    assert (answer["status"], answer["retcode"]) == ("failed", 1404)
    assert "get_group_root_files" in answer["message"] or client.name == "nonebot_http"
