"""Whether the other end of a socket is still there.

Any frame of it is a sign of life, and so is each answer to a ping. A bot whose handler holds the
only thread of its process gives none, and would be harmed by losing its socket; that its system
still acknowledges what we send tells it from a machine that is gone.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from typing import TypeAlias

from aiohttp import ClientWebSocketResponse, web

from onebus.keepalive import peer_answers

logger = logging.getLogger(__name__)

PING_S = 10.0
QUIET_S = 25.0
"""A silence of so long is said, and the end if not even the bot's system answers."""
DEAD_S = 90.0
"""A silence of so long is the end in any case: the bot hangs, or was stopped."""
ANSWERS_S = PING_S + 5
STALL_S = 2.0
"""Woken so much too late, it was this process that stood still."""

Connection: TypeAlias = web.WebSocketResponse | ClientWebSocketResponse[bool]


class Pulse:
    """The signs of life of one connection over a transport. `name` is for the log."""

    def __init__(
        self, connection: Connection, transport: asyncio.BaseTransport | None, name: str
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._name = name
        self._heard_at_s = time.monotonic()
        self._deaf = False

    def heard(self) -> None:
        """Something came."""
        self._heard_at_s = time.monotonic()

    @contextlib.contextmanager
    def deaf(self) -> Iterator[None]:
        """Inside, it is we who do not listen."""
        self._deaf = True
        try:
            yield
        finally:
            self._deaf = False
            self.heard()

    async def ping(self) -> None:
        """Ask for signs of life until cancelled; a ping without payload acknowledges nothing."""
        while True:
            await asyncio.sleep(PING_S)
            await self._connection.ping()

    async def stops(self) -> None:
        """Wait for a silence that is the end; one that need not be is said."""
        said = False
        while (silence_s := self._silence_s()) < DEAD_S:
            if silence_s < QUIET_S:
                said = False
            elif not said:
                if not peer_answers(self._transport, ANSWERS_S):
                    break
                said = True
                text = "%s: a bot gives no sign of life: it is busy, or hangs; it has %.0f s more"
                logger.warning(text, self._name, DEAD_S - silence_s)
            await self._sleep((DEAD_S if said else min(QUIET_S, DEAD_S)) - silence_s)
        text = "%s: a bot gave no sign of life for %.0f s and is disconnected"
        logger.warning(text, self._name, self._silence_s())

    def _silence_s(self) -> float:
        return 0 if self._deaf else time.monotonic() - self._heard_at_s

    async def _sleep(self, delay_s: float) -> None:
        until_s = time.monotonic() + delay_s
        await asyncio.sleep(delay_s)
        if time.monotonic() - until_s > STALL_S:
            self.heard()  # what came meanwhile is not read yet
