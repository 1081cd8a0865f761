"""Replies that travel inside the response of a platform's webhook, across replicas.

The replica that holds an open request listens on the passive subject of its chat; the owner of the
account offers a reply there, and one holder takes it. What was taken is remembered, so that the
platform's retry of the same webhook gets the same reply wherever it arrives.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from onebus import subjects
from onebus.bucket import Bucket, Conflict
from onebus.bus import Bus, NoResponders
from onebus.codec import CodecError, decode, encode
from onebus.errors import BusError, BusTimeout, OutcomeUnknown
from onebus.event import Chat
from onebus.ids import Account, MessageId
from onebus.segment import Segments

OFFER_S = 3.0
ATTEMPTS = 3


class Offer(Protocol):
    """A message that waits to go out inside an open webhook request."""

    @property
    def segments(self) -> Segments:
        """What the bot wants to say."""

    async def accept(self, message: MessageId) -> None:
        """Say under which id the reply goes out; the sender's `offer` returns it."""

    async def refuse(self) -> None:
        """Leave it: to another holder, or to the push API."""


class Held(Protocol):
    """An open webhook request that may carry a reply."""

    async def next_offer(self, timeout_s: float) -> Offer | None:
        """The reply, or None when the bot has none in time. Each hold takes at most one."""


class Passive(Protocol):
    """Replies inside a webhook's response, whichever replica holds it (design: passive subject)."""

    def hold(self, chat: Chat) -> AbstractAsyncContextManager[Held]:
        """Hold a request of this chat open; enter *before* its event is appended."""

    async def offer(self, chat: Chat, segments: Segments) -> MessageId | None:
        """Hand a reply to a replica that holds a request of the chat.

        None: nobody holds one, use the push API. Raises OutcomeUnknown when a holder vanished.
        """

    async def remember(self, key: str, reply: bytes) -> bool:
        """Keep the reply of a webhook for its retries; False when there already is one."""

    async def recall(self, key: str) -> bytes | None:
        """The reply remembered under this key, at any replica, for ten minutes."""


class _Offered(Struct, frozen=True):
    account: Account
    chat: Chat
    segments: Segments
    v: int = msgspec.field(default_factory=lambda: 1)


class _Taken(Struct, frozen=True):
    """The id under which the reply goes out; None when this holder takes it no more."""

    message: MessageId | None


class BusOffer:
    """A reply on offer; see `Offer`."""

    def __init__(self, bus: Bus, message: Msg, segments: Segments) -> None:
        self._bus = bus
        self._message = message
        self.segments = segments

    async def accept(self, message: MessageId) -> None:
        """Take it, under this id."""
        await self._answer(message)

    async def refuse(self) -> None:
        """Leave it to another holder, or to the push API."""
        await self._answer(None)

    async def _answer(self, message: MessageId | None) -> None:
        await self._bus.publish(self._message.reply, encode(_Taken(message)))


class BusHeld:
    """An open request; takes the first offer and refuses all others."""

    def __init__(self, bus: Bus, account: Account, chat: Chat) -> None:
        self._bus = bus
        self._account = account
        self._chat = chat
        self._first: asyncio.Future[BusOffer] = asyncio.get_running_loop().create_future()
        self._subscription: Subscription | None = None
        self._seen = False

    async def listen(self, subject: str) -> None:
        """Take offers from now on. Raises BusUnavailable."""
        # A queue group: each offer goes to one holder, also when several requests are open.
        self._subscription = await self._bus.subscribe(subject, self.on_message, "holders")

    async def next_offer(self, timeout_s: float) -> BusOffer | None:
        """The reply, or None when none came in time."""
        done, _ = await asyncio.wait({self._first}, timeout=max(timeout_s, 0))
        self._seen = bool(done)
        return self._first.result() if done else None

    async def on_message(self, message: Msg) -> None:
        """An offer arrived."""
        try:
            offered = decode(message.data, _Offered)
        except CodecError:
            return
        offer = BusOffer(self._bus, message, offered.segments)
        ours = (offered.account, offered.chat.key) == (self._account, self._chat.key)
        if self._first.done() or not ours:
            await offer.refuse()
        else:
            self._first.set_result(offer)
            if self._subscription:  # the next offer is for another holder
                await self._bus.leave(self._subscription)

    async def close(self) -> None:
        """Take nothing any more; refuse an offer that came too late to be seen."""
        with contextlib.suppress(BusError):
            if not self._first.cancel() and not self._seen:
                await self._first.result().refuse()
        if self._subscription:
            await self._bus.drain(self._subscription)  # what is on its way is refused, not lost


class BusPassive:
    """`Passive` over NATS."""

    def __init__(self, bus: Bus, account: Account) -> None:
        self._bus = bus
        self._account = account
        self._replies = Bucket(bus, "idempotency")

    @asynccontextmanager
    async def hold(self, chat: Chat) -> AsyncIterator[BusHeld]:
        """Listen for the chat's reply. Raises BusUnavailable."""
        held = BusHeld(self._bus, self._account, chat)
        await held.listen(self._subject(chat))
        try:
            yield held
        finally:
            await held.close()

    async def offer(self, chat: Chat, segments: Segments) -> MessageId | None:
        """Hand a reply to a holder; see `Passive`."""
        body = encode(_Offered(self._account, chat, segments))
        for _ in range(ATTEMPTS):
            try:
                reply = await self._bus.request(self._subject(chat), body, OFFER_S)
            except NoResponders:
                return None
            except BusTimeout:
                raise OutcomeUnknown(
                    "the process that held the platform's request vanished; it may have replied"
                ) from None
            if (taken := decode(reply.data, _Taken)).message is not None:
                return taken.message
        return None

    async def remember(self, key: str, reply: bytes) -> bool:
        """Keep the reply of a webhook for its retries; False when there already is one."""
        try:
            await self._replies.create(self._key(key), reply)
        except Conflict:
            return False
        return True

    async def recall(self, key: str) -> bytes | None:
        """The reply remembered under this key."""
        entry = await self._replies.get(self._key(key))
        return entry.value if entry else None

    def _subject(self, chat: Chat) -> str:
        return f"{self._bus.prefix}.{subjects.passive(self._account, chat)}"

    def _key(self, key: str) -> str:
        return f"{subjects.account_key(self._account)}.passive.{subjects.escape(key)}"
