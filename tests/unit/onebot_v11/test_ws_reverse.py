"""A reverse WebSocket whose other end says nothing any more."""

import asyncio
import base64
import hashlib
from typing import Any

import aiohttp
import pytest

from frontends.onebot_v11 import pulse, socket
from frontends.onebot_v11.config import Config
from frontends.onebot_v11.progress import Progress
from frontends.onebot_v11.session import Sessions
from frontends.onebot_v11.target import targets
from frontends.onebot_v11.ws_reverse import ReverseWs
from onebus import directory, lease
from onebus.bus import Bus
from onebus.directory import AccountRecord, Directory
from onebus.event import User
from onebus.ids import UserId, parse_account
from onebus.service import Role

ACCOUNT = parse_account("sandbox.demo")
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class Ours:
    """A claim that nobody disputes."""

    async def sure(self) -> None:
        return


async def test_a_connection_that_is_only_half_open_is_made_anew(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "PING_S", 0.1)
    monkeypatch.setattr(pulse, "DEAD_S", 0.3)
    monkeypatch.setattr(socket, "CLOSE_S", 0.1)
    handshakes: asyncio.Queue[str] = asyncio.Queue()

    async def fall_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in request.splitlines()[1:] if line)
        digest = hashlib.sha1(f"{headers['Sec-WebSocket-Key']}{GUID}".encode()).digest()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %s\r\n\r\n" % base64.b64encode(digest)
        )
        handshakes.put_nowait(headers["X-Self-ID"])
        await reader.read()  # reads pings, answers none, until the other side gives up
        writer.close()

    server = await asyncio.start_server(fall_silent, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    config = Config(ws_reverse=(url,), ws_reverse_reconnect_interval=50)
    record = AccountRecord(ACCOUNT, User(UserId("77"), "bot"), None, (), "0", "s", online=True)
    await directory.write(bus, record)
    known = Directory(bus, lease.Sessions(bus))
    sessions = Sessions(bus, known, {ACCOUNT: config})
    session = sessions.get(ACCOUNT)
    assert session
    (target,) = targets(ACCOUNT, config)
    async with aiohttp.ClientSession() as http, server, asyncio.TaskGroup() as group:
        claim: Any = Ours()
        pusher = ReverseWs(session, target, claim, Progress(session, target), http)
        works: list[Role | ReverseWs] = [known, sessions, pusher]
        tasks = [group.create_task(work.run()) for work in works]
        for _ in range(2):
            assert await asyncio.wait_for(handshakes.get(), 10) == "77"
        for task in tasks:
            task.cancel()
