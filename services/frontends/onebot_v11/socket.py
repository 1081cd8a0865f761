"""One WebSocket to a bot, whoever opened it: calls in, answers and events out.

Source: OneBot V11, communication/ws.md; communication/ws-reverse.md says that both behave alike.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any, TypeAlias

from aiohttp import WSCloseCode, WSMsgType
from msgspec import UNSET, MsgspecError, Raw, Struct, UnsetType
from msgspec.json import Decoder
from msgspec.structs import replace

from frontends.onebot_v11.crew import Crew
from frontends.onebot_v11.forward import Forward
from frontends.onebot_v11.outbound import Outbound
from frontends.onebot_v11.pulse import Connection, Pulse
from frontends.onebot_v11.retcode import Answer, echo_of, encode_answer, failed
from frontends.onebot_v11.session import Session
from onebus.codec import CodecError, check_containers, check_depth
from onebus.errors import BadParams, Stopping
from onebus.waiting import at_most

logger = logging.getLogger(__name__)

MAX_FRAME_BYTES = 64 << 20
MAX_CALLS = 64
"""Calls of one socket at once; further frames wait unread."""
CLOSE_S = 2.0
ANSWERED_S = 0.5
"""How long calls that have no time left may take to say so."""


Events: TypeAlias = Outbound | Forward
"""Those for a bot that we went to, which gets each at least once, and for one that came to us."""


class Carries(Struct, frozen=True):
    """What a socket is for."""

    actions: bool
    events: bool


class _Request(Struct, frozen=True):
    """A frame. Types are looked at later, so that the answer can have its echo."""

    action: Any = None
    params: Any = None
    echo: Raw | UnsetType = UNSET


_REQUEST = Decoder(_Request)


class Socket:
    """One open connection, with its pings to be answered here. `outbound`: events, if any.

    `transport` is what the connection runs over, to hang up on a bot that is gone.
    """

    def __init__(
        self,
        connection: Connection,
        transport: asyncio.WriteTransport | None,
        session: Session,
        self_id: int,
        outbound: Events | None,
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._session = session
        self._self_id = self_id
        self._outbound = outbound
        self._pulse = Pulse(connection, transport, str(session.account))
        self._calls = Crew(self._answer, MAX_CALLS)
        self._stopping = False

    @property
    def behind(self) -> int:
        """How many entries of the log, at most, wait between its end and what was sent."""
        return self._outbound.following.behind if self._outbound else 0

    async def finish(self, timeout_s: float) -> None:
        """Send no more events, and wait a while until the bot has read those that were sent."""
        if self._outbound:
            await self._outbound.finish(timeout_s)

    async def close(self) -> None:
        """Take no more calls, answer those in flight, and go away in an orderly manner.

        Cancelled it goes as well, once what could not be finished is answered.
        """
        self._stopping = True
        try:
            await asyncio.sleep(0)  # what was read already is begun
            await self._calls.idle()
        finally:
            async with at_most(ANSWERED_S):
                await self._calls.idle()
            await self._close(WSCloseCode.GOING_AWAY, b"onebus is stopping")

    async def run(
        self,
        *,
        actions: bool,
        calls: asyncio.TaskGroup | None = None,
        hello: bytes | None = None,
    ) -> None:
        """Until either side closes. `hello`, a lifecycle event, goes before everything else.

        Calls that are under way then are awaited, or left to the group `calls`.
        """
        if hello:
            await self._send(hello)
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(work) for work in self._background()]
            try:
                await self._read(calls or group, actions=actions)
            finally:
                self._calls.dismiss()
            for task in background:
                task.cancel()

    async def _read(self, group: asyncio.TaskGroup, *, actions: bool) -> None:
        async for message in self._connection:
            self._pulse.heard()
            if actions and message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                if self._calls.full:
                    with self._pulse.deaf():
                        await self._calls.room()
                self._calls.give(message.data, group)
            elif message.type in (WSMsgType.PING, WSMsgType.PONG):
                await self._on_control(message)

    def _background(self) -> Iterable[Any]:
        yield self._hang_up_when_silent()
        if self._outbound is None:
            return
        yield from self._outbound.works(self._send, self._ping)
        yield self._close_when_too_slow(self._outbound)
        if self._session.config.enable_heartbeat:
            yield self._send_heartbeats()

    async def _on_control(self, message: Any) -> None:
        if message.type is WSMsgType.PONG:
            if self._outbound:
                self._outbound.ponged(bytes(message.data))
            return
        with contextlib.suppress(ConnectionError):
            await self._connection.pong(message.data)

    async def _ping(self, payload: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await self._connection.ping(payload)

    async def _hang_up_when_silent(self) -> None:
        """A bot whose machine vanished, or that hangs, never says so."""
        await self._pulse.stops()
        if self._transport:
            self._transport.abort()
        await self._close(WSCloseCode.ABNORMAL_CLOSURE, b"")

    async def _close_when_too_slow(self, outbound: Events) -> None:
        """A bot that is far behind had better know it: it may connect again and resume."""
        await outbound.following.overflow.wait()
        logger.warning("%s: a bot does not keep up and is disconnected", self._session.account)
        await self._close(WSCloseCode.TRY_AGAIN_LATER, b"too slow")

    async def _close(self, code: int, reason: bytes) -> None:
        if self._outbound:
            self._outbound.stop()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._connection.close(code=code, message=reason)

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._session.config.heartbeat_interval / 1000)
            await self._send(self._session.heartbeat(self._self_id))

    async def _answer(self, frame: str | bytes) -> None:
        await self._send(encode_answer(await self._execute(frame)))

    async def _execute(self, frame: str | bytes) -> Answer:
        request = _call_in(frame)
        if isinstance(request, Answer):
            return request
        if self._stopping:
            return failed(Stopping("onebus is stopping: connect again"), request.echo)
        params = {} if request.params is None else request.params
        if not isinstance(params, dict):
            return failed(BadParams("`params` must be an object"), request.echo)
        answer = await self._session.execute(request.action, params, as_text=False)
        return answer if request.echo is UNSET else replace(answer, echo=request.echo)

    async def _send(self, frame: bytes) -> None:
        """Write a text frame; a connection that is gone is noticed by the reading side."""
        with contextlib.suppress(ConnectionError):
            await self._connection.send_frame(frame, WSMsgType.TEXT)


def _call_in(frame: str | bytes) -> _Request | Answer:
    """A frame → the call in it, or the answer to what is none.

    What is wrong with anything else in a frame does not cost it its echo.
    """
    echo: Raw | UnsetType = UNSET
    try:
        body = _utf8(frame)
        check_containers(body)
        check_depth(body)
        try:
            request = _REQUEST.decode(body)
        except MsgspecError:
            echo = echo_of(body)
            raise
    except (CodecError, MsgspecError, UnicodeDecodeError) as error:
        text = f"the frame is no JSON object with `action`, `params` and `echo`: {error}"
        return failed(BadParams(text), echo)
    if not isinstance(request.action, str):
        return failed(BadParams("`action` must be a string"), request.echo)
    return request


def _utf8(frame: str | bytes) -> bytes:
    """A frame's bytes. Raises UnicodeDecodeError for a binary frame that is no text."""
    if isinstance(frame, str):
        return frame.encode()
    frame.decode()
    return frame
