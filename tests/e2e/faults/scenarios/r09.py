"""R9: ten thousand malformed inputs by each transport, while a healthy bot goes on beside them."""

import asyncio
import base64
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import yaml
from tests.e2e.faults.fuzz_http import UPGRADE, Server, fuzz_http, fuzz_streams
from tests.e2e.faults.fuzz_post import OddBot
from tests.e2e.faults.fuzz_ws import FrameFuzz, RawFrames
from tests.e2e.faults.malformed import Malformed
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import stable_port
from tests.e2e.faults.tally import Tally, p99_ms
from tests.e2e.processes import Account, Running, onebus, write_config

GOAL = (
    "{transport}: {count:,} malformed inputs: 0 crashes, 0 tracebacks, 0 × 500, each the documented"
    " answer, p99 ≤ {limit_ms:.0f} ms; a healthy bot unaffected"
)
TOKEN = "T0ken-of-the-bots"
CHATS = 2
CALM_S = 0.02
LIMIT_MS = 100.0
QUICK_MS = 500.0
"""In the short form other tests run beside it."""
HANDSHAKES_ODD = 0.2
WAIT_S = 900.0
FAULTS = ("Traceback", "fault in", "never awaited", "never retrieved")
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class Healthy:
    """A bot beside the malformed ones: a call and an event every few milliseconds.

    `name`: its predecessor ended in the midst of things, and the last of them may come to this one.
    """

    account: Account
    name: str
    taken_s: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def live(self) -> None:
        """Call, and hear what is said, until cancelled."""
        bot = await self.account.ws()
        number = 0
        while True:
            number += 1
            started_at = time.monotonic()
            answer = await bot.call("send_group_msg", group_id="calm", message=str(number))
            self.taken_s.append(time.monotonic() - started_at)
            if answer["retcode"]:
                self.failed.append(str(answer))
            said = f"{self.name} {number}"
            await self.account.say(said, user="zoe", group="calm")
            heard: str = (await bot.event())["raw_message"]
            while not heard.startswith(self.name):
                heard = (await bot.event())["raw_message"]
            if heard != said:
                self.failed.append(heard)
            await asyncio.sleep(CALM_S)


@dataclass
class Up:
    """A running onebus, and where its two pushed-to accounts find their bots."""

    process: Running
    http: aiohttp.ClientSession
    port: int
    ws_port: int
    post_port: int
    canary: str

    def account(self, name: str) -> Account:
        return Account(self.http, f"http://127.0.0.1:{self.port}", name, token=TOKEN)

    @property
    def server(self) -> Server:
        return Server(self.port, "/sandbox/fuzz/onebot/v11", f"Authorization: Bearer {TOKEN}")


async def run(run: Run) -> list[Row]:
    """Each transport in its turn, against one process of all roles."""
    count = 300 if run.quick else 10_000
    touched: list[str] = []
    rows = []
    async with _canary(touched) as canary, _up(run, canary) as up:
        for transport, fuzz in TRANSPORTS.items():
            healthy = Healthy(up.account("calm"), f"beside {transport}")
            make = Malformed(run.draw(transport).getrandbits(64), canary)
            tally = await _beside(healthy, fuzz(up, make, count))
            rows.append(_row(run, up, healthy, (transport, count, tally)))
    assert not touched, f"somebody went to {touched}"
    return rows


async def _beside(healthy: Healthy, fuzzing: Awaitable[Tally]) -> Tally:
    async with asyncio.TaskGroup() as group:
        living = group.create_task(healthy.live())
        async with asyncio.timeout(WAIT_S):
            tally = await fuzzing
        living.cancel()
    return tally


def _row(run: Run, up: Up, healthy: Healthy, measured: tuple[str, int, Tally]) -> Row:
    transport, count, tally = measured
    alive = up.process.process.returncode is None
    faults = [line for line in up.process.lines if any(mark in line for mark in FAULTS)]
    calm_ms = p99_ms(healthy.taken_s)
    text = (
        f"{tally}; process {'alive' if alive else 'GONE'}, {len(faults)} tracebacks; the healthy"
        f" bot: {len(healthy.taken_s)} calls, p99 {calm_ms:.0f} ms, {len(healthy.failed)} failed"
    )
    for line in (*tally.wrong, *faults[:3], *healthy.failed[:3]):
        run.say(f"R9 {transport}: {line}")
    limit_ms = QUICK_MS if run.quick else LIMIT_MS
    calm = not healthy.failed and calm_ms <= limit_ms
    goal = GOAL.format(transport=transport, count=count, limit_ms=limit_ms)
    return run.row(goal, text, tally.good(limit_ms) and alive and not faults and calm)


async def _http(up: Up, make: Malformed, count: int) -> Tally:
    return await fuzz_http(up.server, make, count)


async def _streams(up: Up, make: Malformed, count: int) -> Tally:
    return await fuzz_streams(up.server, make, count)


