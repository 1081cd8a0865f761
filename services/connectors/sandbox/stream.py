"""Live messages as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Four kinds: a message (no `event:` line), `edit`, `recall`, and `notice` for everything else, after
which the state may be another one. `id` is the sequence in the log, so a browser that comes back
with `Last-Event-ID` misses nothing.
"""

import asyncio
import contextlib

from aiohttp import web

from connectors.sandbox.message import encode_edit, encode_message, encode_recall
from connectors.sandbox.notice import encode_notice
from onebus.codec import encode
from onebus.connector import Kit
from onebus.errors import RateLimited
from onebus.event import MessageEdited, MessageRecalled, MessageReceived, MessageSent
from onebus.history import Message
from onebus.log import Stored

HEARTBEAT_S = 15.0
WRITE_S = 30.0
"""A client that takes nothing for so long is closed."""
MAX_WAITING = 1_000
"""Events that wait for one client; when there are more it is closed, and comes back for them."""
MAX_STREAMS = 200
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Streams:
    """The open streams of one account in this process."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._feeds: set[_Feed] = set()

    async def serve(self, request: web.Request, where: str) -> web.StreamResponse:
        """Stream what a filter lets through, until the client goes. Raises RateLimited."""
        if len(self._feeds) >= MAX_STREAMS:
            raise RateLimited(f"{MAX_STREAMS} streams are open already")
        start = await self._start(request)
        response = web.StreamResponse(headers=HEADERS)
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        feed = _Feed()
        self._feeds.add(feed)
        try:
            async with self._kit.log.follow([where], feed.take, start=start):
                await response.prepare(request)
                await feed.write_to(response)
        except (ConnectionError, TimeoutError):
            self._kit.logger.debug("a stream's client went away")
        finally:
            self._feeds.discard(feed)
        return response

    def close(self) -> None:
        """End all streams: an orderly stop does not wait for browsers."""
        for feed in self._feeds:
            feed.end()

    async def _start(self, request: web.Request) -> int:
        """Where to begin: now, or after what a client that comes back has seen."""
        end = await self._kit.log.end()
        seen = request.headers.get("Last-Event-ID", "")
        known = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 20 else end
        return min(known, end) + 1


class _Feed:
    """What waits for one client."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Stored | None] = asyncio.Queue(MAX_WAITING)
        self._ended = False

    def take(self, stored: Stored) -> None:
        """Keep an event for the client, or end with the last one that there was room for."""
        if self._ended:
            return
        try:
            self._queue.put_nowait(stored)
        except asyncio.QueueFull:
            self._ended = True

    def end(self) -> None:
        """Take nothing more, and end once what waits is written."""
        self._ended = True
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(None)

    async def write_to(self, response: web.StreamResponse) -> None:
        """Write until the end. Raises ConnectionError, or TimeoutError for a client too slow."""
        await response.write(b"retry: 1000\n\n")
        while not (self._ended and self._queue.empty()):
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    stored = await self._queue.get()
            except TimeoutError:
                chunk = b": still here\n\n"
            else:
                chunk = encode_entry(stored) if stored else b""
            if chunk:
                async with asyncio.timeout(WRITE_S):
                    await response.write(chunk)


def encode_entry(stored: Stored) -> bytes:
    """An entry of the log → one server-sent event."""
    event, kind = stored.event, ""
    match event:
        case MessageReceived() | MessageSent():
            data = encode_message(Message(stored.sequence, event))
        case MessageRecalled():
            kind, data = "event: recall\n", encode_recall(event.chat, event.message, event.operator)
        case MessageEdited():
            kind, data = "event: edit\n", encode_edit(event.chat, event.message, event.segments)
        case _:
            kind, data = "event: notice\n", encode_notice(event)
    return b"%sid: %d\ndata: %s\n\n" % (kind.encode(), stored.sequence, encode(data))
