"""Events as a stream: `GET /{platform}/{account}/onebot/v11/events`, server-sent events.

Not in the standard; imhelper and users of NapCat have it. `data` is an event as on a WebSocket,
`id` its `event_id`. The token is that of HTTP, and so is the switch: `use_http`.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

from aiohttp import web

from frontends.onebot_v11.auth import refusal
from frontends.onebot_v11.follow import Following
from frontends.onebot_v11.http import no_account, session_of
from frontends.onebot_v11.resume import resume_of
from frontends.onebot_v11.session import Session, Sessions
from onebus import metrics
from onebus.errors import BadParams, BusError, Stopping
from onebus.listener import json_error
from onebus.metrics import Way
from onebus.service import Role

logger = logging.getLogger(__name__)

KEEP_ALIVE_S = 15.0
WRITE_S = 25.0
"""A bot that takes nothing for so long is left."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Sse(Role):
    """Streams events of every account that serves HTTP."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._streams: set[_Stream] = set()
        self._stopping = False

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """With and without a slash at the end; they go before HTTP's `{action}`."""
        path = "/{platform}/{account}/onebot/v11/events"
        yield web.get(path, self._handle, allow_head=False)
        yield web.get(f"{path}/", self._handle, allow_head=False)

    def observe(self) -> None:
        """How many are open, and how far the slowest is behind."""
        behind = max((stream.behind for stream in self._streams), default=0)
        metrics.sockets.labels("sse").set(len(self._streams))
        metrics.socket_lag_events.labels("sse").set(behind)

    async def drain(self) -> None:
        """End the streams; the bots come back, here or elsewhere."""
        self._stopping = True
        for stream in self._streams:
            stream.end()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        session = session_of(self._sessions, request)
        if session is None or not session.config.use_http:
            return no_account(request)
        if refused := refusal(request, session.config.access_token, self._sessions.throttle):
            return refused
        try:
            identity = await session.identity()
            resume = await resume_of(request, session)
            async with session.follow(resume.after) as following:
                hello = session.lifecycle(identity.self_id, "connect", resume.extension())
                response = web.StreamResponse(headers=HEADERS)
                stream = _Stream(response, session, identity.self_id, following)
                return await self._serve(request, response, stream, hello)
        except BadParams as error:
            return json_error(400, str(error))
        except BusError as error:
            return json_error(503, str(error), headers={"Retry-After": "2"})

    async def _serve(
        self,
        request: web.Request,
        response: web.StreamResponse,
        stream: "_Stream",
        hello: bytes,
    ) -> web.StreamResponse:
        if self._stopping:
            raise Stopping("onebus is stopping")
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        self._streams.add(stream)
        try:
            await response.prepare(request)
            await stream.run(hello)
        except* (ConnectionError, TimeoutError):
            logger.debug("a stream's bot went away")
        finally:
            self._streams.discard(stream)
        return response


class _Stream:
    """One bot's stream."""

    def __init__(
        self, response: web.StreamResponse, session: Session, self_id: int, following: Following
    ) -> None:
        self._response = response
        self._session = session
        self._self_id = self_id
        self._following = following
        self._ended = asyncio.Event()

    @property
    def behind(self) -> int:
        """How many entries of the log, at most, wait between its end and what was sent."""
        return self._following.behind

    def end(self) -> None:
        """Write nothing more."""
        self._ended.set()

    async def run(self, hello: bytes) -> None:
        """Until `end`, or until the bot falls behind or goes."""
        await self._write(hello)
        works: list[Coroutine[Any, Any, object]] = [
            self._events(),
            self._keep_alive(),
            self._ended.wait(),
            self._fallen_behind(),
        ]
        if self._session.config.enable_heartbeat:
            works.append(self._heartbeats())
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    async def _events(self) -> None:
        while True:
            frame = await self._following.next()
            await self._write(frame.body, b"id: %d\n" % frame.sequence)
            metrics.sent(Way(str(self._session.account), "sse"), frame.stored_at_ms)

    async def _heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._session.config.heartbeat_interval / 1000)
            await self._write(self._session.heartbeat(self._self_id))

    async def _keep_alive(self) -> None:
        """A comment, so that nothing in between takes the silence for the end."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            await self._put(b": still here\n\n")

    async def _fallen_behind(self) -> None:
        await self._following.overflow.wait()
        logger.warning("%s: a stream's bot does not keep up and is left", self._session.account)

    async def _write(self, event: bytes, head: bytes = b"") -> None:
        await self._put(b"%sdata: %s\n\n" % (head, event))

    async def _put(self, chunk: bytes) -> None:
        """One write for each event, so that tasks cannot mix theirs."""
        async with asyncio.timeout(WRITE_S):
            await self._response.write(chunk)
