"""Consumers that are asked for each entry, in memory: what `onebus.objects` reads by."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from onebus.bus import StreamEntry


class _Consumer(Struct):
    """Where a reader is."""

    where: str
    sequence: int
    given: int = 0


class Pulls:
    """The consumers of a `MemoryBus`, and who takes what they give."""

    def __init__(self, streams: Mapping[str, list[StreamEntry]]) -> None:
        self.inboxes: dict[str, Callable[[Msg], Coroutine[Any, Any, None]]] = {}
        self._streams = streams
        self._consumers: dict[tuple[str, str], _Consumer] = {}

    def api(self, operation: str, body: Any) -> None:
        """`CONSUMER.CREATE` and `CONSUMER.DELETE`."""
        _, verb, stream, name = operation.split(".")[:4]
        if verb == "DELETE":
            self._consumers.pop((stream, name), None)
            return
        config = body["config"]
        start = int(config["opt_start_seq"])
        self._consumers[stream, name] = _Consumer(config["filter_subject"], start)

    async def next(self, subject: str, reply: str) -> None:
        """`CONSUMER.MSG.NEXT`: the next entry, or the status that there is none."""
        stream, name = subject.split(".")[-2:]
        consumer = self._consumers[stream, name]
        for entry in self._streams[stream][max(consumer.sequence - 1, 0) :]:
            if matches(consumer.where, entry.subject):
                consumer.sequence = entry.sequence + 1
                consumer.given += 1
                place = f"{entry.sequence}.{consumer.given}.{entry.stored_at_ms * 1_000_000}.0"
                told = f"$JS.ACK.{stream}.{name}.1.{place}"
                await self._give(reply, entry.subject, told, entry.body, None)
                return
        await self._give(reply, reply, "", b"", {"Status": "408"})

    async def _give(
        self, inbox: str, subject: str, reply: str, body: bytes, headers: dict[str, str] | None
    ) -> None:
        message = Msg(Client(), subject=subject, reply=reply, data=body, headers=headers)
        await self.inboxes[inbox](message)


def matches(where: str, subject: str) -> bool:
    """Whether a subject fits a filter with NATS wildcards."""
    wanted, found = where.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(found) <= len(wanted):
            return False
        found = found[: len(wanted)]
    return len(wanted) == len(found) and all(
        token in {"*", other} for token, other in zip(wanted, found, strict=True)
    )
