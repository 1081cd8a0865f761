"""An implementation of OneBot V11 as it is out there: NapCat's manners by default, on a free port.

It has a WebSocket server, an HTTP API, and connects to or posts at us when it is told to. Sources:
NapCatQQ `packages/napcat-onebot` (answers carry `status retcode data message wording echo`, a wrong
token is a frame with 1403 after the upgrade), go-cqhttp `coolq/api.go`, `server/websocket.go`.
"""

import asyncio
import contextlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha1
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from onebus.testing.subject import Refusal

SELF = 10001
WAIT_S = 10.0
Answer = Callable[[dict[str, Any]], Any]


class Failed(Exception):
    """An action's answer that is a failure."""

    def __init__(self, retcode: int, wording: str = "", **more: Any) -> None:
        super().__init__(wording)
        self.fields = {"status": "failed", "retcode": retcode, "data": None, "message": wording}
        self.fields |= {"wording": wording, **more}


class FakeUpstream:
    """One login. `answers`: what an action answers, as data or a function of its parameters.

    `called` are the calls in their order. What `deaf` names is never answered. `refuses`: "frame"
    refuses a wrong token as NapCat does, "status" by HTTP as the standard has it; "missing": there
    is no WebSocket. `forgets`: as an onebus that knows no event by this `resume_from`.
    """

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.refuses = "status"
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.deaf: set[str] = set()
        self.echo: Callable[[Any], Any] = lambda echo: echo
        self.on_send: Callable[[dict[str, Any]], Refusal | None] = lambda _: None
        self.online: bool | None = True
        self.answers_pings = True
        self.forgets = False
        self.sockets: list[Any] = []
        self.asked: list[dict[str, str]] = []
        self.base = ""

        self.pongs: asyncio.Queue[bytes] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._number = 0
        self.answers: dict[str, Any] = {
            "get_login_info": {"user_id": SELF, "nickname": "Neko"},
            "get_version_info": {"app_name": "NapCat.Onebot", "app_version": "4.8.0"},
            "get_status": lambda _: {"online": self.online, "good": bool(self.online)},
            "send_group_msg": self._sent,
            "send_private_msg": self._sent,
            "delete_msg": None,
        }

    def _sent(self, _: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        return {"message_id": 900 + self._number}

    def execute(self, action: str, params: dict[str, Any]) -> dict[str, Any]:
        """The answer to a call, without its echo."""
        self.called.append((action, params))
        if action not in self.answers:
            return Failed(1404, f"不支持的Api {action}").fields
        answer = self.answers[action]
        try:
            data = answer(params) if callable(answer) else answer
        except Failed as failed:
            return failed.fields
        ok = {"status": "ok", "retcode": 0, "data": data}
        return ok | {"message": "", "wording": "", "stream": "normal-action"}

    async def calls(self, action: str, count: int = 1) -> list[dict[str, Any]]:
        """The parameters of an action's calls, once there are so many."""
        async with asyncio.timeout(WAIT_S), self._changed:
            while len(found := [p for name, p in self.called if name == action]) < count:
                await self._changed.wait()
        return found

    async def connected(self, count: int = 1) -> Any:
        """A socket, once so many were there."""
        async with asyncio.timeout(WAIT_S), self._changed:
            while len(self.sockets) < count:
                await self._changed.wait()
        return self.sockets[-1]

    async def emit(self, **fields: Any) -> None:
        """Say an event on the last socket."""
        await self.sockets[-1].send_str(event(**fields))

    async def heartbeat(self, online: bool) -> None:
        status = {"online": online, "good": True}
        await self.emit(post_type="meta_event", meta_event_type="heartbeat", status=status)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The WebSocket server; what it is asked is in `asked`."""
        self.asked.append(dict(request.query))
        if self.refuses == "missing":
            return web.Response(status=404)
        if self.forgets and request.query:
            return web.Response(status=400)
        right = self.token in ("", request.headers.get("Authorization", "").partition(" ")[2])
        if not right and self.refuses == "status":
            return web.Response(status=403)
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        if not right:
            await ws.send_json(Failed(1403, "token验证失败").fields | {"echo": None})
            await ws.close()
            return ws
        await self.serve(ws)
        return ws

    async def serve(self, ws: Any) -> None:
        """One socket, whoever opened it."""
        connect = {"meta_event_type": "lifecycle", "sub_type": "connect"}
        await ws.send_str(event(post_type="meta_event", **connect))
        await self._note(lambda: self.sockets.append(ws))
        async for message in ws:
            if message.type is WSMsgType.PING and self.answers_pings:
                await ws.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self.pongs.put_nowait(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._answer(ws, json.loads(message.data))

    async def _answer(self, ws: Any, frame: dict[str, Any]) -> None:
        answer = self.execute(frame["action"], frame["params"])
        await self._note()
        if frame["action"] not in self.deaf:
            with contextlib.suppress(ConnectionError):
                await ws.send_json(answer | {"echo": self.echo(frame["echo"])})

    async def _note(self, change: Callable[[], Any] = lambda: None) -> None:
        async with self._changed:
            change()
            self._changed.notify_all()

    async def handle_api(self, request: web.Request) -> web.Response:
        """The HTTP API."""
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=403)
        action, params = request.match_info["action"], await request.json()
        if action in ("send_group_msg", "send_private_msg") and (refusal := self.on_send(params)):
            return _refused(request, refusal)
        answer = self.execute(action, params)
        await self._note()
        return web.json_response(answer)

    @asynccontextmanager
    async def dialling(self, url: str, **headers: str) -> AsyncIterator[Any]:
        """A reverse WebSocket to this address until the block ends."""
        given = {"X-Self-ID": str(SELF), "X-Client-Role": "Universal"} | headers
        if self.token:
            given["Authorization"] = f"Bearer {self.token}"
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            ws = await http.ws_connect(url, headers=given, autoping=False)
            serving = group.create_task(self.serve(ws))
            try:
                yield ws
            finally:
                await ws.close()
                serving.cancel()


def _refused(request: web.Request, refusal: Refusal) -> web.Response:
    """What a proxy before it answers, or that it breaks."""
    if refusal.status == 0:
        assert request.transport
        request.transport.abort()
    wait = {"Retry-After": f"{refusal.retry_after_s:g}"} if refusal.status == 429 else {}
    return web.Response(status=refusal.status or 500, headers=wait)


def event(**fields: Any) -> str:
    """An event's JSON; its time is fixed, so the same again is the very same."""
    return json.dumps({"time": 1_700_000_000, "self_id": SELF, **fields}, ensure_ascii=False)


def signature(body: bytes, secret: str) -> str:
    """`X-Signature`, made here independently. Source: communication/http-post.md."""
    return "sha1=" + hmac.new(secret.encode(), body, sha1).hexdigest()


def private(message: Any, message_id: int = 5, **more: Any) -> dict[str, Any]:
    """A friend's message as NapCat tells it."""
    return {
        "post_type": "message",
        "message_type": "private",
        "sub_type": "friend",
        "message_id": message_id,
        "user_id": 20002,
        "message": message,
        "raw_message": "",
        "font": 14,
        "sender": {"user_id": 20002, "nickname": "Ann", "card": ""},
        "message_format": "array",
        **more,
    }


@asynccontextmanager
async def upstream(token: str = "", port: int = 0) -> AsyncIterator[FakeUpstream]:
    """An implementation that runs until the block ends; `base` is its address without a scheme."""
    there = FakeUpstream(token)
    app = web.Application()
    app.router.add_get("/{tail:.*}", there.handle)
    app.router.add_post("/{action}", there.handle_api)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
    await site.start()
    there.base = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield there
    finally:
        await runner.cleanup()
