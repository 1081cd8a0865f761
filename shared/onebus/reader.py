"""The one reader of streams: the event log, and buckets that must be followed.

An ephemeral push consumer without acks. Frames are taken while they are read from the connection,
flow control and heartbeats in order with the data. The consumer is made anew at the last handled
entry + 1 after a reconnect, a gap in its own sequence, or `SILENCE_S` without any frame. Frames of
an earlier consumer arrive on another inbox and are not seen. (nats-py's ordered consumer starts
again at sequence 1 when it is reset while idle; see docs/adr.)
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from nats.aio.msg import Msg
from nats.nuid import NUID

from onebus.backoff import Backoff
from onebus.bus import NOT_FOUND_CODES, Bus, StoreRefused, StreamEntry
from onebus.errors import BusError, BusTimeout, OnebusError
from onebus.service import guarded_call
from onebus.waiting import at_most

logger = logging.getLogger(__name__)

SILENCE_S = 3.0
READ_S = 10.0
HEARTBEAT_NS = 1_000_000_000
CREATE_S = (0.5, 0.5, 1.0, 2.0, 4.0)
"""How long a try to make a consumer waits, and the next, …; the last one for all that follow.

A cluster gives a consumer to a node that has just died as readily as to another, and then nobody
answers: short tries first, each of another consumer, and longer ones for a server that is slow.
"""
DELETE_S = 0.3
"""Nobody answers for a consumer whose node is dead."""
ASKS = 20
"""How often, at most, it is asked after a failed try whether anybody makes consumers now."""
RETRY_S = 0.5
GATHER_S = 0.25
"""Filter changes that come within this time make one new consumer."""

_nuid = NUID()


class Place(NamedTuple):
    """Where an entry is: in its stream, in the row of its consumer; when it was stored."""

    sequence: int
    consumer_sequence: int
    stored_at_ms: int


def place_of(reply: str) -> Place | None:
    """What the reply subject of an entry says; None where it is none (a server's status)."""
    if not reply.startswith("$JS.ACK."):  # a server lets nobody else reply like this
        return None
    # $JS.ACK.[domain.account.]stream.consumer.delivered.stream_seq.consumer_seq.time.pending…
    tokens = reply.split(".")
    first = 5 if len(tokens) < 11 else 7
    sequence, consumer_sequence, stored_at_ns = map(int, tokens[first : first + 3])
    return Place(sequence, consumer_sequence, stored_at_ns // 1_000_000)


class _NotMade(BusError):
    """Nobody answered the request for a consumer of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"consumer {name} was not made in time")
        self.name = name


def _ignore(entry: StreamEntry) -> None:
    """Nobody reads any more."""


class Reader:
    """Entries of a stream from `start` on, in order, each handed to `on_entry` once.

    `on_entry` must hand off and return at once. `handled` is the sequence up to which everything
    that matches the filters was handed over. `caught_up` is set once what was waiting has been
    handed over, or `limit` entries, after which nothing more comes. Use as an async context
    manager.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        filters: Sequence[str],
        on_entry: Callable[[StreamEntry], None],
        *,
        start: int,
        limit: int | None = None,
    ) -> None:
        self._bus = bus
        self._left = limit
        self._stream = stream
        self._filters = list(filters)
        self._on_entry = on_entry
        self.handled = start - 1
        self.caught_up = asyncio.Event()
        self._broken = asyncio.Event()
        self._gathering = False
        self._generation = 0
        self._not_made = 0
        self._last_frame = time.monotonic()
        self._consumer_sequence = 0
        self._backlog = 0
        self._backlog_known = False
        self._current = False
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> "Reader":
        self._forget = self._bus.on_ready(self._broken.set)
        await self._group.__aenter__()
        self._task = self._group.create_task(self._run())
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._forget()
        self._generation += 1  # nothing is taken any more
        self._task.cancel()
        await self._group.__aexit__(*error)
        # nats-py holds what has ended until Python looks for garbage: not what was read, too.
        self._on_entry = _ignore

    @property
    def current(self) -> bool:
        """Whether all that was stored is handed over, and what is stored now will be at once."""
        return self._current and not self._broken.is_set() and self._bus.connected

    def skip_to(self, sequence: int) -> None:
        """Begin after this entry; only while there are no filters, so that nothing is passed by."""
        if not self._filters:
            self.handled = max(self.handled, sequence)

    async def ended(self) -> None:
        """Wait for as long as the reader runs: until cancelled."""
        await asyncio.shield(self._task)

    async def all_read(self, timeout_s: float = READ_S) -> None:
        """Wait until what is stored now was handed over. Raises BusTimeout."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.caught_up.wait()
        except TimeoutError:
            raise BusTimeout(f"reading {self._stream} took too long") from None

    def set_filters(self, filters: Sequence[str]) -> None:
        """Read other subjects from the next entry on; none at all is allowed."""
        if sorted(filters) != sorted(self._filters):
            self._filters = list(filters)
            self._gathering = True
            self.caught_up.clear()
            self._broken.set()

    async def _run(self) -> None:
        backoff = Backoff(0.1, RETRY_S)
        while True:
            if self._gathering:
                self._gathering = False
                await asyncio.sleep(GATHER_S)
            self._broken.clear()
            try:
                await self._read_until_broken()
                backoff.reset()
            except _NotMade as error:
                logger.debug("reader of %s: no consumer was made in time", self._stream)
                await self._until_asked(error.name)
            except BusError as error:
                logger.debug("reader of %s: %s", self._stream, error)
                await self._pause(backoff.next_s())

    async def _pause(self, delay_s: float) -> None:
        """Wait, but not past the moment when NATS comes back."""
        async with at_most(delay_s):
            await self._broken.wait()

    async def _read_until_broken(self) -> None:
        if not self._filters:
            self.caught_up.set()
            await self._broken.wait()
            return
        self._generation += 1
        name, inbox = _nuid.next().decode(), self._bus.inbox()
        subscription = await self._bus.subscribe_direct(inbox, self._taker())
        try:
            await self._create(name, inbox)
            while not self._broken.is_set():
                left_s = self._last_frame + SILENCE_S - time.monotonic()
                if left_s < 0:
                    logger.info("reader of %s was silent; starting it anew", self._stream)
                    return
                await self._pause(left_s)
        finally:
            self._generation += 1
            await self._bus.unsubscribe(subscription)
            await self._delete(name)

    def _taker(self) -> Callable[[Msg], None]:
        """What takes the frames of the consumer that is about to be made, and of no other."""
        generation, what = self._generation, f"an entry of {self._stream}"

        def take(message: Msg) -> None:
            # Once broken, nothing counts as handled: new filters must not pass anything by.
            if generation == self._generation and not self._broken.is_set():
                try:
                    guarded_call(partial(self._take, message), what)
                except OnebusError as error:  # it costs that entry alone
                    logger.debug("%s was passed by: %s", what, error)

        return take

    async def _create(self, name: str, inbox: str) -> None:
        """Make the consumer; what it finds waiting is the way to knowing when we caught up."""
        self._consumer_sequence = 0
        self._current = False
        config: dict[str, Any] = {
            "name": name,
            "deliver_subject": inbox,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self.handled + 1,
            "ack_policy": "none",
            "replay_policy": "instant",
            "flow_control": True,
            "idle_heartbeat": HEARTBEAT_NS,
            "mem_storage": True,
            "num_replicas": 1,
        }
        operation = f"CONSUMER.CREATE.{self._stream}.{name}"
        if len(self._filters) == 1:  # part of the subject, so that permissions can hang on it
            config["filter_subject"] = self._filters[0]
            operation = f"{operation}.{self._filters[0]}"
        else:
            config["filter_subjects"] = self._filters
        body = {"stream_name": self._stream, "config": config, "action": "create"}
        self._last_frame = time.monotonic()
        # Entries may arrive before the answer; they are counted off the backlog afterwards.
        self._backlog, self._backlog_known = 0, False
        timeout_s = CREATE_S[min(self._not_made, len(CREATE_S) - 1)]
        self._not_made += 1
        try:
            answer = await self._bus.api(operation, body, timeout_s=timeout_s)
        except BusTimeout as error:
            raise _NotMade(name) from error
        self._not_made = 0
        self._backlog += int(answer["num_pending"]) + int(answer["delivered"]["consumer_seq"])
        self._backlog_known = True
        self._check_caught_up()

    async def _until_asked(self, name: str) -> None:
        """Wait for who makes consumers: while a cluster elects it, requests are simply lost.

        It alone answers for one that does not exist, or not any more, as that of the failed try.
        """
        for _ in range(ASKS):
            if self._broken.is_set() or await self._delete(name):
                return
            await self._pause(0.05)

    async def _delete(self, name: str) -> bool:
        """Remove a consumer, if there is one; whether anybody answered."""
        if not self._bus.connected:
            return False
        try:
            await self._bus.api(f"CONSUMER.DELETE.{self._stream}.{name}", timeout_s=DELETE_S)
        except StoreRefused as error:
            return error.code in NOT_FOUND_CODES
        except BusError:
            return False
        return True

    def _take(self, message: Msg) -> None:
        self._last_frame = time.monotonic()
        headers = message.headers
        if headers and "Status" in headers and not message.reply.startswith("$JS.ACK"):
            self._on_status(message, headers)
            return
        place = place_of(message.reply)
        if place is None or self._left == 0:
            return
        if place.consumer_sequence != self._consumer_sequence + 1:
            self._broken.set()
            return
        self._consumer_sequence = place.consumer_sequence
        self.handled = place.sequence
        entry = StreamEntry(
            message.subject, place.sequence, message.data, headers or {}, place.stored_at_ms
        )
        self._on_entry(entry)
        self._count()

    def _count(self) -> None:
        """Note that one more was handed over."""
        self._backlog -= 1
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self.caught_up.set()
        self._check_caught_up()

    def _on_status(self, message: Msg, headers: dict[str, str]) -> None:
        if answer_to := message.reply or headers.get("Nats-Consumer-Stalled"):  # flow control
            self._group.create_task(self._answer(answer_to))
        elif int(headers.get("Nats-Last-Consumer", "0")) != self._consumer_sequence:
            self._broken.set()  # the tail was lost
        else:
            self._on_heartbeat(int(headers.get("Nats-Last-Stream", "0")))

    async def _answer(self, subject: str) -> None:
        """Let NATS send more; without a connection the consumer is made anew anyway."""
        with contextlib.suppress(BusError):
            await self._bus.publish(subject)

    def _on_heartbeat(self, looked_until: int) -> None:
        """All frames arrived, and the consumer's own node has looked at entries up to here.

        Only that node knows: it may lag behind the stream's leader, whose end says nothing.
        """
        if not self._broken.is_set():
            self.handled = max(self.handled, looked_until)
        if self._backlog_known:  # what is missing from the backlog was removed meanwhile
            self._backlog = 0
            self._check_caught_up()

    def _check_caught_up(self) -> None:
        """Note when all that was stored at the consumer's creation has been handed over."""
        if self._backlog_known and self._backlog <= 0 and not self._broken.is_set():
            self._backlog_known = False
            self._current = True
            self.caught_up.set()
