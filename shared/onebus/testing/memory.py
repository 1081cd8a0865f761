"""What a connector is given, in memory: for unit tests that need no NATS.

A `Memory` stands for one installation; each `MemoryKit` on it for one replica of an account:

    memory = Memory()
    async with aiohttp.ClientSession() as http:
        replica = Connector(config, MemoryKit(memory, account, http))

Events go through the real `Log`, so an event is stored once however often it is appended, and a
test reads them back with `memory.events()`. Replies inside a webhook's response, tokens and
buckets are shared by all kits of one `Memory`, as replicas share them through NATS.
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NoReturn

import aiohttp

from onebus.action import Sent
from onebus.api import Api, Options, Way
from onebus.backoff import Backoff
from onebus.cursor import Cursor, feed_key
from onebus.errors import BusError, OutcomeUnknown
from onebus.event import Chat, Event, MessageSent
from onebus.fetch import Fetcher, Policy
from onebus.ids import Account, MessageId
from onebus.kit import DEFAULTS, NO_LIMITS
from onebus.log import Stored
from onebus.media import AccountMedia
from onebus.objects import Objects
from onebus.pace import Limits, Pacer
from onebus.passive import Held, Offer
from onebus.reconnect import Connect, Reconnecting
from onebus.segment import Segments
from onebus.testing.memory_bus import MemoryBucket, MemoryBus, MemoryLog
from onebus.token import Tokens, TokenSource

LOOPBACK = ("127.0.0.0/8",)
WAIT_S = 5.0
"""A test that waits longer for something has failed."""


class Memory:
    """What all replicas of one installation share. `bus.available = False` takes NATS away."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.log = MemoryLog(self.bus)
        self.objects = Objects(self.bus)
        self.holds: dict[tuple[Account, tuple[str, str]], list[MemoryHeld]] = defaultdict(list)
        self.held = asyncio.Event()
        self.replies: dict[tuple[Account, str], bytes] = {}

    def stored(self) -> list[Stored]:
        """The log, oldest first."""
        entries = self.bus.entries(self.log.stream)
        return [stored for entry in entries if (stored := self.log.open(entry))]

    def events(self) -> list[Event]:
        """The events of the log, oldest first."""
        return [stored.event for stored in self.stored()]

    async def wait_for_events(self, count: int) -> list[Event]:
        """The events of the log as soon as there are `count`. Raises TimeoutError."""
        async with asyncio.timeout(WAIT_S):
            while len(self.events()) < count:
                await self.bus.next_store()
        return self.events()

    async def wait_for_holds(self, account: Account, chat: Chat, count: int) -> None:
        """Wait until so many webhook requests of a chat are open for a reply."""
        async with asyncio.timeout(WAIT_S):
            while len(self.holds[account, chat.key]) < count:
                self.held.clear()
                await self.held.wait()


class MemoryOffer:
    """A reply that waits to go out inside a webhook's response."""

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self.answer: asyncio.Future[MessageId | None] = asyncio.get_running_loop().create_future()

    async def accept(self, message: MessageId) -> None:
        """Say under which id the reply goes out."""
        if not self.answer.done():
            self.answer.set_result(message)

    async def refuse(self) -> None:
        """Leave it to another holder, or to the push API."""
        self.give_back()

    def give_back(self) -> None:
        """Nobody took it."""
        if not self.answer.done():
            self.answer.set_result(None)

    def lose(self) -> None:
        """A holder had it and said nothing: what became of it is unknown."""
        if not self.answer.done():
            self.answer.set_exception(OutcomeUnknown("the request that had the reply ended"))


class MemoryHeld:
    """An open webhook request; takes one offer at most."""

    def __init__(self) -> None:
        self.offer: asyncio.Future[MemoryOffer] = asyncio.get_running_loop().create_future()
        self._seen = False

    async def next_offer(self, timeout_s: float) -> Offer | None:
        """The reply, or None when there is none in time."""
        done, _ = await asyncio.wait({self.offer}, timeout=max(timeout_s, 0))
        if not done:
            return None
        self._seen = True
        return self.offer.result()

    def close(self) -> None:
        """An offer that the connector never saw goes back; one it saw and left is lost."""
        if not self.offer.done():
            return
        if self._seen:
            self.offer.result().lose()
        else:
            self.offer.result().give_back()


