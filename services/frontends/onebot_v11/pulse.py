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
from onebus.waiting import at_most

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
        self._said = False

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

    async def stops(self) -> None:
        """Ask for signs of life until there was a silence that is the end.

        One task for both: ten thousand bots are ten thousand of it.
        """
        ping_at_s = time.monotonic() + PING_S
        while (left_s := self._left_s()) > 0:
            to_ping_s = ping_at_s - time.monotonic()
            if to_ping_s > 0:
                await self._sleep(min(left_s, to_ping_s))
            else:
                ping_at_s += PING_S
                await self._ping(left_s)
        text = "%s: a bot gave no sign of life for %.0f s and is disconnected"
        logger.warning(text, self._name, self._silence_s())

    def _left_s(self) -> float:
        """How long it may go on like this; a silence that need not be the end is said."""
        silence_s = self._silence_s()
        if silence_s < QUIET_S:
            self._said = False
            return min(QUIET_S, DEAD_S) - silence_s
        if not self._said:
            if not peer_answers(self._transport, ANSWERS_S):
                return 0
            self._said = True
            text = "%s: a bot gives no sign of life: it is busy, or hangs; it has %.0f s more"
            logger.warning(text, self._name, DEAD_S - silence_s)
        return DEAD_S - silence_s

    async def _ping(self, patience_s: float) -> None:
        """A ping without payload acknowledges nothing. It waits behind what a bot does not read."""
        with contextlib.suppress(ConnectionError):
            async with at_most(patience_s):
                await self._connection.ping()

    def _silence_s(self) -> float:
        return 0 if self._deaf else time.monotonic() - self._heard_at_s

    async def _sleep(self, delay_s: float) -> None:
        until_s = time.monotonic() + delay_s
        await asyncio.sleep(delay_s)
        if time.monotonic() - until_s > STALL_S:
            self.heard()  # what came meanwhile is not read yet
