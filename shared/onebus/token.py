"""A platform's access tokens, shared by all replicas: one of them fetches, all use it.

On many platforms a new token ends the one before, so two replicas must never fetch at once: who
wants to says so in the entry first, by compare-and-set, and the others wait for what comes of it.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from onebus import subjects
from onebus.backoff import Backoff
from onebus.bucket import Bucket, Conflict, Entry
from onebus.codec import decode, encode
from onebus.errors import BusError, BusTimeout
from onebus.ids import Account

TOKEN_MARGIN_S = 300.0
"""A token so close to its end is replaced; one of a short life when a quarter of it is left."""
FETCH_S = 15.0
"""For how long others wait for the one that fetches; it may have died."""
WAIT_S = 40.0


class Token(Struct, frozen=True):
    """A platform's access token; unix seconds."""

    value: str
    expires_at_s: float


class TokenSource(Protocol):
    """Fetches a new token from the platform. Raises ActionError or SetupError."""

    async def __call__(self) -> Token:
        """A token that the platform just made."""


class _Shared(Struct, frozen=True):
    """What replicas share; `fetching_until_s`: one of them is about to replace it."""

    value: str = ""
    expires_at_s: float = 0.0
    fetched_at_s: float = 0.0
    fetching_until_s: float = 0.0


class Tokens:
    """The tokens of one account. `now_s` tells unix seconds."""

    def __init__(
        self, bucket: Bucket, account: Account, now_s: Callable[[], float] = time.time
    ) -> None:
        self._bucket = bucket
        self._account = account
        self._now_s = now_s
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, name: str, source: TokenSource, stale: str | None) -> str:
        """The token of this name, from `source` if there is none; see `Kit.token`.

        Raises BusError, BusTimeout when another replica fetches for ever, and what `source` raises.
        """
        key = f"{subjects.account_key(self._account)}.{subjects.escape(name)}"
        lock = self._locks.setdefault(name, asyncio.Lock())
        try:
            async with lock, asyncio.timeout(WAIT_S):
                return await self._shared(key, source, stale)
        except TimeoutError:
            raise BusTimeout(f"no token {name} from the replica that fetches it") from None

    async def _shared(self, key: str, source: TokenSource, stale: str | None) -> str:
        backoff = Backoff(0.05, 0.5)
        while True:
            entry = await self._bucket.get(key)
            shared = decode(entry.value, _Shared) if entry else _Shared()
            good = shared.value not in {"", stale}
            if good and self._left_s(shared) > _margin_s(shared):
                return shared.value
            if shared.fetching_until_s <= self._now_s():
                with contextlib.suppress(Conflict):  # another replica was faster
                    return await self._fetched(key, entry, shared, source)
            elif good and self._left_s(shared) > 0:
                return shared.value  # good enough until the other replica has a new one
            await backoff.wait()

    def _left_s(self, shared: _Shared) -> float:
        return shared.expires_at_s - self._now_s()

    async def _fetched(
        self, key: str, entry: Entry | None, shared: _Shared, source: TokenSource
    ) -> str:
        """Say that we fetch, and do. Raises Conflict when another replica does."""
        claimed = replace(shared, fetching_until_s=self._now_s() + FETCH_S)
        revision = await self._write(key, claimed, entry.revision if entry else 0)
        try:
            token = await source()
        except BaseException:
            with contextlib.suppress(BusError, Conflict):
                await self._write(key, replace(shared, fetching_until_s=0.0), revision)
            raise
        fresh = _Shared(token.value, token.expires_at_s, self._now_s())
        await self._write(key, fresh, revision)
        return token.value

    async def _write(self, key: str, shared: _Shared, revision: int) -> int:
        value = encode(shared)
        if revision:
            return await self._bucket.update(key, value, revision)
        return await self._bucket.create(key, value)


def _margin_s(shared: _Shared) -> float:
    life_s = shared.expires_at_s - shared.fetched_at_s
    return min(TOKEN_MARGIN_S, max(life_s, 0) / 4)
