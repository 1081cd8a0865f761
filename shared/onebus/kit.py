"""What a connector is given, over NATS: the working form of `onebus.connector.Kit`."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

import aiohttp
from msgspec import Struct

from onebus import metrics
from onebus.action import Sent
from onebus.api import Api, Options, Way
from onebus.backoff import Backoff
from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.cursor import Cursor, feed_key
from onebus.errors import BusError, BusTimeout, OnebusError, RateLimited
from onebus.event import Event, MessageSent
from onebus.fence import Fence
from onebus.ids import Account
from onebus.inflight import InFlight
from onebus.log import Log
from onebus.media import NO_MEDIA, MediaPart
from onebus.objects import Objects
from onebus.ordering import Lanes, Place
from onebus.pace import Limits, Pacer
from onebus.passive import BusPassive
from onebus.reconnect import Connect, Reconnecting
from onebus.token import Tokens, TokenSource

SENT_S = 10.0
"""How long what was sent may take to get into the log."""
MAX_APPENDS = 500
"""Events of one account that may be on their way into the log; one more is refused."""


SAVE_S = 2.0
"""How long saving where a feed was left may take."""
MAX_KIND = 64
NO_LIMITS = Limits()
DEFAULTS = Options()


class Outside(Struct, frozen=True):
    """How this process reaches platforms and the web, and where they reach this installation."""

    http: aiohttp.ClientSession
    public_url: str = ""
    media: MediaPart = NO_MEDIA


class AccountLogger(logging.LoggerAdapter[logging.Logger]):
    """Puts the account in front of each line."""

    def __init__(self, account: Account) -> None:
        super().__init__(logging.getLogger(f"connectors.{account.platform}"), {})
        self._account = account

    def process(self, msg: object, kwargs: object) -> tuple[object, object]:  # type: ignore[override]
        """`[wechat.my_mp] …`."""
        return f"[{self._account}] {msg}", kwargs


class BusKit:
    """The kit of one account in one process. `synthetic`: its connector makes up event ids."""

    def __init__(
        self,
        bus: Bus,
        account: Account,
        outside: Outside,
        owned: Callable[[], bool],
        *,
        synthetic: bool = False,
    ) -> None:
        self.account = account
        self.http = outside.http
        self.public_url = outside.public_url.rstrip("/")
        self.media = outside.media.of(Objects(bus), account)
        self.logger = AccountLogger(account)
        self.log = Log(bus, ask_leader=False)
        self._fence = Fence(bus, self.log, account, owned) if synthetic else None
        self.passive = BusPassive(bus, account)
        self._bus = bus
        self._owned = owned
        self._lanes = Lanes()
        self._appends = InFlight()
        self._appended = metrics.appended.labels(str(account))
        self._tokens = Tokens(Bucket(bus, "tokens"), account)
        self._cursors: dict[str, Cursor] = {}

    async def append(self, event: Event, *, timeout_s: float = 10) -> int:
        """Write an event into the log once; see `onebus.connector.Kit`."""
        return await self._counted(event, timeout_s, MAX_APPENDS)

    @property
    def waiting(self) -> int:
        """How many events wait for their turn or the log's answer."""
        return self._appends.count

    async def ready(self) -> None:
        """Wait until more may be received; see `onebus.connector.Kit`."""
        backoff = Backoff(0.02, 0.2)
        while not (self._bus.connected and self._owned() and self._appends.count < MAX_APPENDS / 2):
            await backoff.wait()

    async def _counted(self, event: Event, timeout_s: float, most: int) -> int:
        """Raises RateLimited when so many are on their way already."""
        try:
            if self._appends.count >= most:
                raise RateLimited("too much is on its way into the log already", retry_after_s=1)
            with self._appends.one():
                sequence = await self._in_turn(event, timeout_s)
        except OnebusError:
            metrics.append_failures.labels(str(self.account)).inc()
            raise
        self._appended.inc()
        return sequence

    async def _in_turn(self, event: Event, timeout_s: float) -> int:
        """In the chat's turn, which may take a part of the time. Raises BusTimeout, RateLimited."""
        chat = getattr(event, "chat", None)
        ends_at_s = time.monotonic() + timeout_s
        place = self._lanes.join(chat.key if chat else None)
        try:
            if not place.first:
                await _until_first(place, timeout_s)
            metrics.appends_in_flight.inc()
            try:
                writer = self._fence or self.log
                return await writer.append(event, timeout_s=ends_at_s - time.monotonic())
            finally:
                metrics.appends_in_flight.dec()
        finally:
            place.leave()

    async def begin(self) -> None:
        """Be the account's owner from now on; where ids are synthetic, earlier ones are shut out.

        Raises BusUnavailable or BusTimeout.
        """
        if self._fence:
            await self._fence.take()

    def ignore(self, kind: str) -> None:
        """Count an update of a kind that bots never see."""
        metrics.updates_ignored.labels(str(self.account)).inc()
        self.logger.debug("ignored an update of kind %r", kind[:MAX_KIND])

    async def append_sent(
        self, events: Sequence[MessageSent], *, degraded: Iterable[str] = ()
    ) -> Sent:
        """Log what the platform accepted. A log that refuses does not undo the sending.

        How much of it there can be is bounded where actions are taken.
        """
        sequences = [await self._append_or_none(event) for event in events]
        return Sent(events[0].message, sequences[0], tuple(degraded))

    async def _append_or_none(self, event: MessageSent) -> int | None:
        try:
            return await self._counted(event, SENT_S, sys.maxsize)
        except (BusError, RateLimited) as error:
            self.logger.error("sent, but not logged: %s", error)
            return None

    async def token(self, name: str, source: TokenSource, *, stale: str | None = None) -> str:
        """A token shared by all replicas; see `onebus.connector.Kit`."""
        return await self._tokens.get(name, source, stale)

    def api(self, base_url: str, limits: Limits = NO_LIMITS, options: Options = DEFAULTS) -> Api:
        """The platform's HTTP API."""
        way = Way(self.http, self._owned, self.logger)
        return Api(way, base_url, Pacer(limits), options)

    def cursor(self, name: str) -> Cursor:
        """How far the account's feed of this name is taken over."""
        cursor = Cursor(self.bucket("cursors"), feed_key(self.account, name))
        return self._cursors.setdefault(name, cursor)

    async def save_cursors(self) -> None:
        """Save what was moved: receiving has ended. Raises BusError, Conflict or TimeoutError."""
        async with asyncio.timeout(SAVE_S):
            for cursor in self._cursors.values():
                await cursor.save()

    async def reconnecting(self, connect: Connect, *, patience_s: float = 30) -> NoReturn:
        """Keep a connection; see `onebus.reconnect`."""
        await Reconnecting(self.ready, self.logger, patience_s=patience_s).run(connect)

    def bucket(self, name: str) -> Bucket:
        """State that must survive this process."""
        return Bucket(self._bus, name)

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def owned(self) -> bool:
        """Whether this process owns the account at this moment."""
        return self._owned()


async def _until_first(place: Place, timeout_s: float) -> None:
    """Wait for those before it in the chat. Raises BusTimeout."""
    try:
        async with asyncio.timeout(timeout_s):
            await place.__aenter__()
    except TimeoutError:
        raise BusTimeout("those before it in the chat took all the time") from None
