"""Documents as they were last seen, so that a message which changes none reads none.

Only while every change of the account's documents is followed, which the process that owns it does.
A copy may be a moment old, so it answers one question alone: is there nothing to change? What is
changed, or refused, is read anew.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec import Struct

from onebus.bucket import Bucket, Entry
from onebus.reader import Reader

MAX_BYTES = 8 << 20
"""Of all copies of an account as JSON; those not used for longest go first."""
MAX_EACH_BYTES = 64 << 10


class Copy(Struct, frozen=True):
    """A document with its revision, and its size as JSON."""

    document: Struct
    revision: int
    size_bytes: int


class Copies:
    """What was seen of the documents below one prefix of a bucket."""

    def __init__(self, bucket: Bucket, below: str) -> None:
        self._bucket = bucket
        self._below = below
        self._copies: OrderedDict[str, Copy] = OrderedDict()
        self._size_bytes = 0
        self._reader: Reader | None = None
        self.changes = 0
        """How many were heard of; what was read before the last one may be older than it."""

    @asynccontextmanager
    async def followed(self, on_change: Callable[[str, Entry], None]) -> AsyncIterator[None]:
        """Keep copies inside of the block; `on_change` gets every document, and each change."""

        def forget(key: str, entry: Entry | None) -> None:
            self.changes += 1
            copy = self._copies.get(key)
            if copy and (entry is None or entry.revision > copy.revision):
                self.drop(key)
            if entry:
                on_change(key, entry)

        async with self._bucket.follow(self._below, forget) as reader:
            self._reader = reader
            try:
                yield
            finally:
                self._reader = None
                self._copies.clear()
                self._size_bytes = 0

    def get(self, key: str) -> Struct | None:
        """A document that nobody has changed, as far as is known here."""
        if self._reader is None or not self._reader.current or key not in self._copies:
            return None
        self._copies.move_to_end(key)
        return self._copies[key].document

    def put(self, key: str, document: Struct, entry: Entry, changes: int) -> None:
        """Note what was read; `changes` is what it was when that began."""
        if self._reader is None or self.changes != changes:
            return
        self.drop(key)
        size_bytes = len(entry.value)
        if size_bytes <= MAX_EACH_BYTES:
            self._copies[key] = Copy(document, entry.revision, size_bytes)
            self._size_bytes += size_bytes
        while self._size_bytes > MAX_BYTES:
            self.drop(next(iter(self._copies)))

    def drop(self, key: str) -> None:
        """Keep no copy of this: it is being changed here."""
        if copy := self._copies.pop(key, None):
            self._size_bytes -= copy.size_bytes
