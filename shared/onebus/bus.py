"""The connection to NATS: one per process, and it comes back by itself.

What nats-py leaves to its user is settled here once: endless reconnects with jitter, short pings,
requests that fail at once while NATS is away instead of waiting in a buffer that dies with the
process, error callbacks that never raise, and a watchdog for a read loop that died silently.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any, cast

import msgspec
import nats
import nats.errors
from msgspec import Struct
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from onebus import metrics
from onebus.client import BusClient, Take
from onebus.connection import Servers, TlsClient, header_bytes, tls_context
from onebus.errors import BusError, BusTimeout, BusUnavailable, Misconfigured
from onebus.refusals import Refusals, decode_ack
from onebus.replies import Replies
from onebus.settings import TlsSettings
from onebus.subjects import inbox_prefix
from onebus.trouble import Troubles

logger = logging.getLogger(__name__)

PING_INTERVAL_S = 5
WATCHDOG_S = 5
CONNECT_TIMEOUT_S = 3
DRAIN_S = 2
BULK = 3
NOBODY_LISTENS = "503"
WRONG_LAST_SEQUENCE = 10071
NOT_FOUND_CODES = frozenset({10014, 10037, 10059})  # consumer, message, stream not found


class BusOptions(Struct, frozen=True):
    """How to reach NATS, and the prefix of everything we name there."""

    url: str = "nats://127.0.0.1:4222"
    user: str = ""
    password: str = ""
    prefix: str = "onebus"
    tls: TlsSettings = TlsSettings()

    @property
    def encrypted(self) -> bool:
        """Whether no word may be said without TLS."""
        return self.tls.given or any(url.startswith("tls:") for url in self.servers)

    @property
    def servers(self) -> list[str]:
        """The address of each."""
        return [url.strip() for url in self.url.split(",")]


class NoResponders(BusError):
    """Nobody listens on the subject; nothing was delivered."""


class TooLarge(BusUnavailable):
    """A message is larger than this NATS takes; trying again makes no sense."""


class StoreRefused(BusError):
    """JetStream refused an operation; `code` is its error code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} (JetStream error {code})")
        self.code = code


class StreamEntry(Struct, frozen=True):
    """A message of a stream: where, what, and when it was stored; 0 where that was not asked."""

    subject: str
    sequence: int
    body: bytes
    headers: dict[str, str]
    stored_at_ms: int = 0


