"""Some platform's HTTP API on a free port: answers what a test scripts, and keeps what arrived."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Arrived(NamedTuple):
    """One call."""

    at_s: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class HttpApi:
    """`script` holds the next answers; without one it is `{"ok": true}`."""

    def __init__(self) -> None:
        self.base = ""
        self.calls: list[Arrived] = []
        self.script: deque[web.Response | Handler] = deque()

    def refuse(self, status: int, body: str = "", **headers: str) -> None:
        """Answer the next call so."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.script.append(web.Response(status=status, text=body, headers=named))

    async def _on_request(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.calls.append(
            Arrived(
                time.monotonic(),
                request.method,
                request.path,
                dict(request.query),
                dict(request.headers),
                body,
            )
        )
        if not self.script:
            return web.json_response({"ok": True})
        answer = self.script.popleft()
        return answer if isinstance(answer, web.Response) else await answer(request)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["HttpApi"]:
        """Listen; `base` is the URL."""
        application = web.Application(client_max_size=64 << 20)
        application.router.add_route("*", "/{path:.*}", self._on_request)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Take the call, and cut the connection."""
    assert request.transport
    request.transport.close()
    return web.Response()


async def never(request: web.Request) -> web.StreamResponse:
    """Take the call, and say nothing."""
    await asyncio.sleep(3600)
    return web.Response()


async def break_off(request: web.Request) -> web.StreamResponse:
    """Promise more than what comes."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"some")
    assert request.transport
    request.transport.close()
    return response
