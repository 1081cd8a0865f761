"""Documents of one kind in NATS, changed by compare-and-set.

Every replica of the connector may change them, and none holds in memory what NATS does not.
"""

from collections.abc import Callable
from typing import Generic, TypeVar, cast

from msgspec import Struct

from connectors.sandbox.copies import Copies
from onebus import subjects
from onebus.backoff import Backoff
from onebus.bucket import Bucket, Conflict, Entry
from onebus.codec import decode, encode
from onebus.errors import ActionError, Forbidden, PlatformUnavailable
from onebus.reader import Reader

ATTEMPTS = 30
"""How often a change starts again because somebody else was faster."""

MAX_BYTES = 512 << 10
"""A document fits into one NATS message."""

D = TypeVar("D", bound=Struct)


class Changed(Struct, Generic[D], frozen=True):
    """A document before and after a change; `before` is None when the change made it."""

    before: D | None
    after: D


class Documents(Generic[D]):
    """All documents of a kind that an account has. All calls raise BusError when NATS is away."""

    def __init__(
        self, bucket: Bucket, copies: Copies, below: str, kind: type[D], most: int
    ) -> None:
        self._bucket = bucket
        self._copies = copies
        self._below = below
        self._kind = kind
        self._most = most

    async def get(self, *name: str) -> D | None:
        """The document of this name."""
        entry = await self._bucket.get(self._key(name))
        return decode(entry.value, self._kind) if entry else None

    async def all(self) -> list[D]:
        """Every document, in the order of their last changes."""
        return [decode(e.value, self._kind) for e in await self._bucket.entries(self._below)]

    async def change(self, change: Callable[[D | None], D], *name: str) -> Changed[D]:
        """Change a document, or make it; `change` is pure and called again after a lost race.

        Raises what `change` raises, Forbidden when there are too many or it gets too large, and
        PlatformUnavailable when too many change it at once.
        """
        key, backoff = self._key(name), Backoff(0.002, 0.1)
        if (copy := self._unchanged(key, change)) is not None:
            return Changed(copy, copy)
        for _ in range(ATTEMPTS):
            changes = self._copies.changes
            entry = await self._bucket.get(key)
            before = decode(entry.value, self._kind) if entry else None
            after = change(before)
            if entry and after == before:
                self._copies.put(key, after, entry, changes)
                return Changed(before, after)
            if await self._written(key, _encoded(after, name), entry):
                return Changed(before, after)
            await backoff.wait()
        raise PlatformUnavailable(f"too many changes of {name[-1]} at once; try again")

    def _unchanged(self, key: str, change: Callable[[D | None], D]) -> D | None:
        """A copy that needs no change; what a refusal is about may be another by now."""
        if (copy := cast("D | None", self._copies.get(key))) is None:
            return None
        try:
            return copy if change(copy) == copy else None
        except ActionError:
            return None

    async def remove(self, check: Callable[[D], object], *name: str) -> D | None:
        """Remove a document, unless `check` raises; returns what it was."""
        key, backoff = self._key(name), Backoff(0.002, 0.1)
        for _ in range(ATTEMPTS):
            if (entry := await self._bucket.get(key)) is None:
                return None
            document = decode(entry.value, self._kind)
            check(document)
            self._copies.drop(key)
            try:
                await self._bucket.delete(key, entry.revision)
            except Conflict:
                await backoff.wait()
            else:
                return document
        raise PlatformUnavailable(f"too many changes of {name[-1]} at once; try again")

    def follow(self, on_change: Callable[[D], None]) -> Reader:
        """Hand over every document as it is now, and each that changes from now on."""

        def on_entry(_: str, entry: Entry | None) -> None:
            if entry:
                on_change(decode(entry.value, self._kind))

        return self._bucket.follow(self._below, on_entry)

    def has(self, key: str) -> bool:
        """Whether a key of the bucket is that of a document of this kind."""
        return key.startswith(f"{self._below}.")

    async def _written(self, key: str, value: bytes, entry: Entry | None) -> bool:
        """Whether the value went in; False when somebody else was faster."""
        self._copies.drop(key)
        try:
            if entry:
                await self._bucket.update(key, value, entry.revision)
            else:
                if len(await self._bucket.entries(self._below)) >= self._most:
                    raise Forbidden(f"there are {self._most} of this kind already")
                await self._bucket.create(key, value)
        except Conflict:
            return False
        return True

    def _key(self, name: tuple[str, ...]) -> str:
        return f"{self._below}.{subjects.key(*name)}"


def _encoded(document: Struct, name: tuple[str, ...]) -> bytes:
    value = encode(document)
    if len(value) > MAX_BYTES:
        raise Forbidden(f"there is no room for more in {name[-1]}")
    return value
