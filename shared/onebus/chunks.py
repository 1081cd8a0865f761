"""The chunks of an object on its way into NATS and out again; see `onebus.objects`."""

import asyncio
import base64
import hashlib
import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.nuid import NUID

from onebus.backoff import Backoff
from onebus.bus import WRONG_LAST_SEQUENCE, Bus, NoResponders, StoreRefused
from onebus.codec import encode
from onebus.errors import BusError, BusTimeout, BusUnavailable, NotFound
from onebus.reader import place_of
from onebus.refusals import STORAGE_FULL, TRANSIENT

logger = logging.getLogger(__name__)

CHUNK_BYTES = 128 << 10
"""NATS's own size: it fits into a message of any server."""
MARK_EVERY = 8
"""Of so many chunks one's place in the stream is noted, where a reader of a part can begin."""
WRITE_S = 15.0
"""How long one chunk may take to be stored, with a NATS that comes back meanwhile."""
READ_S = 15.0
ATTEMPT_S = 5.0
NEXT_S = 2.0
IDLE_NS = 60_000_000_000

_nuid = NUID()


class TooBig(Exception):
    """More bytes than are taken came; `most` is how many are."""

    def __init__(self, most: int) -> None:
        super().__init__(f"more than {most} bytes")
        self.most = most


class Writer:
    """Chunks of one object, each stored behind the one before and no other."""

    def __init__(self, bus: Bus, stream: str, subject: str) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._last = 0
        self._hash = hashlib.sha256()
        self.head = b""
        self.size = 0
        self.count = 0
        self.marks: list[int] = []

    async def write(self, chunk: bytes) -> None:
        """Store the next chunk. Raises BusError."""
        async with self._bus.bulk:
            self._last = await stored(partial(self._attempt, chunk))
        if self.count % MARK_EVERY == 0:
            self.marks.append(self._last)
        self.head = self.head or chunk
        self._hash.update(chunk)
        self.size += len(chunk)
        self.count += 1

    def digest(self) -> str:
        """As NATS writes it."""
        return f"SHA-256={base64.urlsafe_b64encode(self._hash.digest()).decode()}"

    async def _attempt(self, chunk: bytes, timeout_s: float) -> int:
        """The sequence of the chunk, which an earlier attempt may have stored already."""
        try:
            return await self._bus.store(
                self._subject, chunk, last_sequence=self._last, timeout_s=timeout_s
            )
        except StoreRefused as error:
            if error.code != WRONG_LAST_SEQUENCE:
                raise
        entry = await self._bus.last(self._stream, self._subject)
        if entry is None or entry.sequence <= self._last or entry.body != chunk:
            raise BusTimeout("a chunk was stored and cannot be read yet")
        return entry.sequence


