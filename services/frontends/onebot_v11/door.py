"""A bot that cannot be connected to: one post tries now and then, and the others wait for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from onebus.backoff import Backoff
from onebus.waiting import at_most

CHECK_S = 0.5
T = TypeVar("T")


class Door:
    """Open until a connection fails, and again once one is made."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._probing = False
        self._probe_at = 0.0
        self._backoff = Backoff(0.3, 5)

    def opened(self) -> None:
        """The bot took a connection: it is there, however long it takes to answer."""
        self._open.set()
        self._backoff.reset()

    def closed(self) -> None:
        """No connection was made."""
        self._open.clear()

    async def through(self, post: Callable[[], Awaitable[T]]) -> T | None:
        """Post, if it may be tried now.

        None when it was waited for, and may be too old: whose turn it is to try is decided then.
        """
        if self._open.is_set():
            return await post()
        wait_s = CHECK_S if self._probing else min(CHECK_S, self._probe_at - time.monotonic())
        if wait_s > 0:
            async with at_most(wait_s):
                await self._open.wait()
            return None
        self._probing = True
        try:
            return await post()
        finally:
            self._probing = False
            if not self._open.is_set():
                self._probe_at = time.monotonic() + self._backoff.next_s()
