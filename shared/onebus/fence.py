"""Events of a platform that gives them no ids of their own: a stale owner cannot store any.

Where ids are stable, a second copy lands on the subject of the first and is refused. Where they are
synthetic nothing would stop it. There each owner writes a record of its own into the log, and every
event is appended on condition that this record is still the account's last one (checked by the
server, in one step with the append).
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import msgspec
from msgspec import Struct

from onebus import subjects
from onebus.bus import WRONG_LAST_SEQUENCE, Bus, StoreRefused
from onebus.codec import encode
from onebus.errors import BusUnavailable
from onebus.event import SCHEMA_VERSION, Event
from onebus.ids import Account
from onebus.log import Log, NotReadYet

TAKE_S = 10.0


class NotOwner(BusUnavailable):
    """Another process owns the account, or it was not certain in time that none does."""


class OwnerRecord(Struct, frozen=True):
    """Who writes the account's events from here on; readers of events pass it by."""

    account: Account
    v: int = msgspec.field(default_factory=lambda: SCHEMA_VERSION)


class Fence:
    """Appends the events of one account, for as long as this process owns it.

    One append at a time: on a cluster a second one in flight would be refused. An event that is
    appended again within two minutes (the stream's duplicate window) is one entry.
    """

    def __init__(self, bus: Bus, log: Log, account: Account, owned: Callable[[], bool]) -> None:
        self._bus = bus
        self._log = log
        self._account = account
        self._owned = owned
        self._subject = f"{bus.prefix}.{subjects.owner(account)}"
        self._record = 0
        self._one = asyncio.Lock()

    async def take(self, *, timeout_s: float = TAKE_S) -> None:
        """Shut out every owner of before; at the start, before anything is received.

        Raises NotOwner, BusUnavailable or BusTimeout.
        """
        async with self._one:
            self._record = 0
            await self._log.retried(self._take_once, timeout_s=timeout_s)

    async def append(self, event: Event, *, timeout_s: float = 10) -> int:
        """Store an event; returns the sequence of its entry.

        Raises NotOwner; BusUnavailable or BusTimeout: then it may be stored, and appending it again
        gives the same sequence.
        """
        deadline = time.monotonic() + timeout_s
        async with self._one:
            attempt = partial(self._append_once, event)
            return await self._log.retried(attempt, timeout_s=deadline - time.monotonic())

    async def _append_once(self, event: Event, timeout_s: float) -> int:
        subject = f"{self._bus.prefix}.{subjects.of_event(event)}"
        if not self._record:
            await self._take_once(timeout_s)
        self._check()
        try:
            return await self._bus.store(
                subject,
                encode(event),
                last_sequence=self._record,
                last_of=self._subject,
                headers={"Nats-Msg-Id": subject},
                timeout_s=timeout_s,
            )
        except StoreRefused as error:
            if error.code != WRONG_LAST_SEQUENCE:
                raise
            self._record = 0  # if the account is ours all the same, the log has forgotten it
            raise NotReadYet("our record is not the last one any more") from error

    async def _take_once(self, timeout_s: float) -> int:
        """Write our record behind the last one."""
        last = await self._bus.last(self._log.stream, self._subject)
        self._check()
        try:
            self._record = await self._bus.store(
                self._subject,
                encode(OwnerRecord(self._account)),
                last_sequence=last.sequence if last else 0,
                timeout_s=timeout_s,
            )
        except StoreRefused as error:
            if error.code != WRONG_LAST_SEQUENCE:
                raise
            raise NotReadYet("the last record cannot be read yet") from error
        return self._record

    def _check(self) -> None:
        if not self._owned():
            raise NotOwner(f"{self._account} is served by another process, or may be")
