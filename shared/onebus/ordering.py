"""One thing at a time per conversation, many conversations at once."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from onebus.errors import RateLimited


class Lanes:
    """Turns in order of arrival, a lane per key; a lane exists while somebody is in it.

    At most `most_waiting` may queue in one lane; one more is refused with RateLimited, so a chat
    that stands still cannot take the memory of the others.
    """

    def __init__(self, most_waiting: int = 1000) -> None:
        self._most_waiting = most_waiting
        self._lanes: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for the turn of this key and hold it. Raises RateLimited when the lane is full."""
        lock, users = self._lanes.get(key, (asyncio.Lock(), 0))
        if users > self._most_waiting:
            raise RateLimited("too much is waiting for this chat already", retry_after_s=1)
        self._lanes[key] = (lock, users + 1)
        try:
            async with lock:  # asyncio.Lock is fair: first come, first served
                yield
        finally:
            lock, users = self._lanes[key]
            if users == 1:
                del self._lanes[key]
            else:
                self._lanes[key] = (lock, users - 1)
