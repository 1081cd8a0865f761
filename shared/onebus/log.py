"""The event log: every event once, in order, numbered.

An event's subject says which event it is, and it is appended with "this subject has no entry yet".
A redelivered update, an echo of our own message, a retry after a lost ack and a stale owner
therefore all end as one entry, and its sequence is the answer to each of them.
"""

import asyncio
import base64
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import Struct

from onebus import metrics, subjects
from onebus.backoff import Backoff
from onebus.bus import (
    NOT_FOUND_CODES,
    WRONG_LAST_SEQUENCE,
    Bus,
    NoResponders,
    StoreRefused,
    StreamEntry,
    TooLarge,
)
from onebus.codec import CodecError, decode_event, encode
from onebus.errors import BusError, BusTimeout, BusUnavailable
from onebus.event import Chat, Event
from onebus.ids import Account, MessageId
from onebus.reader import Reader
from onebus.refusals import (
    ANOTHER_WRITE_IN_FLIGHT,
    NO_ANSWER,
    SAME_WRITE_IN_FLIGHT,
    STORAGE_FULL,
    TRANSIENT,
)

logger = logging.getLogger(__name__)

ATTEMPT_S = 1.0
RETRY_S = 0.25
LAG_S = 0.05
PAGE = 500
PAGES = 4
"""Pages that are read at once. NATS sends each as quickly as it can, and more than is wanted: with
one for each of a hundred bots that are behind, it cuts the connection as one that does not keep up.
"""


class Extent(Struct, frozen=True):
    """What the log holds, and what it may hold; a limit of 0 is none. Times in unix seconds."""

    first: int
    last: int
    messages: int
    size_bytes: int
    first_at_s: float
    max_messages: int
    max_bytes: int
    max_age_s: float

    @property
    def fullness(self) -> float:
        """How much of its limits by count and size is used; 1 is all of it."""
        parts = ((self.messages, self.max_messages), (self.size_bytes, self.max_bytes))
        return max((used / limit for used, limit in parts if limit), default=0.0)


def extent_of(info: dict[str, Any]) -> Extent:
    """What a server's answer about a stream says."""
    state, config = info["state"], info["config"]
    return Extent(
        first=int(state["first_seq"]),
        last=int(state["last_seq"]),
        messages=int(state["messages"]),
        size_bytes=int(state["bytes"]),
        first_at_s=_unix_s(state["first_ts"]),
        max_messages=max(int(config["max_msgs"]), 0),
        max_bytes=max(int(config["max_bytes"]), 0),
        max_age_s=int(config["max_age"]) / 1e9,
    )


def _unix_s(text: str) -> float:
    """A server's time; it writes nine digits after the point."""
    return datetime.fromisoformat(text).timestamp()


class NotReadYet(BusTimeout):
    """The log knows more than the node that was asked; the next one may have heard of it."""


class Stored(Struct, frozen=True):
    """An event with its place in the log; `stored_at_ms` is 0 for one that was got by itself."""

    sequence: int
    subject: str
    event: Event
    stored_at_ms: int = 0


