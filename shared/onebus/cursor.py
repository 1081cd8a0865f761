"""How far something got: a push target in the log, or a connector in its platform's feed.

A cursor is one key, moved by compare-and-set, so a stale owner cannot move it. Moves are saved at
most once a second or every `EVERY` steps, and at once by `save`.
"""

import contextlib
import time

from onebus import subjects
from onebus.bucket import Bucket, Conflict
from onebus.errors import BusError
from onebus.ids import Account

EVERY = 32
INTERVAL_S = 1.0


class Cursor:
    """One cursor; `position` is the text that was last saved or moved to, None before the first.

    Raises Conflict when another process moved it: then this one no longer owns what it reads.
    """

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._revision = 0
        self._steps = 0
        self._saved_at = 0.0
        self._unsure: bytes | None = None
        self.position: str | None = None

    @property
    def saved(self) -> bool:
        """Whether every move is saved."""
        return self._steps == 0

    async def load(self) -> str | None:
        """Read where the last owner got to."""
        entry = await self._bucket.get(self._key)
        self._revision = entry.revision if entry else 0
        self.position = entry.value.decode() if entry else None
        self._steps, self._unsure = 0, None
        return self.position

    async def move(self, position: str) -> None:
        """Note a new position, and save it when it is time to. Only after the log's ack.

        A save that NATS does not take is made with a later move, or by `save`.
        """
        self.position = position
        self._steps += 1
        if self._steps >= EVERY or time.monotonic() - self._saved_at >= INTERVAL_S:
            with contextlib.suppress(BusError):
                await self.save()

    async def save(self) -> None:
        """Save the position now; when the owner stops, say."""
        if self._steps == 0 or self.position is None:
            return
        await self._settle()
        value = self._unsure = self.position.encode()
        try:
            if self._revision:
                self._revision = await self._bucket.update(self._key, value, self._revision)
            else:
                self._revision = await self._bucket.create(self._key, value)
        except Conflict:
            self._unsure = None
            raise
        self._unsure = None
        self._steps, self._saved_at = 0, time.monotonic()

    async def _settle(self) -> None:
        """Was the write whose ack we did not see our own? Then it is no other owner's."""
        if self._unsure is None:
            return
        entry = await self._bucket.get(self._key)
        if entry and entry.value == self._unsure:
            self._revision = entry.revision
        self._unsure = None


def feed_key(account: Account, name: str) -> str:
    """The key of an account's place in one of its platform's feeds."""
    return f"account.{subjects.account_key(account)}.feed.{subjects.escape(name)}"
