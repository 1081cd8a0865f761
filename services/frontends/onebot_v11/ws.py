"""The forward WebSocket transport, below `/{platform}/{account}/onebot/v11`.

`/` and `/ws` carry both actions and events, `/api` actions, `/event` events.
Source: OneBot V11, communication/ws.md.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web
from msgspec import UNSET, MsgspecError, Raw, Struct, UnsetType
from msgspec.structs import replace

from frontends.onebot_v11.auth import refusal
from frontends.onebot_v11.feed import Listener
from frontends.onebot_v11.http import no_account, session_of
from frontends.onebot_v11.retcode import Answer, echo_of, encode_answer, failed
from frontends.onebot_v11.session import Session, Sessions
from onebus.codec import CodecError, check_containers, check_depth, decode
from onebus.errors import BadParams, BusError, InternalError
from onebus.listener import json_error
from onebus.service import Role, guarded

logger = logging.getLogger(__name__)

MAX_FRAME_BYTES = 64 << 20
MAX_CALLS = 64
"""Calls of one socket at once; further frames wait unread."""
PING_S = 30.0


class Carries(Struct, frozen=True):
    """What a path's sockets are for."""

    actions: bool
    events: bool


PATHS = {
    "": Carries(actions=True, events=True),
    "/ws": Carries(actions=True, events=True),
    "/api": Carries(actions=True, events=False),
    "/event": Carries(actions=False, events=True),
}


class _Request(Struct, frozen=True):
    """A frame without its echo. Types are looked at later, so that the answer can have one."""

    action: Any = None
    params: Any = None


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


class Socket:
    """One open connection."""

    def __init__(
        self,
        response: web.WebSocketResponse,
        session: Session,
        self_id: int,
        listener: Listener | None,
    ) -> None:
        self._response = response
        self._session = session
        self._self_id = self_id
        self._listener = listener
        self._calls = asyncio.Semaphore(MAX_CALLS)

    async def close(self) -> None:
        """Go away in an orderly manner."""
        with contextlib.suppress(ConnectionError):
            await self._response.close(code=WSCloseCode.GOING_AWAY, message=b"onebus is stopping")

    async def run(self, *, actions: bool) -> None:
        """Until either side closes. The lifecycle event goes before everything else."""
        if self._listener:
            await self._send(self._session.lifecycle(self._self_id))
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(work) for work in self._background()]
            async for message in self._response:
                if not actions or message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    continue
                await self._calls.acquire()
                group.create_task(self._answer(message.data))
            for task in background:
                task.cancel()

    def _background(self) -> Iterable[Any]:
        if self._listener is None:
            return
        yield self._send_events(self._listener)
        yield self._close_when_too_slow(self._listener)
        if self._session.config.enable_heartbeat:
            yield self._send_heartbeats()

    async def _send_events(self, listener: Listener) -> None:
        while True:
            await self._send(await listener.frames.get())

    async def _close_when_too_slow(self, listener: Listener) -> None:
        """A bot that does not read must not make others wait, nor fill our memory."""
        await listener.overflow.wait()
        logger.warning("%s: a bot does not keep up and is disconnected", self._session.account)
        with contextlib.suppress(ConnectionError):
            await self._response.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._session.config.heartbeat_interval / 1000)
            await self._send(self._session.heartbeat(self._self_id))

    async def _answer(self, frame: str | bytes) -> None:
        try:
            await self._send(encode_answer(await self._execute(frame)))
        finally:
            self._calls.release()

    async def _execute(self, frame: str | bytes) -> Answer:
        """The echo is taken first and by itself: nothing else in a frame may cost it."""
        echo: Raw | UnsetType = UNSET
        try:
            body = _utf8(frame)
            check_containers(body)
            check_depth(body)
            echo = echo_of(body)
            request = decode(body, _Request)
        except (CodecError, MsgspecError, UnicodeDecodeError) as error:
            text = f"the frame is no JSON object with `action`, `params` and `echo`: {error}"
            return failed(BadParams(text), echo)
        if not isinstance(request.action, str):
            return failed(BadParams("`action` must be a string"), echo)
        params = {} if request.params is None else request.params
        if not isinstance(params, dict):
            return failed(BadParams("`params` must be an object"), echo)
        answer = await self._session.execute(request.action, params, as_text=False)
        return replace(answer, echo=echo)

    async def _send(self, frame: bytes) -> None:
        """Write a text frame; a connection that is gone is noticed by the reading side."""
        with contextlib.suppress(ConnectionError):
            await self._response.send_frame(frame, WSMsgType.TEXT)


def _utf8(frame: str | bytes) -> bytes:
    """A frame's bytes. Raises UnicodeDecodeError for a binary frame that is no text."""
    if isinstance(frame, str):
        return frame.encode()
    frame.decode()
    return frame
