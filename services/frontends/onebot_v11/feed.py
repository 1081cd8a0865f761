"""Live events for the sockets of this process: read once, translated once, in order.

One reader follows the accounts that have a listener here. Each such account has a feed, which turns
events into OneBot JSON, once per style, and hands the frames to its listeners: at once if all ids
are known, else by a bounded queue and one task. A listener whose bot keeps up joins the broadcast
of its style; one that does not keep up is closed, and never slows another.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from typing import TypeAlias

from msgspec import Struct

from frontends.onebot_v11.broadcast import Broadcast, Member
from frontends.onebot_v11.frame import Frame, wanted
from frontends.onebot_v11.view import MessageFormat
from onebus import subjects
from onebus.bus import Bus, StreamEntry
from onebus.errors import BusError, OnebusError
from onebus.ids import Account
from onebus.log import Log, Stored
from onebus.reader import Reader
from onebus.service import guarded, guarded_call
from onebus.waiting import Flag

logger = logging.getLogger(__name__)

MAX_FILTERED = 64
"""With more accounts than this the log is read whole, and others' events are passed by."""
FEED_SIZE = 10_000
LISTENER_SIZE = 1_000
RETRY_S = 0.2


class Style(Struct, frozen=True):
    """What differs in events between the bots of one account; those alike share the work.

    `base_url`: where the bot reaches us, in addresses of files.
    """

    message_format: MessageFormat
    report_self: bool = False
    base_url: str = ""


Translate: TypeAlias = Callable[[Stored, Style], Awaitable[Frame | None]]


class NotKnownHere(OnebusError):
    """Something must be asked for before an event can be translated."""


def _ask(_: Stored, __: Style) -> Frame | None:
    raise NotKnownHere


class Translation(Struct, frozen=True):
    """How events become frames. `known` does it at once, or raises NotKnownHere."""

    later: Translate
    known: Callable[[Stored, Style], Frame | None] = _ask


class Listener:
    """One bot's frames from `start` on; `overflow` is set when it fell too far behind.

    It then gets no more: those that are queued have no gap. `events`: names of those that it
    wants, or their beginnings; none means all.
    """

    def __init__(self, style: Style, start: int, events: Collection[str] = ()) -> None:
        self.style = style
        self.start = start
        self._frames: list[Frame] = []
        self.overflow = Flag()
        self._events = events
        self._more = Flag()

    @property
    def waiting(self) -> int:
        """How many frames wait to be sent."""
        return len(self._frames)

    @property
    def idle(self) -> bool:
        """Whether nothing is queued, and nothing was left out."""
        return not (self._frames or self.overflow.is_set())

    def put(self, frame: Frame) -> None:
        """Queue a frame, unless it is not wanted; a full queue marks the bot as too slow."""
        if self.overflow.is_set() or not wanted(frame.name, self._events):
            return
        if len(self._frames) >= LISTENER_SIZE:
            self.cut()
            return
        self._frames.append(frame)
        self._more.set()

    def cut(self) -> None:
        """Queue nothing any more: something was left out."""
        self.overflow.set()
        self._more.set()

    async def next(self) -> Frame | None:
        """The next frame; None once all that was queued before an overflow has been had."""
        while not self._frames:
            if self.overflow.is_set():
                return None
            self._more.clear()
            await self._more.wait()
        return self._frames.pop(0)


class _Feed:
    """One account's events on their way to its listeners."""

    def __init__(self, account: Account, translation: Translation, after: int) -> None:
        self.account = account
        self.task: asyncio.Task[None] | None = None
        self.listeners: set[Listener] = set()
        self.begun = after
        """Events up to here were handed over, are being so to who listened when it began, or do
        not come this way: who asked for the log's end before another made the feed needs them too.
        """
        self.idle = True
        self._given = 0
        """The last event that was handed over; `begun` is ahead of those that still wait."""
        self._translation = translation
        self._queued: set[Listener] = set()
        self._broadcasts: dict[Style, Broadcast[Listener]] = {}
        self._queue: asyncio.Queue[Stored] = asyncio.Queue(FEED_SIZE)

    @property
    def waiting(self) -> int:
        """How many events wait to be translated."""
        return self._queue.qsize()

    def add(self, listener: Listener) -> None:
        """Hand events over to this one, too."""
        self.listeners.add(listener)
        self._queued.add(listener)

    def remove(self, listener: Listener) -> None:
        """Hand it nothing more."""
        self.leave(listener)
        self.listeners.discard(listener)
        self._queued.discard(listener)

    def join(self, listener: Listener, member: Member) -> bool:
        """Write to a socket at once; not yet while older events are under way, not for it."""
        if listener not in self._queued or self._given + 1 < listener.start:
            return False
        self._queued.remove(listener)
        if listener.style not in self._broadcasts:
            self._broadcasts[listener.style] = Broadcast(self._queued.add)
        self._broadcasts[listener.style].join(listener, member)
        return True

    def leave(self, listener: Listener) -> None:
        """Queue for a socket, if it was written to at once."""
        if broadcast := self._broadcasts.get(listener.style):
            broadcast.leave(listener)
            if not broadcast:
                del self._broadcasts[listener.style]

    def put(self, stored: Stored) -> None:
        """Take an event; a full queue closes the listeners, who then miss nothing unawares."""
        if self.idle and self._handed_over(stored):
            return
        self.idle = False
        try:
            self._queue.put_nowait(stored)
        except asyncio.QueueFull:
            self.begun = max(self.begun, stored.sequence)
            for broadcast in self._broadcasts.values():
                broadcast.end()
            for listener in self.listeners:
                listener.cut()

    async def run(self) -> None:
        """Translate and hand over what had to wait, one event after the other."""
        while True:
            stored = await self._queue.get()
            self.begun = max(self.begun, stored.sequence)
            later = self._translation.later
            frames = {
                style: await frame_or_none(later, stored, style)
                for style in self._styles(stored.sequence)
            }
            self._give(stored.sequence, frames)
            self.idle = self._queue.empty()

    def _handed_over(self, stored: Stored) -> bool:
        """Hand an event over at once, unless something must be asked for."""
        known = self._translation.known
        try:
            frames = {
                style: guarded_call(partial(known, stored, style), f"event {stored.sequence}")
                for style in self._styles(stored.sequence)
            }
        except OnebusError:
            return False  # the task waits for what is missing, or says what is wrong
        self.begun = max(self.begun, stored.sequence)
        self._give(stored.sequence, frames)
        return True

    def _styles(self, sequence: int) -> Iterable[Style]:
        """Those in which the event of this sequence is wanted."""
        queued = {one.style for one in self._queued if one.start <= sequence}
        return queued.union(style for style, members in self._broadcasts.items() if members)

    def _give(self, sequence: int, frames: dict[Style, Frame | None]) -> None:
        self._given = sequence
        queued = list(self._queued)  # before those who leave the broadcast with this event
        for style, broadcast in self._broadcasts.items():
            if broadcast and (frame := frames.get(style)):
                broadcast.send(frame)
        for listener in queued:
            if listener.start <= sequence and (frame := frames.get(listener.style)):
                listener.put(frame)


