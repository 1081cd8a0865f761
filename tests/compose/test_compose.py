"""`docker compose up` as the pages have it: first steps, a real bot each way, backup, the end.

`make compose-test` runs this folder, with an engine and stand-in images where there are none.
"""

import asyncio
import base64
import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import pytest
import yaml
from msgspec.structs import replace
from tests.compose.page import commands, run
from tests.compose.stack import CONFIG, ROOT, UP_S, Stack, bridge_address, docker, running
from tests.e2e.faults.stage import stable_port
from tests.e2e.processes import Account, spawn

pytestmark = [pytest.mark.compose, pytest.mark.timeout(300)]

PORT = 6727
"""As it is without any variable; what listens there already must be stopped."""
BOTS = Path(__file__).parents[1] / "e2e" / "bots"
IMAGE_BYTES = 160e6
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
LARGE = bytes(range(256)) * 4_000
NATS_AWAY = 10008
NOT_FOUND = 10002

Runs: TypeAlias = Callable[[str], str]


@pytest.fixture(scope="module")
def stack(image: str) -> Iterator[Stack]:
    """All services without a profile, as they are shipped."""
    assert image
    with running(Stack("onebus-test", PORT, {})) as started:
        yield started


@asynccontextmanager
async def account_of(stack: Stack) -> AsyncIterator[Account]:
    """The account of the shipped configuration, through the gateway."""
    async with aiohttp.ClientSession() as http:
        yield Account(http, stack.base)


@asynccontextmanager
async def a_bot(program: str, **environment: str) -> AsyncIterator[None]:
    """A nonebot2 bot on this machine, connected."""
    running = await spawn(program, sys.executable, str(BOTS / program), env=environment)
    try:
        await running.says("connected")
        yield
    finally:
        await running.kill()


async def answers(account: Account, user: str) -> None:
    """Somebody says something in the sandbox, and the bot says it back."""
    await account.say("Hello bot", user=user)
    said = await account.wait_for_messages(2, user=user)
    texts = ["".join(p["data"].get("text", "") for p in m["message"]) for m in said]
    assert [m["from_bot"] for m in said] == [False, True], said
    assert texts == ["Hello bot", "private: Hello bot"]


def test_the_image_is_small_and_says_how_it_does(image: str) -> None:
    (found,) = json.loads(docker("image", "inspect", image))
    assert found["Size"] <= IMAGE_BYTES, f"{found['Size'] / 1e6:.0f} MB"
    assert found["Config"]["User"] == "10001:10001"
    assert found["Config"]["Healthcheck"]["Test"][-1].endswith("healthy.py")


def test_the_first_steps_of_the_readme(stack: Stack) -> None:
    """Immediately after `up`: nothing is waited for."""
    lines = commands("README.md", "Try it with curl", "curl ")
    sent, seen, told = [json.loads(run(line)) for line in lines]
    assert (sent["status"], sent["retcode"]) == ("ok", 0), sent
    assert isinstance(sent["data"]["message_id"], int)
    (message,) = seen["messages"]
    assert message["from_bot"]
    assert message["message"][0]["data"]["text"] == "Hello"
    assert told["message_id"]


async def test_a_bot_by_forward_websocket_answers(stack: Stack) -> None:
    url = f"ws://127.0.0.1:{PORT}/sandbox/demo/onebot/v11"
    async with a_bot("nonebot_echo.py", ONEBOT_WS_URL=url), account_of(stack) as account:
        await answers(account, "bob")


async def test_files_pass_both_ways(stack: Stack) -> None:
    """A bot reads what a person sent at the address that it got, and a person what a bot sent."""
    async with account_of(stack) as account:
        bot = await account.ws()
        url = f"{account.sandbox}/api/files?name=large.bin"
        async with account.http.post(url, data=LARGE) as answer:
            file = (await answer.json())["file"]
        await account.say([{"type": "file", "data": {"file": file}}], user="eve")
        event = await bot.event()
        await bot.close()
        found = re.search(r"url=([^,\]]+)", event["raw_message"])
        assert found, event
        async with account.http.get(found[1].replace("&amp;", "&")) as answer:
            assert await answer.read() == LARGE
        picture = {"type": "image", "data": {"file": f"base64://{PNG}"}}
        await account.ok("send_private_msg", user_id="eve", message=[picture])
        sent = (await account.messages(user="eve"))[-1]["message"][0]["data"]["url"]
        async with account.http.get(f"{account.sandbox}/{sent}") as answer:
            assert await answer.read() == base64.b64decode(PNG)


async def test_messages_outlive_the_containers_and_a_bot_by_reverse_websocket_answers(
    stack: Stack, tmp_path: Path
) -> None:
    async with account_of(stack) as account:
        sent = await account.ok("send_private_msg", user_id="carol", message="Still here?")
    stack.down()
    port, host = stable_port(), bridge_address()
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    bot = f"ws://host.docker.internal:{port}/onebot/v11/ws"
    config["sandbox.demo"]["onebot.v11"] = {"ws_reverse": [bot]}
    own = tmp_path / "config.yaml"
    own.write_text(yaml.safe_dump(config))
    took_s = replace(stack, environment={"ONEBUS_CONFIG": str(own)}).start()
    assert took_s <= UP_S
    async with account_of(stack) as account:
        got = await account.ok("get_msg", message_id=sent["message_id"])
        assert got["message"] == "Still here?"
        async with a_bot("nonebot_server.py", HOST=host, PORT=str(port)):
            await answers(account, "dora")