async def _forward(up: Up, make: Malformed, count: int) -> Tally:
    fuzz = FrameFuzz(make)
    request = "\r\n".join(
        (
            f"GET {up.server.base}/api HTTP/1.1",
            f"Host: localhost:{up.port}",
            up.server.bearer,
            *UPGRADE,
        )
    )
    while fuzz.tally.outcomes.total() < count:
        reader, writer = await asyncio.open_connection("127.0.0.1", up.port)
        writer.write(f"{request}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        frames = RawFrames(reader, writer, mask=True)
        await fuzz.until_closed(frames, count)
        frames.close()
    return fuzz.tally


async def _reverse(up: Up, make: Malformed, count: int) -> Tally:
    """We are the bot: some handshakes are odd already, and behind the others come odd frames."""
    fuzz = FrameFuzz(make)
    done = asyncio.Event()

    async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if make.draw.random() < HANDSHAKES_ODD:
                writer.write(_odd_handshake(make, head))
                await writer.drain()
            elif "X-Client-Role: API" in head:
                writer.write(_accept(head))
                await fuzz.until_closed(RawFrames(reader, writer, mask=False), count)
        writer.close()
        if fuzz.tally.outcomes.total() >= count:
            done.set()

    async with await asyncio.start_server(bot, "127.0.0.1", up.ws_port, reuse_address=True):
        await done.wait()
    return fuzz.tally


def _accept(head: str) -> bytes:
    key = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0].encode()
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )


def _odd_handshake(make: Malformed, head: str) -> bytes:
    proper = _accept(head)
    return make.draw.choice(
        (
            b"",
            make.noise(),
            proper.replace(b"101", b"200"),
            proper.replace(b"websocket", b"h2c"),
            proper.replace(b"Accept: ", b"Accept: x"),
            proper.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-bzip\r\n\r\n"),
            b"HTTP/1.1 302 Found\r\nLocation: http://%b/\r\n\r\n" % make.payload().encode()[:50],
            b"HTTP/1.1 500 Oops\r\nContent-Length: 99\r\n\r\n",
        )
    )


async def _post(up: Up, make: Malformed, count: int) -> Tally:
    """All is said before the bot is there; then it answers as fast as it is posted to."""
    account = up.account("posted")

    async def speak(chat: int) -> None:
        group = f"g{chat}" if chat % 2 else None
        for number in range(count // CHATS + 1):
            await account.say(f"{number}", user=f"u{chat}", group=group)

    await asyncio.gather(*(speak(chat) for chat in range(CHATS)))
    bot = OddBot(make)
    async with await asyncio.start_server(bot.serve, "127.0.0.1", up.post_port, reuse_address=True):
        while bot.tally.outcomes.total() < count // CHATS * CHATS:
            await asyncio.sleep(0.05)
    return bot.tally


TRANSPORTS: dict[str, Callable[[Up, Malformed, int], Awaitable[Tally]]] = {
    "HTTP": _http,
    "streams and upgrades": _streams,
    "forward WS": _forward,
    "reverse WS": _reverse,
    "HTTP POST": _post,
}


@asynccontextmanager
async def _canary(touched: list[str]) -> AsyncIterator[str]:
    """An address that many payloads name, and that nobody may go to."""

    async def on_touch(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        touched.append("the canary")
        writer.close()

    async with await asyncio.start_server(on_touch, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def _up(run: Run, canary: str) -> AsyncIterator[Up]:
    ws_port, post_port = stable_port(), stable_port()
    to_bot = f"ws://127.0.0.1:{ws_port}"
    reverse: dict[str, Any] = {
        "use_ws_reverse": True,
        "ws_reverse_api_url": f"{to_bot}/api",
        "ws_reverse_event_url": f"{to_bot}/event",
        "ws_reverse_reconnect_interval": 20,
    }
    posted = {
        "http_reverse": [f"http://127.0.0.1:{post_port}/"],
        "replay_window": 3_600_000,
        "post_timeout": 1000,
    }
    config = write_config(
        run.folder / "config.yaml",
        log_level="info",
        general={"onebot.v11": {"use_ws": True, "access_token": TOKEN}},
        sandbox__fuzz={},
        sandbox__calm={},
        sandbox__reverse={"onebot.v11": reverse},
        sandbox__posted={"onebot.v11": posted},
    )
    config.chmod(0o600)
    data = run.folder / "data"
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(data)) as process,
        aiohttp.ClientSession() as http,
    ):
        await process.says("the log keeps")
        port = int(yaml.safe_load(config.read_text())["port"])
        up = Up(process, http, port, ws_port, post_port, canary)
        for name in ("fuzz", "calm", "reverse", "posted"):
            await up.account(name).online()
        await up.account("fuzz").say("hello", user="mallory", group="fuzz")
        yield up


SCENARIOS = [Scenario("R9", run)]