class Chunks:
    """An object's chunks in order, by a consumer of its own that is asked for each.

    Use as an async context manager. The consumer is made anew behind the last chunk when it is
    gone, because NATS was, or because nobody asked it for a minute.
    """

    def __init__(self, bus: Bus, stream: str, subject: str, marks: Sequence[int]) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._marks = marks
        self._consumer = ""
        self._subscription: Subscription | None = None
        self._inbox = ""
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue(1)  # no more than one is asked for
        self._from = 1
        self._taken = 0

    async def __aenter__(self) -> "Chunks":
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._drop()

    async def skip_to(self, chunk: int) -> None:
        """Begin at this chunk, the first being 0. Raises NotFound, BusError."""
        mark = min(chunk // MARK_EVERY, len(self._marks) - 1)
        skipped = chunk
        if mark >= 0:
            self._from = self._marks[mark]
            skipped = chunk - mark * MARK_EVERY
        for _ in range(skipped):
            await self.next()

    async def next(self) -> bytes:
        """The next chunk. Raises NotFound when it is gone, BusError."""
        deadline, backoff = time.monotonic() + READ_S, Backoff(0.02, 0.5)
        while True:
            try:
                async with self._bus.bulk:
                    return await self._next()
            except (BusUnavailable, BusTimeout, NoResponders, StoreRefused) as error:
                await self._drop()
                lasting = isinstance(error, StoreRefused) and error.code not in TRANSIENT
                if lasting or time.monotonic() > deadline:
                    raise BusUnavailable(f"a file could not be read: {error}") from error
            await backoff.wait()

    async def _next(self) -> bytes:
        if not self._consumer:
            await self._make()
        message = await self._asked()
        place = place_of(message.reply)
        if place is None:  # a status: there is nothing, or the consumer ends
            if (message.headers or {}).get("Status") == "408":
                raise NotFound("the file is not kept any more")
            raise BusTimeout("the reader of a file has ended")
        self._taken += 1
        if place.consumer_sequence != self._taken:
            raise BusTimeout("a chunk was lost on its way")
        self._from = place.sequence + 1
        return message.data

    async def _asked(self) -> Msg:
        """What the server says to "one more". It comes under the chunk's own subject."""
        body = encode({"batch": 1, "expires": int(NEXT_S * 1e9)})
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        await self._bus.publish(subject, body, reply=self._inbox)
        try:
            async with asyncio.timeout(ATTEMPT_S):
                return await self._arrived.get()
        except TimeoutError:
            raise BusTimeout("a chunk did not come in time") from None

    async def _make(self) -> None:
        self._inbox = self._bus.inbox()
        arrived = self._arrived = asyncio.Queue(1)

        async def on_message(message: Msg) -> None:
            if not arrived.full():
                arrived.put_nowait(message)

        self._subscription = await self._bus.subscribe(self._inbox, on_message)
        name = _nuid.next().decode()
        config = {
            "name": name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._from,
            "filter_subject": self._subject,
            "ack_policy": "none",
            "replay_policy": "instant",
            "inactive_threshold": IDLE_NS,
            "mem_storage": True,
            "num_replicas": 1,
        }
        operation = f"CONSUMER.CREATE.{self._stream}.{name}.{self._subject}"
        body = {"stream_name": self._stream, "config": config, "action": "create"}
        await self._bus.api(operation, body, timeout_s=ATTEMPT_S)
        self._consumer, self._taken = name, 0

    async def _drop(self) -> None:
        name, self._consumer = self._consumer, ""
        subscription, self._subscription = self._subscription, None
        if subscription:
            await self._bus.unsubscribe(subscription)
        if name and self._bus.connected:
            try:
                await self._bus.api(f"CONSUMER.DELETE.{self._stream}.{name}", timeout_s=1)
            except BusError:
                logger.debug("the consumer %s of %s was gone already", name, self._stream)


async def even(chunks: AsyncIterable[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    """Pieces of any size → chunks of CHUNK_BYTES; the last is what is left. Raises TooBig."""
    waiting = bytearray()
    taken = 0
    async for piece in chunks:
        taken += len(piece)
        if taken > max_bytes:
            raise TooBig(max_bytes)
        waiting += piece
        while len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
    if waiting:
        yield bytes(waiting)


async def stored(attempt: Callable[[float], Awaitable[int]]) -> int:
    """The sequence that an attempt at a write returns; repeated while that can help."""
    deadline, backoff = time.monotonic() + WRITE_S, Backoff(0.02, 0.5)
    while True:
        try:
            return await attempt(ATTEMPT_S)
        except (BusUnavailable, BusTimeout, NoResponders, StoreRefused) as error:
            lasting = isinstance(error, StoreRefused) and error.code not in TRANSIENT
            if lasting or time.monotonic() > deadline:
                raise _store_error(error) from error
        await backoff.wait()


def _store_error(error: BusError) -> BusError:
    match error:
        case StoreRefused(code=code) if code in STORAGE_FULL:
            return BusUnavailable("the media store is full: free disk space")
        case NoResponders():
            return BusUnavailable("there is no media store: run `onebus bus setup`")
    return BusUnavailable(f"a file could not be stored: {error}")
