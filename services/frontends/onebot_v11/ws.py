"""The forward WebSocket transport, below `/{platform}/{account}/onebot/v11`.

`/` and `/ws` carry both actions and events, `/api` actions, `/event` events.
Source: OneBot V11, communication/ws.md.
"""

import asyncio
from collections.abc import Iterable

from aiohttp import WSCloseCode, web

from frontends.onebot_v11.auth import refusal
from frontends.onebot_v11.feed import Listener
from frontends.onebot_v11.http import no_account, session_of
from frontends.onebot_v11.session import Sessions
from frontends.onebot_v11.socket import MAX_FRAME_BYTES, PING_S, Carries, Socket
from onebus.errors import BusError, InternalError
from onebus.listener import json_error
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

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Each path with and without a slash at the end."""
        base = "/{platform}/{account}/onebot/v11"
        for path in PATHS:
            yield web.get(f"{base}{path}", self._handle)
            yield web.get(f"{base}{path}/", self._handle)

    async def drain(self) -> None:
        """Tell every bot that we go away; it connects again elsewhere."""
        await asyncio.gather(*(socket.close() for socket in list(self._sockets)))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        session = session_of(self._sessions, request)
        if session is None or not session.config.use_ws:
            return no_account(request)
        if refused := refusal(request, session.config.access_token, self._sessions.throttle):
            return refused
        response = web.WebSocketResponse(
            max_msg_size=MAX_FRAME_BYTES, heartbeat=PING_S, compress=False
        )
        if not response.can_prepare(request):
            return json_error(
                426, "this is a WebSocket address", "connect with ws://", {"Upgrade": "websocket"}
            )
        carries = PATHS[request.path.partition("/onebot/v11")[2].rstrip("/")]
        listener: Listener | None = None
        try:
            identity = await session.identity()
            listener = await session.attach() if carries.events else None
        except BusError as error:
            return json_error(503, str(error), headers={"Retry-After": "2"})
        socket = Socket(response, session, identity.self_id, listener)
        try:
            await response.prepare(request)
            self._sockets.add(socket)
            await guarded(socket.run(actions=carries.actions), f"a socket of {session.account}")
        except InternalError:  # after the upgrade there is no HTTP answer any more
            await response.close(code=WSCloseCode.INTERNAL_ERROR, message=b"internal error")
        finally:
            self._sockets.discard(socket)
            if listener:
                session.detach(listener)
        return response
