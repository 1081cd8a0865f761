"""Dead letters: events that a bot was not given, or did not take, with the reason.

They are kept for people to look at; nothing is sent from here again.
"""

import time
from datetime import UTC, datetime

from msgspec import Raw, Struct

from onebus import subjects
from onebus.bus import Bus, StreamEntry
from onebus.codec import CodecError, decode, encode
from onebus.reader import Reader


class DeadLetter(Struct, frozen=True):
    """One event for one bot. `target` is its address without a query, `event` the JSON it gets.

    `time_ms`: when it was given up, unix milliseconds.
    """

    account: str
    target: str
    event_id: str
    reason: str
    event: Raw
    time_ms: int
    v: int = 1

    def __str__(self) -> str:
        """One line for people, without the event's content."""
        when = datetime.fromtimestamp(self.time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return f"{when} UTC  {self.account}  event {self.event_id}  {self.target}: {self.reason}"


class DeadLetters:
    """The dead letters of an installation, oldest first."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._prefix = f"{bus.prefix}."
        self._stream = f"{bus.prefix}_dead"

    async def add(self, target_key: str, letter: DeadLetter) -> None:
        """Keep one. Raises BusError."""
        await self._bus.store(self._prefix + subjects.dead(target_key), encode(letter))

    async def all(self) -> list[DeadLetter]:
        """All that are kept. Raises BusError."""
        found: list[DeadLetter] = []

        def on_entry(entry: StreamEntry) -> None:
            try:
                found.append(decode(entry.body, DeadLetter))
            except CodecError:
                return

        where = [self._prefix + subjects.DEAD]
        async with Reader(self._bus, self._stream, where, on_entry, start=1) as reader:
            await reader.all_read()
        return found


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000