class MemoryPassive:
    """Replies inside a webhook's response, between all kits of one Memory."""

    def __init__(self, memory: Memory, account: Account) -> None:
        self._memory = memory
        self._account = account

    def hold(self, chat: Chat) -> AbstractAsyncContextManager[Held]:
        """Hold a request of this chat open."""
        return self._hold(chat)

    @asynccontextmanager
    async def _hold(self, chat: Chat) -> AsyncIterator[Held]:
        self._memory.bus.check_available()
        holds = self._memory.holds[self._account, chat.key]
        held = MemoryHeld()
        holds.append(held)
        self._memory.held.set()
        try:
            yield held
        finally:
            if held in holds:
                holds.remove(held)
            held.close()

    async def offer(self, chat: Chat, segments: Segments) -> MessageId | None:
        """Hand a reply to the requests of the chat, the last first; None: nobody took it."""
        self._memory.bus.check_available()
        holds = self._memory.holds[self._account, chat.key]
        while holds:
            offer = MemoryOffer(segments)
            holds.pop().offer.set_result(offer)
            if (message := await offer.answer) is not None:
                return message
        return None

    async def remember(self, key: str, reply: bytes) -> bool:
        """Keep a reply for the retries of its webhook; False when there already is one."""
        self._memory.bus.check_available()
        if (self._account, key) in self._memory.replies:
            return False
        self._memory.replies[self._account, key] = reply
        return True

    async def recall(self, key: str) -> bytes | None:
        """The reply remembered under this key."""
        self._memory.bus.check_available()
        return self._memory.replies.get((self._account, key))


class MemoryKit:
    """One replica's kit. `clock` tells its time; `owner = False` takes the account away."""

    def __init__(
        self,
        memory: Memory,
        account: Account,
        http: aiohttp.ClientSession,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.memory = memory
        self.account = account
        self.http = http
        self.clock = clock
        self.owner = True
        self.apis: list[Api] = []
        self.ignored: Counter[str] = Counter()
        self.public_url = ""
        self.log = memory.log
        self.passive = MemoryPassive(memory, account)
        self._tokens = Tokens(self.bucket("tokens"), account, self._now_s)
        self._cursors: dict[str, Cursor] = {}
        self.media = AccountMedia(memory.objects, account, Fetcher(Policy(LOOPBACK), session=http))
        self.logger: logging.LoggerAdapter[logging.Logger] = logging.LoggerAdapter(
            logging.getLogger("onebus.testing.memory"), {"account": str(account)}
        )

    async def append(self, event: Event, *, timeout_s: float = 10) -> int:
        """Write an event into the log once; returns its sequence."""
        return await self.log.append(event, timeout_s=timeout_s)

    async def ready(self) -> None:
        """Wait until NATS is there and the account is this replica's."""
        while not (self.memory.bus.available and self.owner):
            await Backoff(0.01, 0.01).wait()

    def ignore(self, kind: str) -> None:
        """Count an update of a kind that bots never see, in `ignored`."""
        self.ignored[kind] += 1
        self.logger.debug("ignored an update of kind %r", kind)

    async def append_sent(
        self, events: Sequence[MessageSent], *, degraded: Iterable[str] = ()
    ) -> Sent:
        """Log what the platform accepted; not numbered when the log cannot be reached."""
        first = events[0].message
        try:
            numbers = [await self.append(event, timeout_s=0) for event in events]
        except BusError:
            return Sent(first, None, tuple(degraded))
        return Sent(first, numbers[0], tuple(degraded))

    async def token(self, name: str, source: TokenSource, *, stale: str | None = None) -> str:
        """A token shared by all replicas; `stale` is replaced even if it looks valid."""
        return await self._tokens.get(name, source, stale)

    def api(self, base_url: str, limits: Limits = NO_LIMITS, options: Options = DEFAULTS) -> Api:
        """The platform's HTTP API."""
        way = Way(self.http, self.owned, self.logger)
        self.apis.append(Api(way, base_url, Pacer(limits), options))
        return self.apis[-1]

    def cursor(self, name: str) -> Cursor:
        """How far the account's feed of this name is taken over."""
        cursor = Cursor(self.bucket("cursors"), feed_key(self.account, name))
        return self._cursors.setdefault(name, cursor)

    async def save_cursors(self) -> None:
        """Save what was moved: the test ends receiving in an orderly way."""
        for cursor in self._cursors.values():
            await cursor.save()

    async def reconnecting(self, connect: Connect, *, patience_s: float = 30) -> NoReturn:
        """Keep a connection, with short waits between two."""
        backoff = Backoff(0.01, 0.05)
        loop = Reconnecting(self.ready, self.logger, patience_s=patience_s, backoff=backoff)
        await loop.run(connect)

    def bucket(self, name: str) -> MemoryBucket:
        """State that all replicas share."""
        return MemoryBucket(self.memory.bus, name)

    def _now_s(self) -> float:
        return self.clock()

    def now_ms(self) -> int:
        """Unix milliseconds of `clock`."""
        return int(self.clock() * 1000)

    def owned(self) -> bool:
        """Whether this replica owns the account."""
        return self.owner
