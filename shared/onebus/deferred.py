"""Actions that wait for their turn: one by one per account, at an interval (`_rate_limited`).

They wait in a stream, so neither the process that took one nor the owner of the account can lose
it. The owner starts each at most once: the account's cursor moves onto an entry *before* the
platform is called, and when the call is over an empty entry takes the place of the action. An
action that is still there at the cursor was cut short with its owner: it may have been done, so it
is reported and never repeated. What waits for longer than the stream keeps it is dropped.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol, TypeAlias, cast

import msgspec
from msgspec import Struct
from nats.nuid import NUID

from onebus import subjects
from onebus.action import Action, AnyAction, Response, action_name
from onebus.arrivals import Arrival
from onebus.backoff import Backoff
from onebus.bucket import Bucket, Conflict
from onebus.bus import (
    WRONG_LAST_SEQUENCE,
    Bus,
    NoResponders,
    StoreRefused,
    StreamEntry,
)
from onebus.caller import MAX_ACTION_BYTES
from onebus.codec import CodecError, check_version, decode, encode
from onebus.cursor import Cursor
from onebus.errors import (
    BadParams,
    BusError,
    BusTimeout,
    BusUnavailable,
    OutcomeUnknown,
    RateLimited,
)
from onebus.event import SCHEMA_VERSION
from onebus.ids import Account
from onebus.reader import Reader
from onebus.refusals import TRANSIENT

ATTEMPT_S = 2.0
PUT_S = 5.0
FULL = frozenset({10023, 10047, 10077})
WINDOW = 16
"""Entries that an owner holds in memory; what is behind them is read when these are done."""
LINGER_S = 1.0
"""How long the reader of a queue that is done with stays, for what may come next."""
OUTCOME_TTL = "600s"
"""How long the place of a finished action is kept: much longer than `put` tries again."""

_nuid = NUID()

Begun: TypeAlias = Literal["ours", "not_now", "another's"]


class Deferred(Struct, frozen=True, kw_only=True):
    """An action that waits; it starts at least `interval_ms` after the one before it."""

    account: Account
    id: str
    action: AnyAction
    interval_ms: int
    v: int = msgspec.field(default_factory=lambda: SCHEMA_VERSION)


async def put(bus: Bus, account: Account, action: Action[Any], *, interval_ms: int) -> None:
    """Let an action wait for its turn; when this returns, it is kept.

    Raises BadParams when it is too large, RateLimited when too much waits already, BusUnavailable
    when it was not kept, BusTimeout when nobody knows.
    """
    deferred = Deferred(
        account=account,
        id=_nuid.next().decode(),
        action=cast("AnyAction", action),
        interval_ms=interval_ms,
    )
    body = encode(deferred)
    if len(body) > MAX_ACTION_BYTES:
        raise BadParams(f"the call has {len(body)} bytes; at most {MAX_ACTION_BYTES} are taken")
    await _store(bus, f"{bus.prefix}.{subjects.deferred(account, deferred.id)}", body)


async def _store(bus: Bus, subject: str, body: bytes) -> None:
    """Store once, however often it is tried: the subject is this action's own."""
    deadline_s = time.monotonic() + PUT_S
    backoff = Backoff(0.05, 0.5)
    unknown: BusTimeout | None = None
    while True:
        try:
            await bus.store(subject, body, last_sequence=0, timeout_s=ATTEMPT_S)
            return
        except BusTimeout as error:
            unknown = error
        except (StoreRefused, NoResponders, BusUnavailable) as error:
            code = error.code if isinstance(error, StoreRefused) else 0
            if code == WRONG_LAST_SEQUENCE:  # an earlier attempt, whose ack was lost
                return
            if code not in TRANSIENT and unknown is None:
                raise _put_error(error) from error
        if time.monotonic() > deadline_s:
            raise unknown or BusTimeout("the action was not confirmed to be kept")
        await backoff.wait()


def _put_error(error: BusError) -> BusError | RateLimited:
    match error:
        case StoreRefused(code=code) if code in FULL:
            return RateLimited("too many calls wait for their turn already", retry_after_s=60)
        case NoResponders():
            return BusUnavailable("there is nowhere to keep it: run `onebus bus setup`")
        case BusUnavailable():
            return error
    return BusUnavailable(str(error))


class Owner(Protocol):
    """The process that serves the account, as far as the queue needs it."""

    def turn(self, action: Action[Any]) -> AbstractAsyncContextManager[None]:
        """Hold the action's turn among others of its chat; a clean stop waits for who holds one."""

    def taking(self) -> bool:
        """Whether something new may be started."""

    def owned(self) -> bool:
        """Whether the account is ours at this moment."""

    def call(self, action: Action[Any]) -> Awaitable[Response]:
        """Let the connector do it, now."""


