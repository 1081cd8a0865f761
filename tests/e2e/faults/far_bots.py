"""Bots in a process of their own, which may be on another machine, stopped, or merely busy.

`python -m tests.e2e.faults.far_bots '{"name": …}'`, see `Far`. Each event is a line of JSON on
standard output: `{"bot": "forward" | "reverse" | "post", "event": {…}}`; so is each connection,
`{"bot": …, "up": true | false}`. Like many real bots they handle an event in their reading loop.
"""

import asyncio
import contextlib
import json
import sys
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Struct

HEARTBEAT_S = 10.0
AGAIN_S = 0.5
CONNECT_S = 3.0


class Far(Struct, frozen=True):
    """Where they listen and connect. At an event that contains `busy_at` they think `busy_s`."""

    host: str
    ws_port: int
    post_port: int
    forward: str
    token: str = ""
    busy_at: str = ""
    busy_s: float = 0


def tell(bot: str, **what: Any) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps({"bot": bot, **what}) + "\n")
    sys.stdout.flush()


class Bots:
    """All three."""

    def __init__(self, far: Far) -> None:
        self._far = far
        self._last = ""

    async def run(self) -> None:
        """Until killed."""
        app = web.Application()
        app.router.add_get("/ws", self._reverse)
        app.router.add_post("/post", self._post)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        for port in (self._far.ws_port, self._far.post_port):
            await web.TCPSite(runner, self._far.host, port).start()
        tell("reverse", listening=True)
        headers = {"Authorization": f"Bearer {self._far.token}"}
        async with aiohttp.ClientSession(headers=headers) as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                    await self._forward(http)
                await asyncio.sleep(AGAIN_S)

    async def _forward(self, http: aiohttp.ClientSession) -> None:
        query = {"resume_from": self._last} if self._last else {}
        heartbeat = None if self._far.busy_s else HEARTBEAT_S
        connecting = http.ws_connect(self._far.forward, params=query, heartbeat=heartbeat)
        async with await asyncio.wait_for(connecting, CONNECT_S) as ws:
            tell("forward", up=True)
            async for message in ws:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break  # its heartbeat had no answer
                event = json.loads(message.data)
                self._last = event.get("event_id", self._last)
                await self._handle("forward", event)
        tell("forward", up=False)

    async def _reverse(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        tell("reverse", up=True)
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                await self._handle("reverse", json.loads(message.data))
        tell("reverse", up=False)
        return ws

    async def _post(self, request: web.Request) -> web.Response:
        await self._handle("post", await request.json())
        return web.Response(status=204)

    async def _handle(self, bot: str, event: dict[str, Any]) -> None:
        if event["post_type"] != "message":
            return
        tell(bot, event=event)
        if self._far.busy_at and self._far.busy_at in event["raw_message"]:
            await asyncio.sleep(self._far.busy_s)


if __name__ == "__main__":
    asyncio.run(Bots(msgspec.json.decode(sys.argv[1], type=Far)).run())