class Log:
    """The log over one connection. `last_seen` is the highest sequence this process met.

    `ask_leader`: whether what one node of a cluster does not have is looked for at the stream's
    leader. A connector may not, for it could read other platforms' events there: it asks again.
    """

    def __init__(self, bus: Bus, *, ask_leader: bool = True) -> None:
        self._bus = bus
        self._ask_leader = ask_leader
        self._prefix = f"{bus.prefix}."
        self.stream = f"{bus.prefix}_events"
        self._pages = asyncio.Semaphore(PAGES)
        self.last_seen = 0
        self.dropped = 0

    async def append(self, event: Event, *, timeout_s: float = 10) -> int:
        """Store an event unless it is stored already; returns the sequence of its entry.

        Retries within `timeout_s`, which is safe. Raises BusUnavailable or BusTimeout: then the
        event may be stored, and appending it again gives the same sequence.
        """
        subject = self._prefix + subjects.of_event(event)
        attempt = partial(self._append_once, subject, encode(event))
        return await self.retried(attempt, timeout_s=timeout_s)

    async def retried(self, attempt: Callable[[float], Awaitable[int]], *, timeout_s: float) -> int:
        """The sequence that an attempt at a write returns; it is given the seconds it may take.

        Repeated while that can help. Raises BusUnavailable or BusTimeout.
        """
        deadline = time.monotonic() + timeout_s
        delays: _Delays | None = None  # seldom needed
        while True:
            try:
                left_s = max(deadline - time.monotonic(), 0.05)
                return self._seen(await attempt(min(ATTEMPT_S, left_s)))
            except (BusUnavailable, BusTimeout, NoResponders, StoreRefused) as error:
                delays = delays or _Delays()
                delay_s = delays.after(error)
                if time.monotonic() + delay_s >= deadline or _hopeless(error):
                    raise _append_error(error, connected=self._bus.connected) from error
            await asyncio.sleep(delay_s)

    async def _append_once(self, subject: str, body: bytes, timeout_s: float) -> int:
        try:
            return await self._bus.store(subject, body, last_sequence=0, timeout_s=timeout_s)
        except StoreRefused as error:
            if error.code != WRONG_LAST_SEQUENCE:
                raise
        stored = await self._bus.last(self.stream, subject)
        if stored is None:  # evicted between the two calls, or a follower that lags behind
            raise NotReadYet("the entry is there and cannot be read yet")
        return stored.sequence

    async def at(self, sequence: int) -> Stored | None:
        """The event with this sequence; asked again of the leader before saying there is none."""
        entry = await self._bus.at(self.stream, sequence)
        if entry is None:
            entry = await self._from_leader(sequence)
        return self.open(entry) if entry else None

    async def of_message(self, account: Account, chat: Chat, message: MessageId) -> Stored | None:
        """The entry of a message, received or sent; else that of one which was only quoted."""
        found = await self._last(subjects.message(account, chat, message))
        return found or await self._last(subjects.backfill(account, chat, message))

    async def recall_of(self, account: Account, chat: Chat, message: MessageId) -> Stored | None:
        """The entry that says that a message was taken back."""
        return await self._last(subjects.recall(account, chat, message))

    async def edit_of(self, account: Account, chat: Chat, message: MessageId) -> Stored | None:
        """The last entry that gave a message new content."""
        where = self._prefix + subjects.edits(account, chat, message)
        entry = await self._bus.last_matching(self.stream, where)
        if entry is None and self._ask_leader:
            entry = await self._leader({"last_by_subj": where})
        return self.open(entry) if entry else None

    async def extent(self) -> Extent:
        """What the log holds now, and what it may hold. Raises BusError."""
        extent = extent_of(await self._bus.api(f"STREAM.INFO.{self.stream}", timeout_s=2))
        self._seen(extent.last)
        return extent

    async def end(self) -> int:
        """The last sequence of the log."""
        return (await self.extent()).last

    async def first(self) -> int:
        """The first sequence that the log still has."""
        return (await self.extent()).first

    async def next_after(self, where: str, sequence: int) -> StreamEntry | None:
        """The first entry at a filter of `subjects` behind a sequence. Raises BusError."""
        return await self._next(where, sequence + 1)

    async def page(self, where: str, start: int, *, limit: int = PAGE) -> list[Stored]:
        """The first events at a filter from `start` on, in order; none only if there are none.

        The node that is read may lag behind, so the leader is asked before saying so. Events that
        cannot be read are left out; a page of nothing else begins again behind them.
        """
        while True:
            found: list[Stored] = []
            async with (
                self._pages,
                self._reader([where], found.append, start=start, limit=limit) as reader,
            ):
                await reader.all_read()
                handled = reader.handled
            if found:
                return found
            if await self._next(where, handled + 1) is None:
                return []
            start = handled + 1
            await asyncio.sleep(LAG_S)

    async def read(self, where: str, *, start: int = 1, limit: int = 1000) -> list[Stored]:
        """What is stored now at a filter of `subjects`, oldest first: the last `limit` of it."""
        found: deque[Stored] = deque(maxlen=limit)
        await self.scan([where], found.append, start=start)
        return list(found)

    async def scan(
        self, filters: Sequence[str], on_event: Callable[[Stored], None], *, start: int
    ) -> None:
        """Hand over what is stored now at these filters, from `start` on, in order."""
        async with self.follow(filters, on_event, start=start) as reader:
            await reader.all_read()

    def follow(
        self, filters: Sequence[str], on_event: Callable[[Stored], None], *, start: int
    ) -> Reader:
        """Hand over every event of these filters from `start` on; it must hand off at once."""
        return self._reader(filters, on_event, start=start, limit=None)

    def _reader(
        self,
        filters: Sequence[str],
        on_event: Callable[[Stored], None],
        *,
        start: int,
        limit: int | None,
    ) -> Reader:
        def on_entry(entry: StreamEntry) -> None:
            if stored := self.open(entry):
                on_event(stored)

        return self._entries(self.absolute(filters), on_entry, start, limit)

    def _entries(
        self,
        where: Sequence[str],
        on_entry: Callable[[StreamEntry], None],
        start: int,
        limit: int | None,
    ) -> Reader:
        """What reads the stream; another one on a bus in memory."""
        return Reader(self._bus, self.stream, where, on_entry, start=start, limit=limit)

    def absolute(self, filters: Sequence[str]) -> list[str]:
        """Filters of `subjects` as this installation's."""
        return [self._prefix + where for where in filters]

    def open(self, entry: StreamEntry) -> Stored | None:
        """An entry's event; None, counted, for a body that does not name the entry's subject.

        None without a word for the record of an owner, which is no event.
        A reply subject is not checked by NATS permissions: what was forged through one is inert.
        """
        self._seen(entry.sequence)
        if subjects.is_owner(entry.subject.removeprefix(self._prefix)):
            return None
        try:
            event = decode_event(entry.body)
        except CodecError as error:
            self._drop(entry, str(error))
            return None
        if self._prefix + subjects.of_event(event) != entry.subject:
            self._drop(entry, "its body names another subject")
            return None
        return Stored(entry.sequence, entry.subject, event, entry.stored_at_ms)

    def _drop(self, entry: StreamEntry, why: str) -> None:
        self.dropped += 1
        metrics.dropped_entries.inc()
        logger.warning("dropped entry %d of the log: %s", entry.sequence, why)

    async def _last(self, subject: str) -> Stored | None:
        entry = await self._bus.last(self.stream, self._prefix + subject)
        if entry is None and self._ask_leader:
            entry = await self._leader({"last_by_subj": self._prefix + subject})
        elif entry is None:
            await asyncio.sleep(LAG_S)
            entry = await self._bus.last(self.stream, self._prefix + subject)
        return self.open(entry) if entry else None

    async def _from_leader(self, sequence: int) -> StreamEntry | None:
        """Ask the leader: a direct get may be answered by a follower that lags behind."""
        return await self._leader({"seq": sequence})

    async def _next(self, where: str, start: int) -> StreamEntry | None:
        """The first entry at a filter from `start` on, as the leader knows it."""
        return await self._leader({"seq": start, "next_by_subj": self._prefix + where})

    async def _leader(self, which: dict[str, Any]) -> StreamEntry | None:
        try:
            answer = await self._bus.api(f"STREAM.MSG.GET.{self.stream}", which)
        except StoreRefused as error:
            if error.code not in NOT_FOUND_CODES:
                raise
            return None
        message = answer["message"]
        body = base64.b64decode(message.get("data", ""))
        stored_at_ms = int(_unix_s(message["time"]) * 1000)
        return StreamEntry(message["subject"], int(message["seq"]), body, {}, stored_at_ms)

    def _seen(self, sequence: int) -> int:
        self.last_seen = max(self.last_seen, sequence)
        return sequence


