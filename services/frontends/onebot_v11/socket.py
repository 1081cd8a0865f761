"""One WebSocket to a bot, whoever opened it: calls in, answers and events out.

Source: OneBot V11, communication/ws.md; communication/ws-reverse.md says that both behave alike.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType, web
from msgspec import UNSET, MsgspecError, Raw, Struct, UnsetType
from msgspec.structs import replace

from frontends.onebot_v11.feed import Listener
from frontends.onebot_v11.retcode import Answer, echo_of, encode_answer, failed
from frontends.onebot_v11.session import Session
from onebus.codec import CodecError, check_containers, check_depth, decode
from onebus.errors import BadParams

logger = logging.getLogger(__name__)

MAX_FRAME_BYTES = 64 << 20
MAX_CALLS = 64
"""Calls of one socket at once; further frames wait unread."""
PING_S = 30.0

Connection: TypeAlias = web.WebSocketResponse | ClientWebSocketResponse[bool]
Gate: TypeAlias = Callable[[], Awaitable[None]]


class Carries(Struct, frozen=True):
    """What a socket is for."""

    actions: bool
    events: bool


class _Request(Struct, frozen=True):
    """A frame without its echo. Types are looked at later, so that the answer can have one."""

    action: Any = None
    params: Any = None


class Socket:
    """One open connection. `gate` is awaited before each event: it may hold them back."""

    def __init__(
        self,
        connection: Connection,
        session: Session,
        self_id: int,
        listener: Listener | None,
        gate: Gate | None = None,
    ) -> None:
        self._connection = connection
        self._session = session
        self._self_id = self_id
        self._listener = listener
        self._gate = gate
        self._calls = asyncio.Semaphore(MAX_CALLS)

    async def close(self) -> None:
        """Go away in an orderly manner."""
        with contextlib.suppress(ConnectionError):
            await self._connection.close(code=WSCloseCode.GOING_AWAY, message=b"onebus is stopping")

    async def run(self, *, actions: bool, calls: asyncio.TaskGroup | None = None) -> None:
        """Until either side closes. The lifecycle event goes before everything else.

        Calls that are under way then are awaited, or left to the group `calls`.
        """
        if self._listener:
            await self._send(self._session.lifecycle(self._self_id, "connect"))
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(work) for work in self._background()]
            async for message in self._connection:
                if not actions or message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    continue
                await self._calls.acquire()
                (calls or group).create_task(self._answer(message.data))
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
            frame = await listener.frames.get()
            if self._gate:
                await self._gate()
            await self._send(frame.body)

    async def _close_when_too_slow(self, listener: Listener) -> None:
        """A bot that does not read must not make others wait, nor fill our memory."""
        await listener.overflow.wait()
        logger.warning("%s: a bot does not keep up and is disconnected", self._session.account)
        with contextlib.suppress(ConnectionError):
            await self._connection.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")

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
            await self._connection.send_frame(frame, WSMsgType.TEXT)


def _utf8(frame: str | bytes) -> bytes:
    """A frame's bytes. Raises UnicodeDecodeError for a binary frame that is no text."""
    if isinstance(frame, str):
        return frame.encode()
    frame.decode()
    return frame
