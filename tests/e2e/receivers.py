"""Bots made by hand, for what real ones do not show: headers, raw bytes, and bad manners."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

WAIT_S = 20.0
Respond = Callable[["Posted"], Awaitable[web.Response]]


class Posted:
    """One POST, as it came."""

    def __init__(self, request: web.Request, body: bytes) -> None:
        self.headers = request.headers
        self.path = request.path
        self.body = body
        self.event: dict[str, Any] = json.loads(body)


class Socket:
    """One WebSocket that was opened to us."""

    def __init__(self, request: web.Request, ws: web.WebSocketResponse) -> None:
        self.headers = request.headers
        self.path = request.path
        self.ws = ws
        self.frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.all_ponged = asyncio.Event()
        self._echo = 0

    async def frame(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.frames.get(), WAIT_S)

    async def event(self) -> dict[str, Any]:
        """The next event that is no meta event."""
        while True:
            frame = await self.frame()
            if frame["post_type"] != "meta_event":
                return frame

    async def acknowledged(self) -> None:
        """Wait until onebus knows that every event that came has come."""
        await asyncio.wait_for(self.all_ponged.wait(), WAIT_S)
        await self.call("get_status")  # its answer comes after our pong was taken

    async def call(self, action: str, **params: Any) -> dict[str, Any]:
        self._echo += 1
        await self.ws.send_json({"action": action, "params": params, "echo": self._echo})
        while True:
            frame = await self.frame()
            if frame.get("echo") == self._echo:
                return frame


class Receiver:
    """A server that bots' frameworks would be. `refuse` is a status for new WebSockets.

    With `pongs` false its sockets answer no ping; a message that is `poison` kills them.
    """

    def __init__(self) -> None:
        self.sockets: asyncio.Queue[Socket] = asyncio.Queue()
        self.posts: asyncio.Queue[Posted] = asyncio.Queue()
        self.attempts: asyncio.Queue[int] = asyncio.Queue()
        self.open: set[web.WebSocketResponse] = set()
        self.most_open = 0
        self.refuse = 0
        self.pongs = True
        self.poison = ""
        self.respond: Respond = _nothing

    async def socket(self) -> Socket:
        return await asyncio.wait_for(self.sockets.get(), WAIT_S)

    async def post(self) -> Posted:
        return await asyncio.wait_for(self.posts.get(), WAIT_S)

    async def posted(self) -> Posted:
        """The next POST that is no meta event."""
        while (post := await self.post()).event["post_type"] == "meta_event":
            pass
        return post

    async def close(self, _: web.Application) -> None:
        for ws in list(self.open):
            await ws.close(code=WSCloseCode.GOING_AWAY)

    async def handle_ws(self, request: web.Request) -> web.StreamResponse:
        self.attempts.put_nowait(self.refuse)
        if self.refuse:
            return web.Response(status=self.refuse)
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        socket = Socket(request, ws)
        self.open.add(ws)
        self.most_open = max(len(self.open), self.most_open)
        self.sockets.put_nowait(socket)
        try:
            async for message in ws:
                if message.type is WSMsgType.PING and self.pongs:
                    await ws.pong(message.data)
                    if message.data:
                        socket.all_ponged.set()
                if message.type is WSMsgType.TEXT:
                    socket.frames.put_nowait(frame := json.loads(message.data))
                    if "event_id" in frame:
                        socket.all_ponged.clear()
                    if self.poison and frame.get("raw_message") == self.poison:
                        assert request.transport
                        request.transport.abort()
                        break
        finally:
            self.open.discard(ws)
            socket.closed.set()
        return ws

    async def handle_post(self, request: web.Request) -> web.Response:
        posted = Posted(request, await request.read())
        self.posts.put_nowait(posted)
        return await self.respond(posted)


async def _nothing(_: Posted) -> web.Response:
    return web.Response(status=204)


@asynccontextmanager
async def receiver(port: int) -> AsyncIterator[Receiver]:
    """A receiver on this port until the block ends; then its sockets are closed."""
    there = Receiver()
    app = web.Application()
    app.router.add_get("/{path:.*}", there.handle_ws)
    app.router.add_post("/{path:.*}", there.handle_post)
    app.on_shutdown.append(there.close)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    try:
        yield there
    finally:
        await runner.cleanup()
