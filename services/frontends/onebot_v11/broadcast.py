"""The sockets of one account that are up to date: each event is written to all of them at once.

A write to a socket is a call of the system, and nearly all that a frontend with many bots does. So
events that come together go out in one write; and what is due for each socket, looking whether its
bot reads at all, is done once for several events.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from frontends.onebot_v11.frame import Frame, text_frame
from onebus import metrics
from onebus.metrics import Way

K = TypeVar("K", bound=Hashable)

NOTE_EVERY = 16
NOTE_BYTES = 256 << 10
"""So much, or so many events, may be written to a socket before it is looked at."""


class Member(Protocol):
    """A socket. `write` puts a whole frame into its buffer, at once."""

    way: Way
    write: Callable[[bytes], None]
    closing: Callable[[], bool]

    def written(self, count: int, sequence: int) -> bool:
        """So many events were written, the last of them this; whether more may be."""

    def left(self) -> None:
        """Nothing more is written by the broadcast: what comes now is queued."""


class Broadcast(Generic[K]):
    """Sockets of one transport that get the same frames, each under a key.

    They join and leave between events, never within one; `on_left` is told of each that leaves.
    """

    def __init__(self, on_left: Callable[[K], None]) -> None:
        self._on_left = on_left
        self._members: dict[K, Member] = {}
        self._waiting: list[bytes] = []
        self._flushing = False
        self._count = 0
        self._size_bytes = 0
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._members)

    def join(self, key: K, member: Member) -> None:
        """Take part, from the next event on."""
        self._note()
        self._members[key] = member

    def leave(self, key: K) -> None:
        """Take part no more; does nothing for who has left."""
        if key in self._members:
            self._note()
            self._let_go(key)

    def end(self) -> None:
        """Let all go: an event cannot be had in time."""
        self._note()
        for key in list(self._members):
            self._let_go(key)

    def send(self, frame: Frame) -> None:
        """Write an event to each, with those that come right after it."""
        data = text_frame(frame.body)
        self._waiting.append(data)
        self._count += 1
        self._size_bytes += len(data)
        self._sequence = frame.sequence
        way = next(iter(self._members.values())).way
        metrics.sent(way, frame.stored_at_ms, bots=len(self._members))
        if self._count >= NOTE_EVERY or self._size_bytes >= NOTE_BYTES:
            self._note()
        elif not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Write what waits."""
        self._flushing = False
        if not self._waiting:
            return
        data = b"".join(self._waiting)
        self._waiting.clear()
        for member in self._members.values():
            if not member.closing():
                member.write(data)

    def _note(self) -> None:
        """Write what waits, and tell each what was written; who can take no more leaves."""
        flushing = self._flushing
        self._flush()
        self._flushing = flushing  # it is called all the same, and finds nothing
        if not self._count:
            return
        count, self._count, self._size_bytes = self._count, 0, 0
        members = list(self._members.items())
        for key in [key for key, member in members if not member.written(count, self._sequence)]:
            self._let_go(key)

    def _let_go(self, key: K) -> None:
        if member := self._members.pop(key, None):
            self._on_left(key)
            member.left()
