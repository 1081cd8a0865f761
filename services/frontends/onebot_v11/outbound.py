"""Events on their way to one socket: sent in order, a bounded number ahead of the bot."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

from frontends.onebot_v11.follow import Following
from frontends.onebot_v11.frame import Frame
from frontends.onebot_v11.window import Window
from onebus import metrics
from onebus.metrics import Way
from onebus.waiting import Flag, at_most

Write: TypeAlias = Callable[[bytes], Awaitable[None]]
REST_S = 1.0
"""Without news for so long, what was told is kept."""
SETTLE_S = 15.0
"""How often the place in the log of an idle bot is told."""


class Delivery:
    """What becomes of events: nothing is asked before, nothing kept after. Push targets differ.

    `way` is what it is called in metrics.
    """

    def __init__(self, way: Way) -> None:
        self._way = way

    def sent(self, frame: Frame) -> None:
        """Called when an event was written."""
        metrics.sent(self._way, frame.stored_at_ms)

    async def admit(self, frame: Frame) -> bool:  # noqa: ARG002
        """Called right before an event is sent; False leaves it out."""
        return True

    async def handed_over(self, sequence: int, count: int) -> bool:  # noqa: ARG002
        """The bot has everything up to here, but for what was left out; whether that is kept.

        `count` events are not.
        """
        return True

    async def rest(self) -> bool:
        """The bot got no further for a moment; whether it is kept how far it is."""
        return True

    async def caught_up(self) -> None:
        """Every event that there is was sent or left out."""


class Outbound:
    """Sends what `following` gives. `write` sends a text frame, `ping` a ping with a payload."""

    def __init__(self, following: Following, delivery: Delivery, most_ahead: int) -> None:
        self.following = following
        self.window = Window(most_ahead)
        self._delivery = delivery
        self._moved = Flag()
        self._handed_over = 0
        self._told = 0
        self._unkept = 0
        self._in_hand = False
        self._stopped = Flag()
        self._empty = Flag()

    def works(self, write: Write, ping: Write) -> Iterator[Any]:
        """What is to be run for as long as the socket is open."""
        yield self.send(write, ping)
        yield self.tell()

    def stop(self) -> None:
        """The socket is about to say goodbye, after which it takes no more by itself."""

    async def send(
        self,
        write: Write,
        ping: Write,
    ) -> None:
        """Send events until cancelled, or until `finish`."""

        async def ask(*, idle: bool = True) -> None:
            if self.window.ping_due(idle=idle):
                await ping(self.window.ping(time.monotonic()))

        async def caught_up() -> None:
            await ask()
            await self._delivery.caught_up()

        while not self._stopped.is_set():
            frame = await self.following.next(caught_up)
            self._in_hand = True
            if self.window.full:  # and it stays so until all that was sent is asked for
                await ask()
            await self._room()
            admitted = not self._stopped.is_set() and await self._delivery.admit(frame)
            if self._stopped.is_set():
                break
            self.window.add(frame, sent=admitted)
            self._in_hand = False
            if admitted:
                await write(frame.body)
            else:
                self._note(self.window.skip())
            await ask(idle=False)
            if admitted:
                self._delivery.sent(frame)
        await ask()

    def ponged(self, payload: bytes) -> None:
        """The bot has read everything that was sent before this ping."""
        self._note(self.window.pong(payload, time.monotonic()))

    async def tell(self) -> None:
        """Tell how far the bot is, until cancelled; an idle one moves on with the log."""
        patience_s = SETTLE_S
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    await self._moved.wait()
                patience_s = REST_S
            except TimeoutError:
                kept = await self._rest(settle=patience_s == SETTLE_S)
                patience_s = SETTLE_S if kept else REST_S
            self._moved.clear()
            await self._tell()

    async def _rest(self, *, settle: bool) -> bool:
        if settle and not self.window.pending and not self._in_hand:
            self._handed_over = max(self._handed_over, self.following.settled)
        count = self._unkept
        if kept := await self._delivery.rest():
            self._kept(count)
        return kept

    async def conclude(self) -> None:
        """Tell what was not told when the socket ended."""
        await self._tell()

    async def finish(self, timeout_s: float) -> None:
        """Send no more, and wait a while for the bot to have read what was sent."""
        self._stopped.set()
        self._empty.set()
        async with at_most(timeout_s):
            while self.window.pending:
                self._empty.clear()
                await self._empty.wait()
        await self._tell()

    async def _tell(self) -> None:
        if self._handed_over > self._told:
            self._told = self._handed_over
            self._unkept = count = self.window.unkept
            if await self._delivery.handed_over(self._told, count):
                self._kept(count)

    def _kept(self, count: int) -> None:
        self._unkept -= count
        self.window.kept(count)
        self._empty.set()

    async def _room(self) -> None:
        while self.window.full and not self._stopped.is_set():
            self._empty.clear()
            await self._empty.wait()

    def _note(self, sequence: int | None) -> None:
        if sequence is not None:
            self._handed_over = sequence
            self._moved.set()
            self._empty.set()
