"""JetStream in memory, below the real `Log` and `Bucket`: no server, no waiting, one event loop.

Only what those two call is here. Limits, TTLs, fencing and everything that goes wrong between two
machines belong to tests with a real nats-server.
"""

import asyncio
import base64
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from onebus.bucket import Bucket, Entry
from onebus.bus import WRONG_LAST_SEQUENCE, Bus, BusOptions, StoreRefused, StreamEntry
from onebus.errors import BusUnavailable
from onebus.log import Log
from onebus.reader import Reader
from onebus.testing.memory_pulls import Pulls, matches

_NO_MESSAGE_FOUND = 10037
_NO_LIMITS = {"max_msgs": -1, "max_bytes": -1, "max_age": 0}


def _time_of(entry: StreamEntry) -> str:
    return datetime.fromtimestamp(entry.stored_at_ms / 1000, UTC).isoformat()


def _state(entries: list[StreamEntry]) -> dict[str, Any]:
    """What a server says of a stream."""
    return {
        "first_seq": 1,
        "last_seq": len(entries),
        "messages": len(entries),
        "bytes": sum(len(entry.body) for entry in entries),
        "first_ts": _time_of(entries[0]) if entries else "0001-01-01T00:00:00Z",
    }


class MemoryBus(Bus):
    """The streams that all kits of one test share. `available = False` is NATS gone away."""

    def __init__(self) -> None:
        super().__init__(BusOptions(), "memory")
        self.available = True
        self._streams: dict[str, list[StreamEntry]] = defaultdict(list)
        self._readers: list[MemoryReader] = []
        self._stored = asyncio.Event()
        self._pulls = Pulls(self._streams)

    @property
    def connected(self) -> bool:
        """Whether a request has a chance now."""
        return self.available

    async def store(
        self,
        subject: str,
        body: bytes,
        *,
        last_sequence: int | None = None,
        last_of: str = "",
        headers: dict[str, str] | None = None,
        timeout_s: float = 5,  # noqa: ARG002
    ) -> int:
        """Append, unless the subject's last entry has another sequence than the expected one."""
        self.check_available()
        stream = self._stream_of(subject)
        last = self._last(stream, last_of or subject)
        if last_sequence is not None and last_sequence != (last.sequence if last else 0):
            raise StoreRefused(WRONG_LAST_SEQUENCE, "wrong last sequence")
        sequence, now_ms = len(self._streams[stream]) + 1, time.time_ns() // 1_000_000
        entry = StreamEntry(subject, sequence, body, dict(headers or {}), now_ms)
        self._streams[stream].append(entry)
        for reader in list(self._readers):
            reader.take(stream, entry)
        self._stored.set()
        return entry.sequence

    async def last(self, stream: str, subject: str) -> StreamEntry | None:
        """The last entry of a subject."""
        self.check_available()
        return self._last(stream, subject)

    async def last_matching(self, stream: str, where: str) -> StreamEntry | None:
        """The last entry of all subjects that fit a filter."""
        self.check_available()
        entries = reversed(self._streams[stream])
        return next((entry for entry in entries if matches(where, entry.subject)), None)

    async def at(self, stream: str, sequence: int) -> StreamEntry | None:
        """The entry with a sequence."""
        self.check_available()
        entries = self._streams[stream]
        return entries[sequence - 1] if 0 < sequence <= len(entries) else None

    async def api(
        self,
        operation: str,
        body: Any = None,
        timeout_s: float = 5,  # noqa: ARG002
    ) -> dict[str, Any]:
        """The two calls of the JetStream API that `Log` and `Bucket` make."""
        self.check_available()
        if operation.startswith("CONSUMER."):
            self._pulls.api(operation, body)
            return {}
        if operation.startswith("STREAM.INFO."):
            entries = self._streams[operation.removeprefix("STREAM.INFO.")]
            subjects = {entry.subject: 1 for entry in entries}
            return {"state": _state(entries) | {"subjects": subjects}, "config": _NO_LIMITS}
        entry = await self._got(operation.removeprefix("STREAM.MSG.GET."), body)
        if entry is None:
            raise StoreRefused(_NO_MESSAGE_FOUND, "no message found")
        data = base64.b64encode(entry.body).decode()
        at = _time_of(entry)
        return {
            "message": {"subject": entry.subject, "seq": entry.sequence, "data": data, "time": at}
        }

    async def _got(self, stream: str, body: dict[str, Any]) -> StreamEntry | None:
        """The entry with a sequence, or the first from there on, or last, that fits a filter."""
        if "last_by_subj" in body:
            return await self.last_matching(stream, body["last_by_subj"])
        if "next_by_subj" not in body:
            return await self.at(stream, int(body["seq"]))
        later = self._streams[stream][int(body["seq"]) - 1 :]
        fitting = (entry for entry in later if matches(body["next_by_subj"], entry.subject))
        return next(fitting, None)

    def check_available(self) -> None:
        """Raises BusUnavailable while the bus is switched off."""
        if not self.available:
            raise BusUnavailable("the bus in memory is switched off")

    def entries(self, stream: str) -> Sequence[StreamEntry]:
        """Everything a stream holds, oldest first."""
        return self._streams[stream]

    async def publish(
        self,
        subject: str,
        body: bytes = b"",  # noqa: ARG002
        *,
        reply: str = "",
    ) -> None:
        """Ask a consumer for its next entry; there is nothing else that is published here."""
        self.check_available()
        await self._pulls.next(subject, reply)

    async def subscribe(
        self,
        subject: str,
        callback: Callable[[Msg], Coroutine[Any, Any, None]],
        queue: str = "",  # noqa: ARG002
    ) -> Subscription:
        """Take what a consumer gives."""
        self._pulls.inboxes[subject] = callback
        return Subscription(self._client, subject=subject)

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Take no more of it."""
        self._pulls.inboxes.pop(subscription.subject, None)

    async def next_store(self) -> None:
        """Wait until something is stored anywhere."""
        self._stored.clear()
        await self._stored.wait()

    def attach(self, reader: "MemoryReader") -> None:
        """Hand over what is stored, and from now on what is being stored."""
        for entry in list(self._streams[reader.stream]):
            reader.take(reader.stream, entry)
        self._readers.append(reader)

    def detach(self, reader: "MemoryReader") -> None:
        """Hand over nothing more."""
        self._readers.remove(reader)

    def _last(self, stream: str, subject: str) -> StreamEntry | None:
        entries = reversed(self._streams[stream])
        return next((entry for entry in entries if entry.subject == subject), None)

    def _stream_of(self, subject: str) -> str:
        if subject.startswith("$KV."):
            return f"KV_{subject.split('.')[1]}"
        if subject.startswith("$O."):
            return f"OBJ_{subject.split('.')[1]}"
        return f"{self.prefix}_events"


class MemoryReader(Reader):
    """A Reader that is handed its entries while they are stored."""

    def __init__(
        self,
        bus: MemoryBus,
        stream: str,
        filters: Sequence[str],
        on_entry: Callable[[StreamEntry], None],
        *,
        start: int,
        limit: int | None = None,
    ) -> None:
        super().__init__(bus, stream, filters, on_entry, start=start, limit=limit)
        self.stream = stream
        self._memory = bus

    async def __aenter__(self) -> "MemoryReader":
        self._memory.attach(self)
        self.caught_up.set()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._memory.detach(self)

    def set_filters(self, filters: Sequence[str]) -> None:
        """Read other subjects from the next entry on."""
        self._filters = list(filters)

    def take(self, stream: str, entry: StreamEntry) -> None:
        """Hand an entry on if it is new and wanted."""
        if stream != self.stream or entry.sequence <= self.handled or self._left == 0:
            return
        self.handled = entry.sequence
        if any(matches(where, entry.subject) for where in self._filters):
            self._on_entry(entry)
            self._count()


class MemoryLog(Log):
    """The real log on a bus in memory."""

    def __init__(self, bus: MemoryBus) -> None:
        super().__init__(bus)
        self._memory = bus

    def _entries(
        self,
        where: Sequence[str],
        on_entry: Callable[[StreamEntry], None],
        start: int,
        limit: int | None,
    ) -> Reader:
        return MemoryReader(self._memory, self.stream, where, on_entry, start=start, limit=limit)


class MemoryBucket(Bucket):
    """The real bucket on a bus in memory."""

    def __init__(self, bus: MemoryBus, name: str) -> None:
        super().__init__(bus, name)
        self._memory = bus

    async def entries(self, prefix: str) -> list[Entry]:
        """All keys below a prefix, in the order of their changes."""
        self._memory.check_available()
        found: dict[str, Entry | None] = {}
        async with self.follow(prefix, lambda key, entry: found.update({key: entry})):
            return [entry for entry in found.values() if entry]

    def _reader(self, prefix: str, on_entry: Callable[[StreamEntry], None]) -> Reader:
        return MemoryReader(self._memory, self.stream, [self._below(prefix)], on_entry, start=1)
