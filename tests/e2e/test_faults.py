"""NATS and onebus killed under load: nothing acknowledged is lost or repeated, all come back."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from tests.e2e.nats_server import NatsServer, nats_server
from tests.e2e.processes import BIN as BIN_DIR
from tests.e2e.processes import Account, Bot, onebus, spawn, write_config

MESSAGES = 120
PACE_S = 0.05
OLD = 500


async def trickle(account: Account, group: str, said: list[str]) -> None:
    """Numbered messages, one after the other; a refused one is said again until it is taken."""
    for number in range(MESSAGES):
        text = f"{group} {number}"
        body = {"user": "alice", "group": group, "message": text}
        while True:
            try:
                async with account.http.post(f"{account.sandbox}/api/messages", json=body) as r:
                    if r.status == 200:
                        break
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(PACE_S)
        said.append(text)
        await asyncio.sleep(PACE_S)


async def collect(bot: Bot, count: int) -> list[str]:
    return [(await bot.event(timeout_s=30))["raw_message"] for _ in range(count)]


@asynccontextmanager
async def everything(folder: Path) -> AsyncIterator[tuple[NatsServer, Account]]:
    """An external NATS, the sandbox, and both frontends in one process more."""
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server(folder / "nats"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        bases = []
        for name, arguments in {
            "sandbox": ("connector", "sandbox"),
            "frontends": ("frontend", "http", "ws"),
        }.items():
            config = write_config(folder / f"{name}.yaml", bus=nats.settings)
            role = await stack.enter_async_context(onebus(*arguments, "-c", str(config)))
            line = await role.says("listening on")
            bases.append(f"http://127.0.0.1:{line.rpartition(':')[2]}")
        account = Account(http, bases[1], sandbox_base=bases[0])
        await account.online()
        yield nats, account


async def test_nats_killed_under_a_trickle_of_messages(tmp_path: Path) -> None:
    async with everything(tmp_path) as (nats, account):
        for number in range(OLD):
            await account.say(f"old {number}", user="zoe", group="old")
        idle, bot = await account.ws("/event"), await account.ws()
        said: list[str] = []
        async with asyncio.TaskGroup() as group:
            speaking = group.create_task(trickle(account, "load", said))
            while len(said) < MESSAGES // 3:
                await asyncio.sleep(PACE_S)
            await nats.kill()
            await _refused_within_a_second(account, bot)
            await nats.start()
            ready = time.monotonic()
            before = len(said)
            while len(said) == before:
                await asyncio.sleep(0.01)
            back_s = time.monotonic() - ready
            await speaking
        got = await collect(bot, MESSAGES)
        print(f"first message logged {back_s:.2f} s after NATS was ready")
        assert got == said == [f"load {number}" for number in range(MESSAGES)]
        assert back_s <= 2
        # The idle bot got the same live events, in the same order, and none of the 500 old ones.
        assert await collect(idle, MESSAGES) == said
        shown = await account.messages(group="load", limit="1000")
        assert [m["message"][0]["data"]["text"] for m in shown] == said
        assert not bot.ws.closed
        assert not idle.ws.closed
        await account.ok("send_private_msg", user_id="alice", message="we are back")


async def _refused_within_a_second(account: Account, bot: Bot) -> None:
    """An action at a frontend without NATS: one answer, quickly, with a documented retcode."""
    for ask in (account.call, bot.call):
        started = time.monotonic()
        answer = await ask("send_private_msg", user_id="alice", message="anybody?")
        assert time.monotonic() - started < 1
        assert answer["status"] == "failed"
        assert answer["retcode"] in (10008, 10010), answer
    status = await account.ok("get_status")
    assert status == {"online": False, "good": False}


async def test_the_first_event_after_an_outage_reaches_an_idle_bot_in_time(tmp_path: Path) -> None:
    async with everything(tmp_path) as (nats, account):
        for number in range(OLD):
            await account.say(f"old {number}", user="zoe", group="old")
        bot = await account.ws("/event")
        assert (await bot.frame())["meta_event_type"] == "lifecycle"
        await nats.kill()
        await asyncio.sleep(1.5)  # the length of the outage, not a wait for something
        await nats.start()
        ready = time.monotonic()
        while True:
            body = {"user": "alice", "message": "first"}
            async with account.http.post(f"{account.sandbox}/api/messages", json=body) as answer:
                if answer.status == 200:
                    break
        event = await bot.event()
        took_s = time.monotonic() - ready
        print(f"first event {took_s:.2f} s after NATS was ready")
        assert event["raw_message"] == "first"
        assert took_s <= 2


async def test_the_embedded_server_is_started_again_when_it_dies(tmp_path: Path) -> None:
    config, data = write_config(tmp_path / "config.yaml"), tmp_path / "data"
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(data)) as up,
        aiohttp.ClientSession() as http,
    ):
        account = await _online(up_line := await up.says("HTTP  "), http)
        assert up_line
        await account.say("before", user="alice")
        os.kill(int((data / "nats.pid").read_text()), signal.SIGKILL)
        await up.says("starting it again")
        await up.says("connected to NATS", after=len(up.lines) - 1)
        await account.online()
        await account.ok("send_private_msg", user_id="alice", message="after")
        texts = [m["message"][0]["data"]["text"] for m in await account.messages(user="alice")]
        assert texts == ["before", "after"]


async def test_onebus_killed_leaves_no_orphan_and_loses_nothing(tmp_path: Path) -> None:
    config, data = write_config(tmp_path / "config.yaml"), tmp_path / "data"
    command = (str(BIN_DIR / "onebus"), "up", "-c", str(config), "--data-dir", str(data))
    async with aiohttp.ClientSession() as http:
        up = await spawn("up", *command)
        account = await _online(await up.says("HTTP  "), http)
        native = await account.say("kept", user="alice")
        sent = await account.ok("send_private_msg", user_id="alice", message="kept too")
        server = int((data / "nats.pid").read_text())
        await up.kill()
        async with asyncio.timeout(5):
            while _alive(server):
                await asyncio.sleep(0.05)
        started = time.monotonic()
        async with onebus(*command[1:]) as again:
            await again.says("HTTP  ")
            await account.online(timeout_s=15)
            print(f"back after {time.monotonic() - started:.2f} s")
            shown = await account.messages(user="alice")
            assert shown[0]["message_id"] == native
            read = await account.ok("get_msg", message_id=sent["message_id"])
            assert read["raw_message"] == "kept too"
            later = await account.ok("send_private_msg", user_id="alice", message="new")
            assert later["message_id"] > sent["message_id"]


async def test_ctrl_c_and_sigterm_end_everything_in_order(tmp_path: Path) -> None:
    config, data = write_config(tmp_path / "config.yaml"), tmp_path / "data"
    for number in (signal.SIGINT, signal.SIGTERM):
        async with (
            onebus("up", "-c", str(config), "--data-dir", str(data)) as up,
            aiohttp.ClientSession() as http,
        ):
            account = await _online(await up.says("HTTP  "), http)
            bot = await account.ws()
            server = int((data / "nats.pid").read_text())
            async with asyncio.TaskGroup() as group:
                closing = group.create_task(_close_code(bot))
                up.signal(number)
                assert await up.ended() == 0
            assert not _alive(server)
            assert "Traceback" not in up.output
            assert closing.result() == aiohttp.WSCloseCode.GOING_AWAY


async def _online(line: str, http: aiohttp.ClientSession) -> Account:
    account = Account(http, line.split()[1].partition("/sandbox/")[0])
    await account.online()
    return account


async def _close_code(bot: Bot) -> int | None:
    async for _ in bot.ws:
        pass
    return bot.ws.close_code


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
