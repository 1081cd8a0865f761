"""The WebSockets to one upstream, whoever opened them: calls out, answers and events in.

Source: OneBot V11, communication/ws.md and ws-reverse.md. Usually it is one socket for both; an
upstream that connects to us may open one for calls and one for events.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Coroutine
from typing import Any, Protocol, TypeVar

import aiohttp
from aiohttp import WSMsgType, web
from msgspec import Struct

from connectors.onebot11.answers import Reply, decode_reply
from connectors.onebot11.fields import Fields, id_of
from connectors.onebot11.inbox import Inbox, Ping
from onebus.codec import CodecError, decode_any, encode
from onebus.errors import (
    ActionError,
    AuthFailed,
    NotReady,
    OnebusError,
    OutcomeUnknown,
    PlatformUnavailable,
)
from onebus.waiting import at_most

MAX_FRAME_BYTES = 64 << 20
CLOSE_S = 2.0
PING_S = 15.0
LEFTOVER_S = 5.0
"""How long what was read before a connection broke may take into the log."""
TOKEN_REFUSED = frozenset({401, 403, 1401, 1403})

T = TypeVar("T")
WebSocket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


class Upstream(Protocol):
    """The way to an upstream: what the transports have in common."""

    async def connect(self) -> None:
        """Be connected, however long that takes. Raises NotReady or AuthFailed."""

    async def serve(self) -> None:
        """Read what comes, until the upstream is lost; then return. Needed for `call`."""

    async def call(self, action: str, params: Fields, *, writes: bool) -> Reply:
        """Call an action. Raises PlatformUnavailable, or OutcomeUnknown if it may be done."""

    def lost(self) -> OnebusError:
        """Why it was lost."""

    async def close(self) -> None:
        """Let go of it. May be called again."""

    def routes(self) -> list[web.RouteDef]:
        """What the upstream finds us at, below the account."""


class Sockets(Struct, frozen=True):
    """The sockets of a link: one for all, or one for calls and one for events."""

    calls: WebSocket
    events: WebSocket

    def all(self) -> tuple[WebSocket, ...]:
        """Each of them once."""
        return (self.calls,) if self.calls is self.events else (self.calls, self.events)


class Link:
    """One connection, from its first frame to its loss; it is never used again."""

    def __init__(self, sockets: Sockets, inbox: Inbox, call_timeout_s: float) -> None:
        self._sockets = sockets
        self._inbox = inbox
        self._call_timeout_s = call_timeout_s
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._heard_at = time.monotonic()
        self._over = asyncio.Event()
        self.why: OnebusError = NotReady("the connection to the upstream ended")

    async def serve(self, silence_s: float) -> None:
        """Read until the connection is lost; what was read is in the log then, if that is there."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read(ws)) for ws in self._sockets.all()]
            tasks += [group.create_task(self._watch(silence_s))]
            await self._over.wait()
            for task in tasks:
                task.cancel()
        async with at_most(LEFTOVER_S):
            await self._inbox.empty()

    async def call(self, action: str, params: Fields, *, writes: bool) -> Reply:
        """Send a call and wait for its answer. Raises PlatformUnavailable or OutcomeUnknown."""
        if self._over.is_set():
            raise PlatformUnavailable(f"nothing was sent: {self.why}")
        echo = f"{next(self._numbers)}"
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[echo] = answer
        try:
            frame = encode({"action": action, "params": params, "echo": echo})
            async with asyncio.timeout(self._call_timeout_s):
                # Not `send_str`, which would encode it once more: it may hold a file.
                await self._sockets.calls.send_frame(frame, WSMsgType.TEXT)
                return await answer
        except (ConnectionError, aiohttp.ClientError):
            raise unanswered(action, "the connection broke", writes=writes) from None
        except TimeoutError:
            text = f"no answer within {self._call_timeout_s:g} s"
            raise unanswered(action, text, writes=writes) from None
        except _Lost as error:
            raise unanswered(action, str(error), writes=writes) from None
        finally:
            del self._waiting[echo]

    def lose(self, why: OnebusError) -> None:
        """It is of no use any more; the first reason counts."""
        if self._over.is_set():
            return
        self.why = why
        self._over.set()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(_Lost(str(why)))

    async def close(self) -> None:
        """Hang up."""
        self.lose(NotReady("the connection was given up"))
        for ws in self._sockets.all():
            with contextlib.suppress(ConnectionError, TimeoutError, aiohttp.ClientError):
                async with asyncio.timeout(CLOSE_S):
                    await ws.close()

    async def _read(self, ws: WebSocket) -> None:
        while True:
            message = await ws.receive()
            self._heard_at = time.monotonic()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    await self._take(message.data)
                case WSMsgType.PING:
                    await self._inbox.put(Ping(ws, message.data))
                case WSMsgType.PONG:
                    continue
                case _:
                    self.lose(NotReady(_said(message, ws.close_code)))
                    return

    async def _take(self, data: str | bytes) -> None:
        """An event, or an answer: an event has a `post_type`, whatever else it has."""
        try:
            frame = decode_any(data.encode() if isinstance(data, str) else data)
        except (CodecError, UnicodeEncodeError):
            self._inbox.unread("a frame that is no JSON")
            return
        if not isinstance(frame, dict):
            self._inbox.unread("a frame that is no object")
        elif isinstance(frame.get("post_type"), str):
            await self._inbox.put(frame)
        else:
            self._answered(frame)

    def _answered(self, frame: Fields) -> None:
        """An echo may come back as a number. NapCat and LLOneBot refuse a token by a frame."""
        answer = self._waiting.get(id_of(frame.get("echo")))
        reply = decode_reply(frame)
        if answer and not answer.done():
            answer.set_result(reply)
        elif not frame.get("echo") and reply.retcode in TOKEN_REFUSED:
            self.lose(AuthFailed("the upstream refuses the access_token"))

    async def _watch(self, silence_s: float) -> None:
        """A peer whose machine vanished never says so. One that we do not read is not silent."""
        while True:
            await asyncio.sleep(min(PING_S, silence_s / 3))
            if time.monotonic() - self._heard_at > silence_s and not self._inbox.full:
                self.lose(NotReady(f"the upstream said nothing for {silence_s:g} s"))
            for ws in self._sockets.all():
                with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                    await ws.ping()


class _Lost(Exception):
    """A call's connection is gone."""


def _said(message: aiohttp.WSMessage, code: int | None) -> str:
    if message.type is WSMsgType.ERROR:
        return "the connection to the upstream broke"
    return f"the upstream closed the connection ({code or 'without a code'})"


def unanswered(action: str, why: str, *, writes: bool) -> ActionError:
    """What it means that a call was sent and not answered."""
    if writes:
        return OutcomeUnknown(f"{action} may have been done: {why}")
    return PlatformUnavailable(f"{action} was not answered: {why}")


async def beside(background: Coroutine[Any, Any, None], work: Awaitable[T]) -> T:
    """Do something while something else runs. What it raises is raised as it is."""
    outcome: T | OnebusError
    async with asyncio.TaskGroup() as group:
        running = group.create_task(background)
        try:
            outcome = await work
        except OnebusError as error:  # kept out of the group, which would wrap it
            outcome = error
        running.cancel()
    if isinstance(outcome, OnebusError):
        raise outcome
    return outcome