class Bus:
    """NATS as onebus uses it. Use as an async context manager; `ready` tells when it is there."""

    def __init__(self, options: BusOptions, name: str) -> None:
        self.options = options
        self.prefix = options.prefix
        self.name = name
        self.ready = asyncio.Event()
        self.bulk = asyncio.Semaphore(BULK)
        """Held for each large message: on one connection they go one after the other, and what is
        small and urgent must not wait for many of them."""
        self._client = TlsClient() if options.encrypted else BusClient()
        self._servers = Servers(self._client)
        self._replies = Replies(self._client)
        self._on_ready: list[Callable[[], None]] = [self._servers.reached]
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self._troubles = Troubles(self.where(), options.user)
        self._refusals = Refusals(lambda: self.connected)

    async def __aenter__(self) -> "Bus":
        await self._group.__aenter__()
        self._tasks = [
            self._group.create_task(self._connect()),
            self._group.create_task(self._watch()),
        ]
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(*error)
        if not self._client.is_closed:
            await self._client.close()

    @property
    def connected(self) -> bool:
        """Whether a request has a chance now."""
        return self.ready.is_set() and self._client.is_connected

    @property
    def reading(self) -> bool:
        """Whether what NATS sends is read. If it is not while `connected`, `_watch` mends it."""
        task = self._client._reading_task  # noqa: SLF001
        return task is not None and not task.done()

    def on_ready(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, quickly, after every (re)connect; returns how to stop that."""
        self._on_ready.append(callback)
        return lambda: self._on_ready.remove(callback)

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait for NATS. Raises BusUnavailable."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.ready.wait()
        except TimeoutError:
            raise BusUnavailable(f"no NATS at {self.where()}: {self._troubles.last}") from None

    def where(self) -> str:
        """The server's address without credentials, for people."""
        return ", ".join(part.rpartition("@")[2] for part in self.options.servers)

    def inbox(self) -> str:
        """A fresh subject below this client's inbox prefix."""
        return str(self._client.new_inbox())

    async def request(
        self,
        subject: str,
        body: bytes,
        timeout_s: float,
        headers: dict[str, str] | None = None,
        *,
        lives: Callable[[], bool] | None = None,
    ) -> Msg:
        """Ask and wait, as long as who should answer `lives`. The subject is complete, with prefix.

        Raises BusUnavailable: nothing was sent; NoResponders: nothing was delivered; BusTimeout:
        whether it arrived is unknown.
        """
        self._check(len(body), headers)
        try:
            message = await self._replies.ask(subject, body, timeout_s, headers, lives)
        except (TimeoutError, ConnectionResetError):
            raise BusTimeout("NATS gave no answer in time") from None
        except nats.errors.Error as error:
            raise BusUnavailable(f"NATS: {error}") from error
        if message.headers and message.headers.get("Status") == NOBODY_LISTENS:
            raise NoResponders(subject)
        return message

    async def publish(self, subject: str, body: bytes = b"", *, reply: str = "") -> None:
        """Send, and wait for nothing; only for what may be lost. Raises BusUnavailable."""
        self._check(len(body))
        try:
            self._client.send(subject, body, reply)
        except nats.errors.Error as error:
            raise BusUnavailable(f"NATS: {error}") from error

    async def subscribe(
        self,
        subject: str,
        callback: Callable[[Msg], Coroutine[Any, Any, None]],
        queue: str = "",
    ) -> Subscription:
        """Take messages of a subject; the callback must hand off and return.

        Raises BusUnavailable.
        """
        self._check()
        try:
            return await self._client.subscribe(subject, queue=queue, cb=callback)
        except nats.errors.Error as error:
            raise BusUnavailable(f"NATS: {error}") from error

    async def subscribe_direct(self, subject: str, take: Take) -> Subscription:
        """Take messages of a subject while they are read; `take` is quick and never raises.

        Raises BusUnavailable.
        """
        self._check()
        try:
            return await self._client.subscribe_direct(subject, take)
        except nats.errors.Error as error:
            raise BusUnavailable(f"NATS: {error}") from error

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop taking messages; a subscription of a lost connection is simply gone."""
        try:
            await subscription.unsubscribe()
        except nats.errors.Error:
            logger.debug("subscription %s was gone already", subscription.subject)
        # nats-py leaves a subscription and its task holding each other, with what nobody took.
        waiting = subscription._pending_queue  # noqa: SLF001
        while not waiting.empty():
            waiting.get_nowait()

    async def leave(self, subscription: Subscription) -> None:
        """Be sent no more messages; the callback still gets those that are on their way here."""
        await self._client._send_unsubscribe(subscription._id)  # noqa: SLF001

    async def drain(self, subscription: Subscription) -> None:
        """Stop taking messages, once the callback has had those that are on their way here."""
        try:
            if self.connected:
                await self.leave(subscription)
                async with asyncio.timeout(DRAIN_S):
                    # A ping is written at once and would overtake what waits for the flusher.
                    await self._client._flush_pending(force_flush=True)  # noqa: SLF001
                    await self._round_trip(DRAIN_S)
                    await subscription._pending_queue.join()  # noqa: SLF001
        except (TimeoutError, nats.errors.Error, OSError):
            logger.debug("subscription %s was not drained", subscription.subject)
        finally:
            await self.unsubscribe(subscription)

    async def api(self, operation: str, body: Any = None, timeout_s: float = 5) -> dict[str, Any]:
        """A call of the JetStream API. Raises StoreRefused and what `request` raises."""
        payload = b"" if body is None else msgspec.json.encode(body)
        message = await self.request(f"$JS.API.{operation}", payload, timeout_s)
        answer = cast("dict[str, Any]", json.loads(message.data))
        if error := answer.get("error"):
            raise StoreRefused(error.get("err_code", 0), error.get("description", "refused"))
        return answer

    async def store(
        self,
        subject: str,
        body: bytes,
        *,
        last_sequence: int | None = None,
        last_of: str = "",
        headers: dict[str, str] | None = None,
        timeout_s: float = 5,
    ) -> int:
        """Append to the stream of a subject and wait for its ack; returns the sequence.

        `last_sequence`: the sequence that the last entry of the subject, or of the subject
        `last_of`, must have, 0 for none. Raises StoreRefused (WRONG_LAST_SEQUENCE when it has
        another) and what `request` raises.
        """
        all_headers = dict(headers or {})
        if last_sequence is not None:
            all_headers["Nats-Expected-Last-Subject-Sequence"] = str(last_sequence)
        if last_of:
            all_headers["Nats-Expected-Last-Subject-Sequence-Subject"] = last_of
        try:
            message = await self.request(subject, body, timeout_s, all_headers or None)
            ack = decode_ack(message.data)
            if ack.error:
                raise StoreRefused(ack.error.err_code, ack.error.description)
        except BusError as refused:
            self._refusals.failed(subject, refused)
            raise
        self._refusals.stored(subject)
        return ack.seq

    async def last(self, stream: str, subject: str) -> StreamEntry | None:
        """The last entry of a subject, by direct get."""
        return await self._direct(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"")

    async def last_matching(self, stream: str, where: str) -> StreamEntry | None:
        """The last entry of all subjects that fit a filter, by direct get."""
        body = msgspec.json.encode({"last_by_subj": where})
        return await self._direct(f"$JS.API.DIRECT.GET.{stream}", body)

    async def at(self, stream: str, sequence: int) -> StreamEntry | None:
        """The entry with a sequence, by direct get."""
        body = msgspec.json.encode({"seq": sequence})
        return await self._direct(f"$JS.API.DIRECT.GET.{stream}", body)

    def _check(self, size_bytes: int = 0, headers: dict[str, str] | None = None) -> None:
        """Refuse what cannot be sent now: nats-py would buffer it, the server hang up on it."""
        if not self.connected:
            raise BusUnavailable(f"no connection to NATS at {self.where()}")
        most = self._client.max_payload
        if size_bytes > most // 2:  # headers are small: they matter to what is large
            size_bytes += header_bytes(headers)
        if size_bytes > most:
            raise TooLarge(f"{size_bytes:,} bytes do not fit into a NATS message of {most:,}")

    async def _direct(self, subject: str, body: bytes) -> StreamEntry | None:
        message = await self.request(subject, body, 5)
        headers = message.headers or {}
        if headers.get("Status") == "404":
            return None
        if "Nats-Sequence" not in headers:
            raise BusUnavailable(f"NATS refused a read: {headers.get('Description', 'no reason')}")
        return StreamEntry(
            headers["Nats-Subject"], int(headers["Nats-Sequence"]), message.data, headers
        )

    async def _connect(self) -> None:
        """First connection: nats-py tries for ever; later ones are its reconnects."""
        options = self.options
        try:
            await self._client.connect(
                servers=options.servers,
                name=self.name,
                user=options.user or None,
                password=options.password or None,
                inbox_prefix=inbox_prefix(options.user),
                tls=tls_context(options.tls) if options.encrypted else None,
                error_cb=self._on_error,
                disconnected_cb=self._on_down,
                reconnected_cb=self._on_up,
                connect_timeout=CONNECT_TIMEOUT_S,
                max_reconnect_attempts=-1,
                # No buffer for outages, and no flush in `publish` that swallows a cancellation.
                pending_size=-1,
                # nats-py declares seconds as int, and passes them to asyncio.sleep as they are.
                reconnect_time_wait=cast("int", 0.5),
                reconnect_to_server_handler=self._servers.next,
                ping_interval=PING_INTERVAL_S,
                max_outstanding_pings=2,
            )
            await self._replies.listen()
        except (OSError, ValueError, nats.errors.Error) as error:
            raise Misconfigured(f"bus.url {self.where()}: {error}") from error
        await self._on_up()

    async def _on_up(self) -> None:
        logger.info("connected to NATS at %s", self.where())
        self._troubles.over()
        metrics.nats_connects.inc()
        self.ready.set()
        for callback in list(self._on_ready):
            callback()

    async def _on_down(self) -> None:
        if self.ready.is_set() and not self._closing:
            logger.warning("lost NATS at %s; reconnecting", self.where())
        self.ready.clear()
        self._replies.lost()

    async def _on_error(self, error: Exception) -> None:
        if not self._closing:
            self._troubles.tell(error, connected=self.ready.is_set())

    async def _watch(self) -> None:
        """Notice a connection that only looks alive and force a new one; end with one that ended.

        Raises BusUnavailable when NATS closed it for good, because of wrong credentials, say.
        """
        await self.ready.wait()
        while True:
            await asyncio.sleep(WATCHDOG_S)
            if self._client.is_closed:
                raise BusUnavailable(f"NATS at {self.where()} closed: {self._troubles.last}")
            if not self.connected:
                continue
            if not await self._round_trip(WATCHDOG_S) and self.connected:
                logger.warning("NATS at %s does not answer; reconnecting", self.where())
                await self._on_down()
                await self._client.force_reconnect()

    async def _round_trip(self, timeout_s: float) -> bool:
        """Whether NATS answers a ping in time.

        nats-py's `flush` and `rtt` cancel their future when they give up; the pong that comes
        later then raises in the read loop and ends it. And `flush` passes with a dead read loop.
        """
        pong: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            await self._client._send_ping(pong)  # noqa: SLF001
        except (nats.errors.Error, OSError):
            return False
        done, _ = await asyncio.wait({pong}, timeout=timeout_s)
        return bool(done)
