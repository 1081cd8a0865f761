"""What an upstream told us, on its way into the log, in its order.

Implementations do not say anything twice, so nothing that was read is thrown away: while the log is
away events wait here, and beyond SIZE the upstream waits with us, unread. A ping is answered after
what came before it is in the log: an onebus takes that for its sign of what we have.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import aiohttp
from aiohttp import web
from msgspec import Struct

from connectors.onebot11.decode import decode_event, event_id, position_of
from connectors.onebot11.fields import Fields, Unreadable, id_of
from onebus.backoff import Backoff
from onebus.bucket import Conflict
from onebus.bus import TooLarge
from onebus.connector import Kit
from onebus.cursor import Cursor
from onebus.errors import BusError, RateLimited
from onebus.event import Event

Before: TypeAlias = Callable[[Event], Awaitable[None]]

SIZE = 1_000
"""Events that wait; with so many the sockets are not read on."""
REMEMBERED = 1_000


class Ping(Struct, frozen=True):
    """A ping of the peer, to be answered in its turn."""

    ws: aiohttp.ClientWebSocketResponse | web.WebSocketResponse
    data: bytes


class Inbox:
    """The events of one account at its owner. `on_event` sees each first, meta events alone."""

    def __init__(self, kit: Kit, self_id: str, on_event: Callable[[Fields], None]) -> None:
        self._kit = kit
        self._self_id = self_id
        self._on_event = on_event
        self._queue: asyncio.Queue[Fields | Ping] = asyncio.Queue(SIZE)
        self.before: Before = _nothing
        """What has to be in the log before an event."""
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._told: set[str] = set()
        self.cursor: Cursor = kit.cursor("events")
        """Where we are in the log of an upstream that is an onebus: its last `event_id`."""

    @property
    def full(self) -> bool:
        """Whether the upstream has to wait."""
        return self._queue.full()

    async def put(self, item: Fields | Ping) -> None:
        """Queue what was read; waits while the inbox is full."""
        if isinstance(item, Ping) or self.wanted(item):
            await self._queue.put(item)

    def wanted(self, fields: Fields) -> bool:
        """See an event first; whether it is one for the log."""
        if self._is_foreign(fields):
            return False
        self._on_event(fields)
        return not (fields.get("post_type") == "meta_event" and _is_standard(fields))

    async def empty(self) -> None:
        """Wait until all of it is in the log."""
        await self._queue.join()

    async def run(self) -> None:
        """Write what comes into the log, until cancelled."""
        while True:
            item = await self._queue.get()
            try:
                await self._take(item)
            finally:
                self._queue.task_done()

    def unread(self, what: str) -> None:
        """Something that cannot be understood is counted and passed by; each kind is said once."""
        self._kit.ignore(what)
        if what not in self._told:
            self._told.add(what)
            self._kit.logger.warning("the upstream sent %s; it is passed by", what)

    async def _take(self, item: Fields | Ping) -> None:
        if isinstance(item, Ping):
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await item.ws.pong(item.data)
            return
        try:
            decoded = decode_event(item, self._kit.account, self._nth(item))
        except Unreadable as error:
            self.unread(f"an event that cannot be read ({error})")
            return
        for event in decoded.events:
            await self.before(event)
            await self._append(event)
        if decoded.position:
            with contextlib.suppress(Conflict):  # the account is another process's, who moves it
                await self.cursor.move(decoded.position)

    def _nth(self, fields: Fields) -> int:
        """Two people may poke within one second: what is said twice on a socket happened twice."""
        if position_of(fields) or "message_id" in fields:
            return 0
        key = event_id(fields)
        nth = self._seen[key] = self._seen.pop(key, -1) + 1
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return nth

    async def _append(self, event: Event) -> None:
        """Until the log has it: nobody would tell it to us again."""
        backoff = Backoff(0.1, 5)
        while True:
            try:
                await self._kit.append(event)
            except TooLarge:
                self.unread("an event too large for the log")
            except (BusError, RateLimited):
                await backoff.wait()
                await self._kit.ready()
                continue
            return

    def _is_foreign(self, fields: Fields) -> bool:
        """Whether it is about another account of the same upstream."""
        found = id_of(fields.get("self_id"))
        if not self._self_id or found == self._self_id:
            return False
        self.unread(f"events of another account than self_id {self._self_id}")
        return True


def _is_standard(fields: Fields) -> bool:
    """Lifecycle and heartbeat are between the two of us: bots get ours."""
    return fields.get("meta_event_type") in ("lifecycle", "heartbeat")


async def _nothing(_: Event) -> None:
    """Nothing has to."""
