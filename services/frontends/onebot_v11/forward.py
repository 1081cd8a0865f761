"""Events on their way to a bot that came to us: nothing is kept of how far it is.

A bot that reads what it is sent is part of its account's broadcast. One that does not is left to
itself: what waits for it is queued here, and later in the log.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

from frontends.onebot_v11.ahead import Ahead
from frontends.onebot_v11.broadcast import NOTE_EVERY
from frontends.onebot_v11.follow import Following
from frontends.onebot_v11.frame import ping_frame
from frontends.onebot_v11.outbound import Write
from onebus import metrics
from onebus.metrics import Way
from onebus.waiting import Flag

MOST_AHEAD = 4096
"""Events that a quick bot may be behind what was sent: this process may be what is slow."""
FIRST_AHEAD = 256
"""The same before anything is known of it: with many bots that begin together under load, each one
alone would take more time than there is until the next event."""
MOST_BUFFERED = 1 << 20
"""Bytes that wait for the bot's system to take them; with more, each is waited for."""


class Forward:
    """Sends what `following` gives; a member of its broadcast while `transport` takes all."""

    def __init__(
        self, following: Following, way: Way, transport: asyncio.WriteTransport | None
    ) -> None:
        self.following = following
        self.way = way
        self._transport = transport
        self._ahead = Ahead(MOST_AHEAD, FIRST_AHEAD)
        self._changed = Flag()
        self._direct = False
        self._stopped = False
        if transport:
            self.write: Callable[[bytes], None] = transport.write
            self.closing: Callable[[], bool] = transport.is_closing

    def works(self, write: Write, ping: Write) -> Iterator[Any]:
        """What is to be run for as long as the socket is open."""
        yield self._send(write, ping)

    async def finish(self, timeout_s: float) -> None:  # noqa: ARG002
        """The bot resumes by itself, if it wants to: nothing is waited for."""
        self.stop()

    def stop(self) -> None:
        """Write nothing more at once: the socket is about to say goodbye."""
        self._stopped = True
        self.following.leave()

    def ponged(self, payload: bytes) -> None:
        """The bot has read everything that was sent before this ping."""
        self._ahead.pong(payload, time.monotonic())
        self._changed.set()

    def written(self, count: int, sequence: int) -> bool:
        """Note what the broadcast wrote; whether it may go on."""
        self.following.passed(sequence)
        self._ahead.sent(count)
        if self.closing():
            return False
        if self._ahead.ping_due:
            self.write(ping_frame(self._ahead.ping(time.monotonic())))
        return self._takes_all()

    def left(self) -> None:
        """Go on alone."""
        self._direct = False
        self._changed.set()

    async def _send(self, write: Write, ping: Write) -> None:
        while True:
            if self._takes_all() and self.following.join(self):
                self._direct = True
                while self._direct:
                    await self._until_changed()
            frame = await self.following.next()
            while self._ahead.room <= 0:
                if self._ahead.unasked:  # or no pong would ever make room
                    await ping(self._ahead.ping(time.monotonic()))
                else:
                    await self._until_changed()
            await write(frame.body)
            self._ahead.sent()
            if self._ahead.ping_due:
                await ping(self._ahead.ping(time.monotonic()))
            metrics.sent(self.way, frame.stored_at_ms)

    async def _until_changed(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _takes_all(self) -> bool:
        """Whether several events can be written without a look at the bot."""
        transport = self._transport
        return (
            transport is not None
            and not self._stopped
            and self._ahead.room >= 2 * NOTE_EVERY
            and transport.get_write_buffer_size() < MOST_BUFFERED
        )