class DeferredQueue:
    """What waits for one account, served for as long as this process owns it.

    It has a reader of its own only while something waits; `arrival` says when.
    """

    def __init__(
        self,
        bus: Bus,
        account: Account,
        owner: Owner,
        arrival: Arrival,
        logger: logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self.dropped = 0
        self._arrival = arrival
        self._bus = bus
        self._account = account
        self._owner = owner
        self._logger = logger
        self._cursor: Cursor | None = None
        self._left_at = 0
        self._run_id = _nuid.next().decode()
        self._started_at_s = time.monotonic()

    async def run(self) -> None:
        """Give each action its turn, until cancelled.

        The interval counts from here too: nobody knows when an earlier owner started its last.
        """
        next_sequence = await self._first()
        while True:
            await self._arrival.reaches(next_sequence)
            next_sequence = await self._read_window(next_sequence)

    async def _first(self) -> int:
        """Where the last owner was: that entry shows whether it was finished."""
        backoff = Backoff(0.1, 2)
        while True:
            try:
                self._cursor = await self._loaded()
                self._left_at = _sequence_of(self._cursor)
                return max(self._left_at, 1)
            except BusError as error:
                self._logger.debug("deferred actions wait for NATS: %s", error)
                await backoff.wait()

    async def _read_window(self, start: int) -> int:
        """Serve entries from `start` on until none is left, or until the window was too small.

        Returns where to go on.
        """
        window: asyncio.Queue[StreamEntry] = asyncio.Queue(WINDOW)
        missed = False

        def on_entry(entry: StreamEntry) -> None:
            nonlocal missed
            if not entry.body:  # an outcome
                return
            missed = missed or window.full()
            if not missed:
                window.put_nowait(entry)

        where = f"{self._bus.prefix}.{subjects.deferred_of(self._account)}"
        async with Reader(
            self._bus, f"{self._bus.prefix}_deferred", [where], on_entry, start=start
        ) as reader:
            while not (missed and window.empty()):
                entry = await _next_of(window)
                if entry:
                    await self._serve(entry)
                    start = entry.sequence + 1
                elif not missed and window.empty() and reader.handled >= self._arrival.last:
                    return reader.handled + 1
        return start

    async def _serve(self, entry: StreamEntry) -> None:
        deferred = self._opened(entry)
        if deferred is None:
            return
        if entry.sequence == self._left_at:
            self._logger.warning(
                "deferred %s was cut short when its owner ended: it may have been done, and is not"
                " repeated",
                action_name(deferred.action),
            )
            await self._settle(entry, OutcomeUnknown.code)
            return
        backoff = Backoff(0.1, 1)
        while not await self._dealt_with(entry, deferred):
            await backoff.wait()

    async def _dealt_with(self, entry: StreamEntry, deferred: Deferred) -> bool:
        """Start an entry; False when that is not possible now, and it was not started."""
        due_s = self._started_at_s + deferred.interval_ms / 1000
        await asyncio.sleep(due_s - time.monotonic())
        async with self._owner.turn(deferred.action):
            begun = await self._begin(entry.sequence)
            if begun == "ours":
                self._started_at_s = time.monotonic()
                response = await self._owner.call(deferred.action)
                await self._settle(entry, self._told(deferred.action, response))
        if begun == "another's":
            self._logger.warning("a deferred action was started by another owner of the account")
        return begun != "not_now"

    async def _begin(self, sequence: int) -> Begun:
        """Move the cursor onto an entry: from then on nobody else starts it."""
        if not self._owner.taking():
            return "not_now"
        mark = f"{sequence} {self._run_id}"
        try:
            # A write whose answer was lost may have landed: then the mark in the bucket is ours.
            cursor, self._cursor = self._cursor or await self._loaded(), None
            if cursor.position != mark:
                if _sequence_of(cursor) >= sequence:
                    self._cursor = cursor
                    return "another's"
                await cursor.move(mark)
                await cursor.save()
            self._cursor = cursor
        except (BusError, Conflict) as error:
            self._logger.debug("the cursor of deferred actions did not move: %s", error)
            return "not_now"
        return "ours" if self._owner.owned() else "not_now"

    def _told(self, action: Action[Any], response: Response) -> str:
        """The outcome in a word; a failure goes to the log, for nobody else hears of it."""
        if response.error is None:
            return "ok"
        error = response.error
        self._logger.info("deferred %s: %s: %s", action_name(action), error.code, error.text)
        return error.code

    async def _settle(self, entry: StreamEntry, outcome: str) -> None:
        """Put the outcome in the action's place."""
        headers = {"Onebus-Outcome": outcome, "Nats-TTL": OUTCOME_TTL}
        try:
            await self._bus.store(entry.subject, b"", last_sequence=entry.sequence, headers=headers)
        except BusError as error:
            self._logger.debug("the outcome of a deferred action was not kept: %s", error)

    def _opened(self, entry: StreamEntry) -> Deferred | None:
        """An entry's action; None, counted, for a body that does not name the entry's subject."""
        try:
            deferred = decode(entry.body, Deferred)
            check_version(deferred.v)
        except CodecError as error:
            self._drop(entry, str(error))
            return None
        subject = f"{self._bus.prefix}.{subjects.deferred(deferred.account, deferred.id)}"
        if subject != entry.subject:
            self._drop(entry, "its body names another subject")
            return None
        return deferred

    def _drop(self, entry: StreamEntry, why: str) -> None:
        self.dropped += 1
        self._logger.warning("dropped deferred action %d: %s", entry.sequence, why)

    async def _loaded(self) -> Cursor:
        key = f"account.{subjects.account_key(self._account)}.deferred"
        cursor = Cursor(Bucket(self._bus, "cursors"), key)
        await cursor.load()
        return cursor


async def _next_of(window: asyncio.Queue[StreamEntry]) -> StreamEntry | None:
    """The next entry; None when none came for a while."""
    try:
        async with asyncio.timeout(LINGER_S):
            return await window.get()
    except TimeoutError:
        return None


def _sequence_of(cursor: Cursor) -> int:
    """The entry that was started last; 0 before the first."""
    return int((cursor.position or "0").partition(" ")[0])
