"""Bots that read, or stop reading while their machine goes on: one of each transport.

What is said is the moment at which it is said, so that each event tells how late it comes.
"""

import asyncio
import contextlib
import json
import time
from typing import Any

import aiohttp
from aiohttp import web
from tests.e2e.faults.stage import stable_port

AGAIN_S = 0.2
HANDSHAKE_S = 5.0
PADDING = "." * 1_000
"""So that what nobody reads fills buffers."""


def moment() -> str:
    """A message that is said now."""
    return f"{time.monotonic():.6f} {PADDING}"


class Reader:
    """What a bot got: the moment at which each was said, and how late it came."""

    def __init__(self) -> None:
        self.late_s: dict[float, float] = {}
        self.reads = asyncio.Event()
        self.reads.set()
        self.last_id = ""
        self.connected = 0

    def note(self, body: str) -> None:
        """An event came."""
        event: dict[str, Any] = json.loads(body)
        if event["post_type"] == "message":
            said_at = float(event["raw_message"].partition(" ")[0])
            self.late_s.setdefault(said_at, time.monotonic() - said_at)
            self.last_id = event["event_id"]


class Forward(Reader):
    """It connects, and comes back behind the last event that it has read."""

    async def run(self, http: aiohttp.ClientSession, url: str) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                await self._listen(http, url)
            await asyncio.sleep(AGAIN_S)

    async def _listen(self, http: aiohttp.ClientSession, url: str) -> None:
        query = {"resume_from": self.last_id} if self.last_id else {}
        connecting = http.ws_connect(url, params=query)
        async with await asyncio.wait_for(connecting, HANDSHAKE_S) as ws:
            self.connected += 1
            await self.reads.wait()
            async for message in ws:
                self.note(message.data)
                await self.reads.wait()


class Pushed:
    """A reverse WebSocket bot and one for HTTP POST, on a port of their own."""

    def __init__(self) -> None:
        self.port = stable_port()
        self.ws, self.post = Reader(), Reader()
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_get("/ws", self._on_ws)
        app.router.add_post("/post", self._on_post)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def close(self) -> None:
        """Listen no more."""
        if self._runner:
            await self._runner.cleanup()

    async def _on_ws(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.ws.connected += 1
        await self.ws.reads.wait()
        with contextlib.suppress(ConnectionError):  # it was cut while it did not read
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.ws.note(message.data)
                await self.ws.reads.wait()
        return ws

    async def _on_post(self, request: web.Request) -> web.Response:
        body = await request.text()
        await self.post.reads.wait()
        self.post.note(body)
        return web.Response(status=204)