async def test_what_is_wrong_is_said_by_who_knows_it(stack: Stack) -> None:
    async with account_of(stack) as account, account.http.get(f"{stack.base}/metrics") as answer:
        assert answer.status == 404
        assert "Server" not in answer.headers
        assert (await answer.json())["error"] == "nothing here"
        foreign = {"Host": "bots.example.org"}
        where = f"{account.base}/onebot/v11/get_status"
        async with account.http.get(where, headers=foreign) as refused:
            assert refused.status == 421, await refused.text()
        nobody = f"{stack.base}/wechat/my_mp/webhook"
        async with account.http.get(nobody) as missing:
            assert (missing.status, missing.headers["Retry-After"]) == (503, "2")
            assert "error" in await missing.json()


@pytest.mark.parametrize(
    "path",
    [
        "/sandbox/../metrics",
        "/sandbox/demo/%2e%2e/%2e%2e/metrics",
        "//metrics",
        "/sandbox//../../metrics",
        "/%6detrics",
        "/sandbox/demo/onebot/v11/../../../../metrics",
        "/metrics/",
    ],
)
def test_metrics_are_for_those_within(stack: Stack, path: str) -> None:
    answer = run(f"curl --path-as-is --silent --include {stack.base}{path}")
    assert answer.startswith("HTTP/1.1 404"), answer
    assert "onebus_" not in answer


def test_the_operator_reads_dead_letters(stack: Stack) -> None:
    assert "no dead letters" in stack.compose("run", "--rm", "-T", "operator")


async def test_while_nats_is_away_onebus_itself_answers(stack: Stack) -> None:
    await stack.later("stop", "nats")
    async with account_of(stack) as account:
        answer = await account.call("send_private_msg", user_id="alice", message="Hello?")
        assert answer["retcode"] == NATS_AWAY, answer
        assert await becomes(account.http, f"{stack.base}/readyz", 503)
        async with account.http.get(f"{stack.base}/healthz") as alive:
            assert alive.status == 200
        await stack.later("start", "nats")
        await account.online()


async def becomes(http: aiohttp.ClientSession, url: str, status: int) -> bool:
    """Wait until an address answers with this status."""
    async with asyncio.timeout(15):
        while True:
            async with http.get(url) as answer:
                if answer.status == status:
                    return True
            await asyncio.sleep(0.1)


@asynccontextmanager
async def online(stack: Stack) -> AsyncIterator[Account]:
    """The account, once it is served."""
    async with account_of(stack) as account:
        await account.online()
        yield account


async def says(account: Account, text: str) -> int:
    """The bot writes to a person; the message's number."""
    sent = await account.ok("send_private_msg", user_id="alice", message=text)
    return int(sent["message_id"])


async def reads(account: Account, number: int) -> str:
    """The text of a message by its number; empty if there is none."""
    answer = await account.call("get_msg", message_id=number)
    if answer["retcode"] == NOT_FOUND:
        return ""
    assert answer["retcode"] == 0, answer
    return str(answer["data"]["message"])


def as_the_page_has_it(stack: Stack, folder: Path) -> tuple[Sequence[str], Sequence[str], Runs]:
    """The lines that back up and those that restore, and what runs one."""
    lines = commands("docs/deployment.md", "Backup and restore", "docker compose ")
    assert len(lines) == 7, lines
    where = {
        **stack.variables,
        "COMPOSE_PROJECT_NAME": stack.project,
        "COMPOSE_FILE": str(ROOT / "docker-compose.yml"),
    }
    return lines[:3], lines[3:], partial(run, environment=where, folder=folder)


async def test_what_was_backed_up_is_there_again(stack: Stack, tmp_path: Path) -> None:
    backup, (stop, unpack, new_log, up), runs = as_the_page_has_it(stack, tmp_path)
    async with online(stack) as account:
        before = await says(account, "before")
        for line in backup:
            runs(line)
        await account.online()
        after = [await says(account, f"after {n}") for n in range(3)]

    for line in (stop, unpack, up):
        runs(line)
    async with online(stack) as account:
        assert await reads(account, before) == "before"
        assert [await reads(account, number) for number in after] == ["", "", ""]
        again = await says(account, "another one")
        assert again == after[0], "the page warns of numbers that are given out again"

    for line in (stop, unpack, new_log, up):
        runs(line)
    async with online(stack) as account:
        assert [await reads(account, number) for number in (before, *after)] == ["", "", "", ""]
        fresh = await says(account, "in a new log")
        assert fresh > max(before, *after)
        assert await reads(account, fresh) == "in a new log"


def test_services_stop_when_they_are_asked_to(stack: Stack) -> None:
    stack.compose("stop")
    codes = {service["Service"]: service["ExitCode"] for service in stack.services()}
    assert set(codes.values()) == {0}, codes
