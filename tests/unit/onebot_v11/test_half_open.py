"""A bot whose machine is gone, and one that hangs: on the loop that runs in earnest, uvloop.

What the system knows of the other end is asked through the loop's transport, and uvloop's is its
own. The machine that is gone is a socket that lets nothing in any more: nobody acknowledges.
"""

import asyncio
import ctypes
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
import uvloop
from aiohttp import web
from tests.fakes.onebot_session import session_with

from frontends.onebot_v11 import pulse
from frontends.onebot_v11.socket import Socket

PING_S, QUIET_S, ANSWERS_S, DEAD_S = 0.1, 1.0, 0.5, 3.0
LATEST_S = 10.0
ATTACH_FILTER = 26  # SO_ATTACH_FILTER of Linux (asm-generic/socket.h)
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF: return 0 bytes of the packet
HELLO = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PING_S", PING_S)
    monkeypatch.setattr(pulse, "QUIET_S", QUIET_S)
    monkeypatch.setattr(pulse, "ANSWERS_S", ANSWERS_S)
    monkeypatch.setattr(pulse, "DEAD_S", DEAD_S)


def vanish(bot: socket.socket) -> None:
    """From now on this machine is not there: what is sent to it is dropped, unacknowledged."""
    program = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
    bot.setsockopt(
        socket.SOL_SOCKET, ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program))
    )


def hang(_: socket.socket) -> None:
    """The bot reads nothing; its system is there."""


@asynccontextmanager
async def served(until: asyncio.Future[float]) -> AsyncIterator[int]:
    """A port with a socket for bots; `until` is told after how many seconds it ended."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(autoping=False, compress=False)
        await response.prepare(request)
        transport = cast("asyncio.WriteTransport", request.transport)
        begun_s = time.monotonic()
        await Socket(response, transport, session, 1, None).run(actions=True)
        until.set_result(time.monotonic() - begun_s)
        return response

    async with session_with() as (session, _):
        app = web.Application()
        app.router.add_get("/", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1]
        await runner.cleanup()


async def lasted_s(silence: Callable[[socket.socket], None]) -> float:
    """How long the socket of a bot is kept that falls silent in this way once it is connected."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, uvloop.Loop)
    until: asyncio.Future[float] = loop.create_future()
    async with asyncio.timeout(LATEST_S), served(until) as port:
        with socket.socket() as bot:
            bot.setblocking(False)
            await loop.sock_connect(bot, ("127.0.0.1", port))
            await loop.sock_sendall(bot, HELLO)
            assert b" 101 " in await loop.sock_recv(bot, 4096)
            silence(bot)
            return await until


@pytest.mark.parametrize(
    ("silence", "earliest_s", "latest_s"),
    [(vanish, QUIET_S, DEAD_S - 0.5), (hang, DEAD_S, LATEST_S)],
    ids=["gone", "hangs"],
)
def test_a_bot_that_is_gone_is_left_before_one_that_hangs(
    silence: Callable[[socket.socket], None], earliest_s: float, latest_s: float
) -> None:
    took_s = uvloop.run(lasted_s(silence))
    assert earliest_s <= took_s < latest_s