class _Delays:
    """How long to wait before the next attempt at one write."""

    def __init__(self) -> None:
        self._soon, self._later = Backoff(0.005, 0.05), Backoff(0.02, RETRY_S)

    def after(self, error: BusError) -> float:
        """After this one, in seconds."""
        return (self._soon if _settles_soon(error) else self._later).next_s()


def _hopeless(error: BusError) -> bool:
    """Whether another attempt at once makes no sense."""
    if isinstance(error, TooLarge):
        return True
    return isinstance(error, StoreRefused) and error.code not in TRANSIENT


def _settles_soon(error: BusError) -> bool:
    """Whether it is a matter of the nodes of a cluster agreeing, and not of one that is away."""
    if isinstance(error, StoreRefused):
        return error.code in (ANOTHER_WRITE_IN_FLIGHT, SAME_WRITE_IN_FLIGHT)
    return isinstance(error, NotReadYet)


def _append_error(error: BusError, *, connected: bool) -> BusError:
    match error:
        case StoreRefused(code=code) if code in STORAGE_FULL:
            return BusUnavailable("the event log is full: free disk space or raise its limits")
        case NoResponders():
            return BusUnavailable("the event log does not exist: run `onebus bus setup`")
        case BusTimeout() if connected:
            return BusTimeout(f"the event log: {NO_ANSWER}")
        case BusTimeout() | BusUnavailable():
            return error
    return BusUnavailable(str(error))
