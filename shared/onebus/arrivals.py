"""Which accounts of a platform have actions that wait for their turn: one reader says it for all.

A consumer for each account would cost NATS 50 KiB and a heartbeat a second, mostly for queues that
are empty, and a stream has no more than 10,000 of them.
"""

from collections.abc import Iterable

from onebus import subjects
from onebus.bus import Bus, StreamEntry
from onebus.ids import Account, Platform
from onebus.reader import Reader
from onebus.waiting import Flag


class Arrival:
    """The last action that was put into one account's queue, whoever owns the account."""

    def __init__(self) -> None:
        self.last = 0
        self._more = Flag()

    def note(self, sequence: int) -> None:
        """Another one, or the same again."""
        self.last = max(self.last, sequence)
        self._more.set()

    async def reaches(self, sequence: int) -> None:
        """Wait until there is one that is not before this place in the queue."""
        while self.last < sequence:
            self._more.clear()
            await self._more.wait()


class Arrivals:
    """Those of all accounts that this process may own."""

    def __init__(self, bus: Bus, platform: Platform, accounts: Iterable[Account]) -> None:
        self._bus = bus
        self._where = f"{bus.prefix}.{subjects.deferred_on(platform)}"
        self._of = {subjects.account_key(account): Arrival() for account in accounts}

    def of(self, account: Account) -> Arrival:
        """The account's."""
        return self._of[subjects.account_key(account)]

    async def run(self) -> None:
        """Read what waits, and what comes, until cancelled."""
        stream = f"{self._bus.prefix}_deferred"
        async with Reader(self._bus, stream, [self._where], self._on_entry, start=1) as reader:
            await reader.ended()

    def _on_entry(self, entry: StreamEntry) -> None:
        if not entry.body:  # an outcome
            return
        subject = entry.subject.removeprefix(f"{self._bus.prefix}.")
        if arrival := self._of.get(subjects.account_of_deferred(subject)):
            arrival.note(entry.sequence)
