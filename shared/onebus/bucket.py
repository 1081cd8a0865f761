"""A NATS key-value bucket, by direct gets and compare-and-set writes.

Not nats-py's KV: its watch and its create have traps that its users have paid for (docs/adr).
"""

import time
from collections.abc import Callable

from msgspec import Struct

from onebus.backoff import Backoff
from onebus.bus import WRONG_LAST_SEQUENCE, Bus, StoreRefused, StreamEntry
from onebus.errors import BusTimeout, OnebusError
from onebus.reader import Reader

READ_S = 5.0
STORE_S = 5.0
_DELETED = {"KV-Operation": "DEL"}


class Conflict(OnebusError):
    """The key has changed, or exists already; read it again."""


class Entry(Struct, frozen=True):
    """A key's value, and the revision that a change must name."""

    key: str
    value: bytes
    revision: int


class Bucket:
    """One bucket. Keys come from `subjects.key`. All calls raise BusError when NATS is away."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self.stream = f"KV_{bus.prefix}_{name}"
        self._subject = f"$KV.{bus.prefix}_{name}."

    async def get(self, key: str) -> Entry | None:
        """The value of a key, None when it has none."""
        stored = await self._bus.last(self.stream, self._subject + key)
        return self._entry(stored) if stored else None

    async def existing(self, key: str) -> Entry:
        """The value of a key that is known to have one: a node of a cluster may not know it yet.

        Raises BusTimeout when it has none after all.
        """
        deadline = time.monotonic() + READ_S
        backoff = Backoff(0.005, 0.05)
        while (entry := await self.get(key)) is None:
            if time.monotonic() > deadline:
                raise BusTimeout(f"{key} exists and cannot be read")
            await backoff.wait()
        return entry

    async def create(self, key: str, value: bytes) -> int:
        """Write a key that has no value; returns the revision. Raises Conflict."""
        try:
            return await self._store(key, value, 0)
        except Conflict:
            stored = await self._bus.last(self.stream, self._subject + key)
            if stored is None or self._entry(stored) is not None:
                raise
            return await self._store(key, value, stored.sequence)

    async def update(
        self, key: str, value: bytes, revision: int, *, timeout_s: float = STORE_S
    ) -> int:
        """Replace the value of this revision; returns the new one. Raises Conflict."""
        return await self._store(key, value, revision, timeout_s=timeout_s)

    async def put(self, key: str, value: bytes) -> int:
        """Write whatever was there before; returns the revision."""
        return await self._bus.store(self._subject + key, value)

    async def delete(self, key: str, revision: int | None = None) -> None:
        """Remove the value, of this revision if one is given. Raises Conflict."""
        await self._store(key, b"", revision, headers=_DELETED)

    async def entries(self, prefix: str) -> list[Entry]:
        """All keys below a prefix (given without its last dot), in the order of their changes."""
        found: dict[str, Entry | None] = {}

        def on_entry(stored: StreamEntry) -> None:
            found[stored.subject] = self._entry(stored)

        async with self._reader(prefix, on_entry) as reader:
            await reader.all_read(READ_S)
        return [entry for entry in found.values() if entry]

    def follow(self, prefix: str, on_change: Callable[[str, Entry | None], None]) -> Reader:
        """Every change below a prefix, from the current values on; None for a removed key."""

        def on_entry(stored: StreamEntry) -> None:
            on_change(stored.subject.removeprefix(self._subject), self._entry(stored))

        return self._reader(prefix, on_entry)

    async def keys_now(self) -> set[str]:
        """The keys that exist at this moment, from one look at the stream's state."""
        info = await self._bus.api(
            f"STREAM.INFO.{self.stream}", {"subjects_filter": f"{self._subject}>"}, timeout_s=2
        )
        return {
            subject.removeprefix(self._subject) for subject in info["state"].get("subjects", {})
        }

    def _reader(self, prefix: str, on_entry: Callable[[StreamEntry], None]) -> Reader:
        """What reads below a prefix; another one on a bus in memory."""
        return Reader(self._bus, self.stream, [self._below(prefix)], on_entry, start=1)

    def _below(self, prefix: str) -> str:
        return f"{self._subject}{prefix}.>" if prefix else f"{self._subject}>"

    def _entry(self, stored: StreamEntry) -> Entry | None:
        if "KV-Operation" in stored.headers or "Nats-Marker-Reason" in stored.headers:
            return None
        key = stored.subject.removeprefix(self._subject)
        return Entry(key, stored.body, stored.sequence)

    async def _store(
        self,
        key: str,
        value: bytes,
        revision: int | None,
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float = STORE_S,
    ) -> int:
        subject = self._subject + key
        try:
            return await self._bus.store(
                subject, value, last_sequence=revision, headers=headers, timeout_s=timeout_s
            )
        except StoreRefused as error:
            if error.code == WRONG_LAST_SEQUENCE:
                raise Conflict(f"{key} was changed by somebody else") from error
            raise
