"""Bots that come to us resume behind the last event that they had, and disturb nobody."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.processes import Running, onebus, write_config
from tests.e2e.raw import raw_socket
from tests.e2e.stack import Up, stack

from onebus.bus import Bus
from onebus.event import Chat, MessageReceived, User
from onebus.ids import Account, AccountId, ChatId, MessageId, Platform, UserId
from onebus.log import Log
from onebus.segment import Text

NAMES = ("demo", "streamed", "other", "busy", "gone")
WAIT_S = 20.0
pytestmark = pytest.mark.asyncio(loop_scope="module")


class There(Protocol):
    """One connection of a bot: its lifecycle event, then what it gets."""

    async def event(self) -> dict[str, Any]: ...


class OverWs:
    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws

    async def event(self) -> dict[str, Any]:
        event: dict[str, Any] = await self._ws.receive_json(timeout=WAIT_S)
        return event


class OverSse:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def event(self) -> dict[str, Any]:
        """`id` is that of the event."""
        event_id = ""
        async with asyncio.timeout(WAIT_S):
            async for line in self._response.content:
                key, _, value = line.decode().rstrip("\n").partition(": ")
                if key == "id":
                    event_id = value
                if key == "data":
                    event: dict[str, Any] = json.loads(value)
                    assert event.get("event_id", "") == event_id
                    return event
        raise AssertionError("the stream ended")


class Frontend:
    """WebSockets and streams of all accounts, and the log below them."""

    def __init__(self, up: Up, port: int, running: Running, log: Log) -> None:
        self.up = up
        self.port = port
        self.running = running
        self.log = log

    def url(self, name: str, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}/sandbox/{name}/onebot/v11{path}"

    @asynccontextmanager
    async def ws(self, name: str, after: str = "") -> AsyncIterator[OverWs]:
        query = {"resume_from": after} if after else {}
        async with self.up.http.ws_connect(self.url(name), params=query) as ws:
            yield OverWs(ws)

    @asynccontextmanager
    async def sse(self, name: str, after: str = "") -> AsyncIterator[OverSse]:
        headers = {"Last-Event-ID": after} if after else {}
        async with self.up.http.get(self.url(name, "/events"), headers=headers) as response:
            assert response.status == 200, await response.text()
            yield OverSse(response)

    async def append(self, name: str, first: int, count: int, size: int = 0) -> list[int]:
        """Numbered messages in three chats, straight into the log."""
        account = Account(Platform("sandbox"), AccountId(name))
        return [
            await self.log.append(
                MessageReceived(
                    account=account,
                    time_ms=1_700_000_000_000,
                    chat=Chat("group", ChatId(f"g{number % 3}")),
                    message=MessageId(f"m{number}"),
                    sender=User(UserId("ann"), "ann"),
                    segments=(Text(f"{number}{' ' * size}"),),
                )
            )
            for number in range(first, first + count)
        ]

    async def rss_kib(self) -> int:
        status = Path(f"/proc/{self.running.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def frontend(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Frontend]:
    accounts: dict[str, Any] = {f"sandbox__{name}": {} for name in NAMES}
    async with stack(tmp_path_factory.mktemp("resume"), *NAMES) as up:
        for name in NAMES:
            await up.account(name).say("there", user="ann")
        config = write_config(up.folder / "frontend.yaml", bus=up.nats.settings, **accounts)
        async with (
            onebus("frontend", "http", "ws", "-c", str(config)) as running,
            Bus(up.nats.options, "test") as bus,
        ):
            await bus.wait_ready(10)
            line = await running.says("listening on")
            port = int(line.rsplit(":", 1)[1])
            made = Frontend(up, port, running, Log(bus))
            await _known(made)
            yield made


async def _known(frontend: Frontend) -> None:
    """A frontend that has just started says 503: try again."""
    async with asyncio.timeout(WAIT_S):
        for name in NAMES:
            while True:
                async with frontend.up.http.get(frontend.url(name, "/events")) as response:
                    if response.status == 200:
                        break
                await asyncio.sleep(0.05)


async def _lifecycle(there: There) -> dict[str, Any]:
    event = await there.event()
    assert (event["post_type"], event["sub_type"]) == ("meta_event", "connect")
    return event


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_a_bot_that_is_cut_off_again_and_again_gets_each_event_once(
    frontend: Frontend, transport: str
) -> None:
    """At random moments, while events of its account and of others are written."""
    chance = random.Random(seed := random.randrange(1 << 32))
    print("seed", seed)
    name = "demo" if transport == "ws" else "streamed"
    connect = getattr(frontend, transport)
    count, begin = 1500, 1000 if transport == "ws" else 5000
    got: list[dict[str, Any]] = []
    cuts = 0
    async with frontend.ws("other") as other, asyncio.TaskGroup() as group:
        await _lifecycle(other)
        async with connect(name) as there:
            await _lifecycle(there)
            writing = group.create_task(frontend.append(name, begin, count))
            others = group.create_task(frontend.append("other", begin, 200))
            got.append(await there.event())
        while len(got) < count:
            cuts += not writing.done()
            async with connect(name, got[-1]["event_id"]) as there:
                told = await _lifecycle(there)
                assert told["resume"] == {"from": got[-1]["event_id"], "missed": False}
                most = min(chance.randrange(60), count - len(got))
                got += [await there.event() for _ in range(most)]
        written = [str(sequence) for sequence in await writing]
        seen = [(await other.event())["event_id"] for _ in range(200)]
        assert seen == [str(sequence) for sequence in await others]
    assert [event["event_id"] for event in got] == written
    assert [event["raw_message"] for event in got] == [str(begin + n) for n in range(count)]
    assert cuts > 0


@pytest.mark.parametrize("asked", ["abc", "-1", "1.5", "9" * 18, "9" * 30, "１２"])
async def test_what_is_no_event_id_of_the_log_is_refused(frontend: Frontend, asked: str) -> None:
    for path in ("/events", ""):
        url = frontend.url("demo", path)
        headers = {} if path else {"Connection": "Upgrade", "Upgrade": "websocket"}
        headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "A" * 22 + "=="}
        query = {"resume_from": asked}
        async with frontend.up.http.get(url, params=query, headers=headers) as response:
            assert response.status == 400
            text = (await response.json())["error"]
            assert text.startswith("resume_from ")
            assert "event_id" in text


async def test_a_bot_is_told_when_the_log_has_lost_what_it_missed(frontend: Frontend) -> None:
    one, two, three = await frontend.append("gone", 1, 3)
    await frontend.log._bus.api(f"STREAM.PURGE.{frontend.log.stream}", {"seq": two})
    for after, missed in ((str(one - 1), True), (str(one), False), ("0", True)):
        for connect in (frontend.ws, frontend.sse):
            async with connect("gone", after) as there:
                told = await _lifecycle(there)
                assert told["resume"] == {"from": after, "missed": missed}
                ids = [(await there.event())["event_id"] for _ in range(2)]
                assert ids == [str(two), str(three)]


async def test_a_bot_that_reads_nothing_costs_little_and_slows_nobody(frontend: Frontend) -> None:
    """What it missed is in the log, and not in memory: it gets all of it when it comes back."""
    count = 2500
    async with frontend.ws("busy") as quick:
        await _lifecycle(quick)
        async with raw_socket(frontend.port, "/sandbox/busy/onebot/v11"):
            begun_kib = await frontend.rss_kib()
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(frontend.append("busy", 0, count, size=4000))
                got = [(await quick.event())["event_id"] for _ in range(count)]
            written = [str(sequence) for sequence in await writing]
            assert got == written
            assert await frontend.rss_kib() - begun_kib < 32 << 10
    async with frontend.ws("busy", str(int(written[0]) - 1)) as there:
        assert not (await _lifecycle(there))["resume"]["missed"]
        assert [(await there.event())["event_id"] for _ in range(count)] == written
