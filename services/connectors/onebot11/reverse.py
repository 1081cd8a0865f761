"""Reverse WebSocket: the upstream connects to us, at `/onebot11/{account_id}/ws`.

Source: OneBot V11, communication/ws-reverse.md. Only the process that owns the account takes it:
any other answers 503, and the upstream tries again, as all of them do.
"""

import asyncio
import contextlib
import hmac

from aiohttp import web

from connectors.onebot11.answers import Reply
from connectors.onebot11.config import Config
from connectors.onebot11.fields import Fields
from connectors.onebot11.inbox import Inbox
from connectors.onebot11.link import CLOSE_S, MAX_FRAME_BYTES, Link, Sockets
from onebus.connector import Kit
from onebus.errors import NotReady, OnebusError, PlatformUnavailable
from onebus.listener import json_error
from onebus.waiting import at_most

PATH = "/ws"
ROLES = ("universal", "api", "event")


class Reverse:
    """The connection that the upstream makes; see `link.Upstream`."""

    def __init__(self, config: Config, kit: Kit, inbox: Inbox) -> None:
        self._config = config
        self._kit = kit
        self._inbox = inbox
        self._link: Link | None = None
        self._came: dict[str, web.WebSocketResponse] = {}
        self._open: dict[web.WebSocketResponse, asyncio.Event] = {}
        self._more = asyncio.Event()

    async def connect(self) -> None:
        """Wait for the upstream, however long it takes."""
        self._kit.logger.info("waiting for the upstream at %s", PATH)
        while (sockets := self._complete()) is None:
            self._more.clear()
            await self._more.wait()
        self._came = {}
        self._link = Link(sockets, self._inbox, self._config.call_timeout)

    async def serve(self) -> None:
        """Read until it is lost."""
        if self._link:
            await self._link.serve(self._config.silence)

    async def call(self, action: str, params: Fields, *, writes: bool) -> Reply:
        """Call an action."""
        if self._link is None:
            raise PlatformUnavailable("nothing was sent: the upstream is not connected")
        return await self._link.call(action, params, writes=writes)

    def lost(self) -> OnebusError:
        """Why it was lost."""
        return self._link.why if self._link else NotReady("the upstream is not connected")

    async def close(self) -> None:
        """Hang up, also on who has come meanwhile: it comes again."""
        self._came = {}
        if self._link:
            self._link.lose(NotReady("the connection was given up"))
        await asyncio.gather(*map(self._hang_up, list(self._open)))

    def routes(self) -> list[web.RouteDef]:
        """Where the upstream finds us."""
        return [web.get(PATH, self._handle), web.get(f"{PATH}/", self._handle)]

    def _complete(self) -> Sockets | None:
        """All that is needed: a socket for everything, or one for calls and one for events."""
        if ws := self._came.get("universal"):
            return Sockets(ws, ws)
        calls, events = self._came.get("api"), self._came.get("event")
        return Sockets(calls, events) if calls and events else None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if refused := self._refusal(request):
            return refused
        ws = web.WebSocketResponse(
            autoping=False, max_msg_size=MAX_FRAME_BYTES, timeout=CLOSE_S, compress=False
        )
        if not ws.can_prepare(request):
            return json_error(426, "this is a WebSocket address", headers={"Upgrade": "websocket"})
        await ws.prepare(request)
        over = self._open[ws] = asyncio.Event()
        try:
            await self._arrive(_role(request), ws)
            await over.wait()  # who reads the socket is the owner, in `serve`
        finally:
            del self._open[ws]
        return ws

    async def _hang_up(self, ws: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            async with at_most(CLOSE_S):
                await ws.close()
        if over := self._open.get(ws):
            over.set()

    async def _arrive(self, role: str, ws: web.WebSocketResponse) -> None:
        """A new socket takes the place of an old one, of which the upstream knows no more."""
        old = self._came.pop(role, None)
        self._came[role] = ws
        if self._link:
            self._link.lose(NotReady("the upstream has connected anew"))
        self._more.set()
        if old:
            await self._hang_up(old)

    def _refusal(self, request: web.Request) -> web.Response | None:
        """A token is looked at before everything else, and in constant time."""
        if not _token_fits(request, self._config.access_token):
            return json_error(401, "a wrong access token", "set the upstream's to access_token")
        said = request.headers.get("X-Self-ID", "").strip()
        if self._config.self_id and said != self._config.self_id:
            return json_error(403, "this is the place of another account")
        if not self._kit.owned():
            text = f"{self._kit.account} is served by another process; try again"
            return json_error(503, text, headers={"Retry-After": "2"})
        return None


def _token_fits(request: web.Request, token: str) -> bool:
    if not token:
        return True
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "token"):
        given = request.query.get("access_token", "")
    return hmac.compare_digest(given.strip().encode(errors="surrogateescape"), token.encode())


def _role(request: web.Request) -> str:
    """Without a role, or with one that nobody knows, it is for everything."""
    role = request.headers.get("X-Client-Role", "").strip().lower()
    return role if role in ROLES else ROLES[0]
