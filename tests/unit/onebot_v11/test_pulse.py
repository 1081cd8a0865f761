"""Whether a bot is there: one that is busy, one that hangs, one whose machine is gone, and we."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from frontends.onebot_v11 import pulse as pulse_module
from frontends.onebot_v11.pulse import Pulse
from onebus.keepalive import peer_answers

QUIET_S = 0.2
DEAD_S = 0.6


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "QUIET_S", QUIET_S)
    monkeypatch.setattr(pulse_module, "DEAD_S", DEAD_S)


@asynccontextmanager
async def connected() -> AsyncIterator[asyncio.WriteTransport]:
    """A connection whose other end reads nothing: its system answers for it."""
    hanging = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hanging.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"something to acknowledge")
        yield writer.transport
        writer.close()
        hanging.set()


class Deaf:
    """A connection whose bot reads nothing: a ping waits behind what was written before."""

    def __init__(self) -> None:
        self.pings = 0

    async def ping(self) -> None:
        self.pings += 1
        await asyncio.Event().wait()


def pulse(transport: asyncio.BaseTransport | None) -> Pulse:
    connection: Any = None  # only `ping` uses it
    return Pulse(connection, transport, "sandbox.demo")


async def took_s(made: Pulse) -> float:
    begun_s = time.monotonic()
    async with asyncio.timeout(10):
        await made.stops()
    return time.monotonic() - begun_s


async def test_a_bot_that_only_hangs_is_said_early_and_left_late(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connected() as transport:
        assert await took_s(pulse(transport)) >= DEAD_S
    said = [record.message for record in caplog.records]
    assert len(said) == 2
    assert "it is busy, or hangs" in said[0]
    assert "is disconnected" in said[1]


async def test_a_bot_whose_system_says_nothing_either_is_left_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert QUIET_S <= await took_s(pulse(None)) < DEAD_S
    monkeypatch.setattr(pulse_module, "ANSWERS_S", 0)
    async with connected() as transport:
        assert QUIET_S <= await took_s(pulse(transport)) < DEAD_S


async def test_a_bot_that_speaks_now_and_then_is_kept() -> None:
    async with connected() as transport, asyncio.TaskGroup() as group:
        stopping = group.create_task((made := pulse(transport)).stops())
        for _ in range(6):
            await asyncio.sleep(DEAD_S / 2)
            made.heard()
        assert not stopping.done()
        stopping.cancel()


async def test_while_it_is_we_who_do_not_listen_nobody_is_silent() -> None:
    async with connected() as transport, asyncio.TaskGroup() as group:
        stopping = group.create_task((made := pulse(transport)).stops())
        with made.deaf():
            await asyncio.sleep(DEAD_S * 2)
            assert not stopping.done()
        begun_s = time.monotonic()
        await stopping
        assert time.monotonic() - begun_s >= DEAD_S * 0.9


async def test_what_came_while_this_process_stood_still_is_read_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse_module, "STALL_S", 0.1)
    async with connected() as transport, asyncio.TaskGroup() as group:
        stopping = group.create_task(pulse(transport).stops())
        await asyncio.sleep(0)
        time.sleep(DEAD_S * 2)
        begun_s = time.monotonic()
        await stopping
        assert time.monotonic() - begun_s >= DEAD_S * 0.9


async def test_a_ping_that_cannot_be_sent_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "PING_S", 0.05)
    connection: Any = Deaf()
    async with connected() as transport:
        made = Pulse(connection, transport, "sandbox.demo")
        assert DEAD_S <= await took_s(made) < 2 * DEAD_S
    assert connection.pings > 1


async def test_whether_the_other_system_answers_is_known_from_its_acknowledgements() -> None:
    async with connected() as transport:
        await asyncio.sleep(0.2)  # the time since the last one is what is asked for
        assert peer_answers(transport, 5)
        assert not peer_answers(transport, 0.1)
    assert not peer_answers(None, 5)
