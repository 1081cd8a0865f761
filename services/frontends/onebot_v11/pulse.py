"""Whether the other end of a socket is still there.

Any frame of it is a sign of life, and so is each answer to a ping. aiohttp's own heartbeat leaves a
bot that answers late, because it is busy; this one has more patience.
"""

import asyncio
import time
from typing import TypeAlias

from aiohttp import ClientWebSocketResponse, web

PING_S = 10.0
DEAD_S = 25.0
"""Silence of so long is the end, on any socket, of a process that was stopped as well."""

Connection: TypeAlias = web.WebSocketResponse | ClientWebSocketResponse[bool]


class Pulse:
    """The signs of life of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._heard_at_s = time.monotonic()

    def heard(self) -> None:
        """Something came, or it was we who did not listen."""
        self._heard_at_s = time.monotonic()

    async def ping(self) -> None:
        """Ask for signs of life until cancelled; a ping without payload acknowledges nothing."""
        while True:
            await asyncio.sleep(PING_S)
            await self._connection.ping()

    async def stops(self) -> None:
        """Wait for a silence that is too long."""
        left_s = DEAD_S
        while left_s > 0:
            await asyncio.sleep(left_s)
            left_s = self._heard_at_s + DEAD_S - time.monotonic()