async def frame_or_none(translate: Translate, stored: Stored, style: Style) -> Frame | None:
    """One event as a frame. NATS being away only delays it; a fault of ours skips it."""
    while True:
        try:
            return await guarded(translate(stored, style), f"event {stored.sequence}")
        except BusError:
            await asyncio.sleep(RETRY_S)
        except OnebusError as error:
            logger.error("event %d is skipped: %s", stored.sequence, error)
            return None


class Feeds:
    """All feeds of this process over one reader."""

    def __init__(self, bus: Bus, log: Log, translation: Callable[[Account], Translation]) -> None:
        self._bus = bus
        self._log = log
        self.translation = translation
        self._prefix = f"{bus.prefix}."
        self._feeds: dict[str, _Feed] = {}
        self._reader: Reader | None = None
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Read for whoever listens, until cancelled."""
        await self._bus.ready.wait()
        async with (
            asyncio.TaskGroup() as group,
            Reader(self._bus, self._log.stream, [], self._on_entry, start=1) as reader,
        ):
            self._group, self._reader = group, reader
            await reader.ended()

    async def attach(
        self, account: Account, style: Style, events: Collection[str] = ()
    ) -> Listener:
        """Listen to an account's events from this moment on: its `start`. Raises BusError."""
        end = await self._log.end()
        if self._reader is None or self._group is None:
            raise BusError("events are not read yet")
        key = subjects.account_key(account)
        if feed := self._feeds.get(key):
            start = max(end, feed.begun) + 1
        else:
            if not self._feeds:
                self._reader.skip_to(end)
            start = max(end, self._reader.handled) + 1
            feed = self._feeds[key] = _Feed(account, self.translation(account), start - 1)
            feed.task = self._group.create_task(feed.run())
            self._reader.set_filters(self._filters())
        listener = Listener(style, start, events)
        feed.add(listener)
        return listener

    def join(self, account: Account, listener: Listener, member: Member) -> bool:
        """Write to a listener's socket at once, until it leaves; whether that can be now."""
        return self._feeds[subjects.account_key(account)].join(listener, member)

    def leave(self, account: Account, listener: Listener) -> None:
        """Queue for a listener again."""
        self._feeds[subjects.account_key(account)].leave(listener)

    def detach(self, account: Account, listener: Listener) -> None:
        """Listen no more."""
        key = subjects.account_key(account)
        feed = self._feeds[key]
        feed.remove(listener)
        if not feed.listeners and self._reader and feed.task:
            del self._feeds[key]
            feed.task.cancel()
            self._reader.set_filters(self._filters())

    @property
    def reading(self) -> bool:
        """Whether events are read for who attaches."""
        return self._reader is not None

    def waiting(self) -> tuple[int, int]:
        """How many events wait to be translated, and how many frames to be sent."""
        feeds = self._feeds.values()
        queued = sum(listener.waiting for feed in feeds for listener in feed.listeners)
        return sum(feed.waiting for feed in feeds), queued

    def settled(self, account: Account) -> int:
        """The sequence up to which all of an account's events were given to its listeners."""
        feed = self._feeds.get(subjects.account_key(account))
        return self._reader.handled if self._reader and feed and feed.idle else 0

    def _filters(self) -> list[str]:
        if len(self._feeds) > MAX_FILTERED:
            return self._log.absolute([subjects.EVENTS])
        return self._log.absolute(
            [subjects.events_of(feed.account) for feed in self._feeds.values()]
        )

    def _on_entry(self, entry: StreamEntry) -> None:
        """Look whose it is before decoding it: the log may be read whole."""
        feed = self._feeds.get(subjects.account_in(entry.subject.removeprefix(self._prefix)))
        if feed and (stored := self._log.open(entry)):
            feed.put(stored)
