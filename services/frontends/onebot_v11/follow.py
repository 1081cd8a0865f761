"""One bot's events after a given one: what is stored, then live, in order, no gap and no repeat.

The listener is attached first and collects what is new from a sequence on; what lies between is
read from the log in pages, and both meet there. A bot that falls behind is detached and goes on
reading pages, so what waits for it is on disk and not here.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeAlias

from msgspec import Struct

from frontends.onebot_v11.broadcast import Member
from frontends.onebot_v11.feed import RETRY_S, Feeds, Listener, Style, frame_or_none
from frontends.onebot_v11.frame import Frame, wanted
from onebus import subjects
from onebus.errors import BusError
from onebus.ids import Account
from onebus.log import Log, Stored
from onebus.waiting import Flag

logger = logging.getLogger(__name__)


LATE_S = 60.0
"""A bot that was up to date and is so far behind now is too slow, unless there is patience."""


Idle: TypeAlias = Callable[[], Awaitable[None]]


class Interest(Struct, frozen=True):
    """Whose events, how, and which: names or their beginnings, none means all."""

    account: Account
    style: Style
    events: Collection[str] = ()


class Following:
    """Events strictly after `after`; None: from now on. Use as an async context manager.

    `overflow` is set when one that is not `patient` fell too far behind: nothing comes any more.
    Entering raises BusError when NATS is away.
    """

    def __init__(
        self,
        feeds: Feeds,
        log: Log,
        interest: Interest,
        *,
        after: int | None,
        patient: bool,
    ) -> None:
        self._feeds = feeds
        self._log = log
        self._interest = interest
        self._account = interest.account
        self._patient = patient
        self._was_live = False
        self._position = -1 if after is None else after
        self._page: deque[Stored] = deque()
        self._listener: Listener | None = None
        self._start = 0
        self.overflow = Flag()

    async def __aenter__(self) -> "Following":
        await self._attach()
        if self._position < 0:
            self._position = self._start - 1
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._detach()

    @property
    def live(self) -> bool:
        """Whether nothing stored is left to read: what comes next is new."""
        return not self._page and self._position + 1 >= self._start

    @property
    def ready(self) -> bool:
        """Whether `next` would return at once, as far as that is known."""
        return bool(self._page) or bool(self._listener and self._listener.waiting)

    @property
    def settled(self) -> int:
        """The sequence up to which there is nothing that `next` has not returned."""
        if self._idle:
            self._position = max(self._position, self._feeds.settled(self._account))
        return self._position

    @property
    def behind(self) -> int:
        """How many entries of the log, at most, wait between here and what was seen of its end."""
        return 0 if self._idle else max(0, self._log.last_seen - self._position)

    async def next(self, idle: Idle | None = None) -> Frame:
        """The next event that the bot gets; waits out NATS being away.

        `idle` is called before a wait for what has not happened yet: nothing older is left.
        """
        while True:
            frame: Frame | None = None
            if self._page:
                frame = await self._of_page(self._page[0])
            elif self._listener and self.live:
                if idle and self._idle:
                    await idle()
                frame = await self._of_now(self._listener)
            else:
                await self._turn_page()
            if frame:
                return frame

    def join(self, member: Member) -> bool:
        """Have new events written at once, in place of `next`, until the member leaves.

        Only for a bot that is up to date and wants all of them; whether that can be now.
        """
        if self._listener is None or self._interest.events or not self._idle:
            return False
        return self._feeds.join(self._account, self._listener, member)

    def passed(self, sequence: int) -> None:
        """Events up to here were written at once."""
        self._was_live = True
        self._position = sequence

    def leave(self) -> None:
        """Have events queued for `next` again, from the next one on."""
        if self._listener:
            self._feeds.leave(self._account, self._listener)

    @property
    def _idle(self) -> bool:
        return self.live and self._listener is not None and self._listener.idle

    async def _of_page(self, stored: Stored) -> Frame | None:
        if self._was_live and not self._patient:
            await self._cut_if_late(stored)
        translate = self._feeds.translation(self._account).later
        frame = await frame_or_none(translate, stored, self._interest.style)
        self._page.popleft()  # not before: `next` may be cancelled, and asked again
        self._position = stored.sequence
        return frame if frame and wanted(frame.name, self._interest.events) else None

    async def _cut_if_late(self, stored: Stored) -> None:
        if time.time() - stored.stored_at_ms / 1000 > LATE_S:
            self.overflow.set()
            await asyncio.Event().wait()

    async def _turn_page(self) -> None:
        """Read on in the log; when it holds no more before the live ones, they are next.

        Unless those became too many meanwhile: then there are pages of them, too.
        """
        where, last = subjects.events_of(self._account), self._start - 1
        try:
            page = await self._log.page(where, self._position + 1)
        except BusError as error:
            logger.debug("%s: the log is not read: %s", self._account, error)
            await asyncio.sleep(RETRY_S)
            return
        self._page.extend(stored for stored in page if stored.sequence <= last)
        if not self._page:
            self._position = last
            if self._listener is None or self._listener.overflow.is_set():
                await self._attach_anew()

    async def _of_now(self, listener: Listener) -> Frame | None:
        self._was_live = True
        frame = await listener.next()
        if frame:
            self._position = frame.sequence
            return frame
        logger.debug("%s: a bot fell behind; it goes on from the log", self._account)
        await self._attach_anew()
        return None

    async def _attach_anew(self) -> None:
        """Listen from a later event on; what is before it will be read from the log."""
        self._detach()
        while self._listener is None:
            with contextlib.suppress(BusError):
                await self._attach()
                return
            await asyncio.sleep(RETRY_S)

    async def _attach(self) -> None:
        interest = self._interest
        self._listener = await self._feeds.attach(interest.account, interest.style, interest.events)
        self._start = self._listener.start

    def _detach(self) -> None:
        if self._listener:
            self._feeds.detach(self._account, self._listener)
            self._listener = None
