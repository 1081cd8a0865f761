"""The forward WebSocket transport, below `/{platform}/{account}/onebot/v11`.

`/` and `/ws` carry both actions and events, `/api` actions, `/event` events.
Source: OneBot V11, communication/ws.md.
"""

import asyncio
from collections.abc import Iterable
from typing import cast

from aiohttp import WSCloseCode, web

from frontends.onebot_v11.auth import refusal
from frontends.onebot_v11.forward import Forward
from frontends.onebot_v11.http import no_account, session_of
from frontends.onebot_v11.resume import resume_of
from frontends.onebot_v11.session import Sessions
from frontends.onebot_v11.socket import CLOSE_S, MAX_FRAME_BYTES, Carries, Socket
from onebus import metrics
from onebus.errors import BadParams, BusError, OnebusError, Stopping
from onebus.listener import json_error
from onebus.metrics import Way
from onebus.service import Role, guarded

PATHS = {
    "": Carries(actions=True, events=True),
    "/ws": Carries(actions=True, events=True),
    "/api": Carries(actions=True, events=False),
    "/event": Carries(actions=False, events=True),
}


class Ws(Role):
    """Serves WebSockets for every account that wants it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._sockets: set[Socket] = set()
        self._stopping = False

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Each path with and without a slash at the end."""
        base = "/{platform}/{account}/onebot/v11"
        for path in PATHS:
            yield web.get(f"{base}{path}", self._handle)
            yield web.get(f"{base}{path}/", self._handle)

    def observe(self) -> None:
        """How many are connected, and how far the slowest is behind."""
        behind = max((socket.behind for socket in self._sockets), default=0)
        metrics.sockets.labels("ws").set(len(self._sockets))
        metrics.socket_lag_events.labels("ws").set(behind)

    async def drain(self) -> None:
        """Tell every bot that we go away; it connects again elsewhere."""
        self._stopping = True
        await asyncio.gather(*(socket.close() for socket in list(self._sockets)))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        session = session_of(self._sessions, request)
        if session is None or not session.config.use_ws:
            return no_account(request)
        if refused := refusal(request, session.config.access_token, self._sessions.throttle):
            return refused
        response = web.WebSocketResponse(
            max_msg_size=MAX_FRAME_BYTES, autoping=False, compress=False, timeout=CLOSE_S
        )
        if not response.can_prepare(request):
            return json_error(
                426, "this is a WebSocket address", "connect with ws://", {"Upgrade": "websocket"}
            )
        transport = cast("asyncio.WriteTransport | None", request.transport)  # uvloop's is none
        carries = PATHS[request.path.partition("/onebot/v11")[2].rstrip("/")]
        try:
            identity = await session.identity()
            if not carries.events:
                socket = Socket(response, transport, session, identity.self_id, None)
                return await self._serve(request, response, socket, carries, None)
            resume = await resume_of(request, session)
            hello = session.lifecycle(identity.self_id, "connect", resume.extension())
            async with session.follow(resume.after) as following:
                outbound = Forward(following, Way(str(session.account), "ws"), transport)
                socket = Socket(response, transport, session, identity.self_id, outbound)
                return await self._serve(request, response, socket, carries, hello)
        except BadParams as error:
            return json_error(400, str(error))
        except BusError as error:
            return json_error(503, str(error), headers={"Retry-After": "2"})

    async def _serve(
        self,
        request: web.Request,
        response: web.WebSocketResponse,
        socket: Socket,
        carries: Carries,
        hello: bytes | None,
    ) -> web.StreamResponse:
        if self._stopping:
            raise Stopping("onebus is stopping")
        try:
            await response.prepare(request)
            self._sockets.add(socket)
            await guarded(socket.run(actions=carries.actions, hello=hello), "a socket")
        except OnebusError:  # after the upgrade there is no HTTP answer any more
            await response.close(code=WSCloseCode.INTERNAL_ERROR, message=b"internal error")
        finally:
            self._sockets.discard(socket)
        return response
