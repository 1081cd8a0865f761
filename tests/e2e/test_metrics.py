"""What `/metrics` and the probes of real processes say, after events and calls of every kind."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from tests.e2e.nats_server import nats_server
from tests.e2e.processes import Account, free_port, onebus, write_config
from tests.e2e.receivers import Posted, receiver

CANARY = "canary-in-a-query"
LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


async def scrape(http: aiohttp.ClientSession, base: str) -> dict[str, float]:
    """`name{labels}` without the prefix → value."""
    async with http.get(f"{base}/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await response.text()
    assert CANARY not in text
    found = (LINE.match(line) for line in text.splitlines())
    return {m[0].rpartition(" ")[0].removeprefix("onebus_"): float(m[3]) for m in found if m}


async def until(
    http: aiohttp.ClientSession, base: str, name: str, least: float, timeout_s: float = 30
) -> dict[str, float]:
    async with asyncio.timeout(timeout_s):
        while (values := await scrape(http, base)).get(name, 0) < least:
            await asyncio.sleep(0.1)
    return values


@asynccontextmanager
async def up(folder: Path, **onebot: object) -> AsyncIterator[tuple[Account, str]]:
    config = write_config(folder / "config.yaml", sandbox__demo={"onebot.v11": onebot})
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        line = await process.says("HTTP  ")
        base = line.split()[1].partition("/sandbox/")[0]
        account = Account(http, base)
        await account.online()
        yield account, base


def way(transport: str, target: str = "") -> str:
    return f'{{account="sandbox.demo",target="{target}",transport="{transport}"}}'


async def test_events_and_calls_are_counted(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    ws, post = f"ws://127.0.0.1:{ports[0]}/ws", f"http://127.0.0.1:{ports[1]}/"
    block = {
        "use_ws": True,
        "ws_reverse": [{"url": f"{ws}?token={CANARY}", "reconnect_interval": 100}],
        "http_reverse": [post],
        "replay_window": 600_000,
    }

    async def fails_on_fatal(posted: Posted) -> web.Response:
        return web.Response(status=500 if posted.event.get("raw_message") == "fatal" else 204)

    async with up(tmp_path, **block) as (account, base):
        http = account.http
        async with receiver(ports[0]) as socket_bot, receiver(ports[1]) as post_bot:
            post_bot.respond = fails_on_fatal
            socket = await socket_bot.socket()
            bot, stream = await account.ws(), asyncio.ensure_future(_first(account))
            await until(http, base, 'sockets{transport="sse"}', 1)
            for text in ("hello", "fatal"):
                await account.say(text)
                assert (await socket.event())["raw_message"] == text
                assert (await bot.event())["raw_message"] == text
            await stream
            dead = f"dead_letters_total{way('http-post', post)}"
            values = await until(http, base, dead, 1)
            assert values[f"events_sent_total{way('ws-reverse', ws)}"] == 2
            assert values[f"events_sent_total{way('ws')}"] == 2
            assert values[f"events_sent_total{way('sse')}"] >= 1
            assert values[f"target_up{way('ws-reverse', ws)}"] == 1
            assert values[f"target_connects_total{way('ws-reverse', ws)}"] == 1
            assert values['events_appended_total{account="sandbox.demo"}'] == 2
            assert values['event_latency_seconds_count{transport="ws"}'] == 2
            assert values['event_latency_seconds_sum{transport="ws"}'] < 5
            assert values['sockets{transport="ws"}'] == 1
            await account.call("get_login_info")
            await account.call("send_private_msg_async", user_id="alice", message="x")
            await account.call("send_private_msg", user_id="nobody here", message="")
            await bot.call("made up " + "x" * 50)
            values = await scrape(http, base)
            assert values['actions_total{action="get_login_info",retcode="0"}'] == 1
            assert values['actions_total{action="send_private_msg",retcode="1"}'] == 1
            assert values['actions_total{action="unknown",retcode="1404"}'] == 1
            assert not [name for name in values if "made up" in name]
            assert values['action_seconds_count{action="get_login_info"}'] == 1
        # Both bots are away now.
        await account.say("missed")
        values = await until(http, base, f"target_lag_events{way('ws-reverse', ws)}", 1)
        assert values[f"target_lag_seconds{way('ws-reverse', ws)}"] > 0
        assert values[f"target_up{way('ws-reverse', ws)}"] == 0
        async with receiver(ports[0]) as socket_bot:
            socket = await socket_bot.socket()
            assert (await socket.event())["raw_message"] == "missed"
            await socket.call("get_status")
        assert (await scrape(http, base))[f"target_connects_total{way('ws-reverse', ws)}"] >= 2


async def _first(account: Account) -> bytes:
    """Read a stream up to the first event behind its lifecycle event."""
    async with account.http.get(f"{account.base}/onebot/v11/events") as response:
        async for line in response.content:
            if line.startswith(b"id: "):
                return line
    raise AssertionError("the stream ended")


async def test_what_was_too_old_is_counted_as_skipped(tmp_path: Path) -> None:
    port = free_port()
    url = f"ws://127.0.0.1:{port}/"
    block = {"ws_reverse": [{"url": url, "reconnect_interval": 100}], "replay_window": 1000}
    async with up(tmp_path, **block) as (account, base):
        async with receiver(port) as there:
            socket = await there.socket()
            await account.say("first")
            await socket.event()
            await socket.call("get_status")
        for text in ("old", "older"):
            await account.say(text)
        await asyncio.sleep(1.2)  # the length of the window, not a wait for something
        async with receiver(port) as there:
            await there.socket()
            name = f"events_skipped_total{way('ws-reverse', url)}"
            assert (await until(account.http, base, name, 2))[name] == 2


async def test_every_role_has_probes_that_follow_nats(tmp_path: Path) -> None:
    commands = [
        ("connector", "sandbox"),
        *(("frontend", name) for name in ("http", "ws", "ws-reverse", "http-post")),
    ]
    async with nats_server(tmp_path / "nats") as nats, aiohttp.ClientSession() as http:
        config = write_config(tmp_path / "config.yaml", port=0, bus=nats.settings)
        for command in commands:
            async with onebus(*command, "-c", str(config)) as role:
                line = await role.says("listening on")
                base = f"http://127.0.0.1:{line.rpartition(':')[2]}"
                await _ready(http, base, 200)
                await nats.kill()
                await _ready(http, base, 503)
                async with http.get(f"{base}/healthz", headers={"Host": "10.0.0.7"}) as alive:
                    assert alive.status == 200
                assert (await scrape(http, base))["nats_connected"] == 0
                await nats.start()
                await _ready(http, base, 200)
                values = await scrape(http, base)
                assert values["nats_connected"] == 1
                assert values["nats_connects_total"] == 2
                assert values["process_open_fds"] > 3


async def _ready(http: aiohttp.ClientSession, base: str, status: int) -> None:
    async with asyncio.timeout(20):
        while True:
            async with http.get(f"{base}/readyz") as response:
                if response.status == status:
                    return
            await asyncio.sleep(0.05)
