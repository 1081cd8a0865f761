"""The one loop that keeps a connection to a platform: again after each loss, slower and slower.

Said once when it is lost, and once when it is back. What a human has to mend ends the loop.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol

from onebus.backoff import Backoff
from onebus.errors import ActionError, BusError, NotReady, OnebusError

STABLE_S = 30.0
"""Who was connected for so long may come back at once; before, each loss costs a longer wait."""
FIRST_S = 0.5
MOST_S = 60.0


class Connect(Protocol):
    """One connection, from dialling to its loss."""

    async def __call__(self, up: Callable[[], None]) -> None:
        """Call `up` when it stands. Returns or raises NotReady, ActionError or BusError when it is
        lost; AuthFailed and Misconfigured when connecting again is of no use.
        """


class Reconnecting:
    """The connection of one account.

    `ready` is awaited before each dial. After `patience_s` without a connection the loop ends with
    NotReady, so that the account is said to be offline; its host opens it again.
    """

    def __init__(
        self,
        ready: Callable[[], Awaitable[None]],
        logger: logging.LoggerAdapter[Any],
        *,
        patience_s: float = 30.0,
        backoff: Backoff | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ready = ready
        self._logger = logger
        self._patience_s = patience_s
        self._backoff = backoff or Backoff(FIRST_S, MOST_S)
        self._now_s = now_s
        self._up_at_s: float | None = None
        self._down_at_s: float | None = None

    async def run(self, connect: Connect) -> NoReturn:
        """Connect again and again. Raises NotReady, AuthFailed or Misconfigured."""
        self._down_at_s = self._now_s()
        while True:
            await self._ready()
            self._up_at_s = None
            reason = await self._one(connect)
            self._lost(reason)
            await self._wait(reason)

    async def _one(self, connect: Connect) -> OnebusError:
        try:
            await connect(self._up)
        except (NotReady, ActionError, BusError) as error:
            return error
        return NotReady("the platform ended the connection")

    def _up(self) -> None:
        """It stands."""
        if self._up_at_s is None:
            self._up_at_s = self._now_s()
            if self._down_at_s is not None:
                self._logger.info("connected")
            self._down_at_s = None

    def _lost(self, reason: OnebusError) -> None:
        now_s = self._now_s()
        if self._up_at_s is not None and now_s - self._up_at_s >= STABLE_S:
            self._backoff.reset()
        if self._down_at_s is None:
            self._down_at_s = now_s
            self._logger.warning("connection lost: %s", reason)
        else:
            self._logger.debug("no connection: %s", reason)
        if now_s - self._down_at_s >= self._patience_s:
            raise NotReady(str(reason)) from reason

    async def _wait(self, reason: OnebusError) -> None:
        asked_s = getattr(reason, "retry_after_s", None) or 0.0
        await self._backoff.wait(at_least_s=min(asked_s, MOST_S))
