"""What a socket has sent and its bot has not acknowledged: how much of it there may be.

OneBot has no acknowledgement, but WebSocket answers pings in order: the pong to a ping that was
sent after an event says that the bot has read that event. Pure: no clock, no socket.
"""

from dataclasses import dataclass

from frontends.onebot_v11.ahead import FIRST, Mark, adapted
from frontends.onebot_v11.frame import Frame

MOST = 64
"""Events that may come twice after a crash: on their way, or not on record."""


@dataclass
class _Entry:
    frame: Frame
    sent: bool


class Window:
    """Events on their way, oldest first; at most `most` of them, fewer for a bot that is slow.

    Every fourth part of it is followed by a ping, so that even a bot that handles events one after
    the other in its reading loop gives a sign of life between them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = min(FIRST, most)
        # Lists: they are short, and each of ten thousand idle sockets has two empty ones.
        self._entries: list[_Entry] = []
        self._marks: list[Mark] = []
        self._added = 0
        self._released = 0
        self._kept = 0
        self._number = 0
        self._since_ping = 0

    @property
    def full(self) -> bool:
        """Whether the next event must wait."""
        ahead = len(self._entries)
        return ahead >= self._size or ahead + self.unkept >= max(MOST, self._most)

    @property
    def unkept(self) -> int:
        """How many were let go of, and are not known to be kept: they may come twice as well."""
        return self._released - self._kept

    def kept(self, count: int) -> None:
        """Of those that were let go of, so many are on record."""
        self._kept += count

    @property
    def pending(self) -> list[Frame]:
        """The events that were sent and not acknowledged."""
        return [entry.frame for entry in self._entries if entry.sent]

    def add(self, frame: Frame, *, sent: bool = True) -> None:
        """Note an event that is being sent, or one that is left out in its place."""
        self._entries.append(_Entry(frame, sent))
        self._added += 1
        self._since_ping += sent

    def ping_due(self, *, idle: bool) -> bool:
        """Whether a ping should follow now; `idle`: no other event is ready to be sent."""
        return self._since_ping > 0 and (idle or self._since_ping >= max(1, self._size // 4))

    def ping(self, now_s: float) -> bytes:
        """The payload of a ping that is being sent."""
        self._number += 1
        self._since_ping = 0
        self._marks.append(Mark(self._number, self._added, now_s))
        return b"%d" % self._number

    def pong(self, payload: bytes, now_s: float) -> int | None:
        """The sequence up to which all is handed over now; None when it says nothing new."""
        number = int(payload) if payload.isdigit() and len(payload) < 20 else 0
        covers = self._released
        while self._marks and self._marks[0].number <= number:
            mark = self._marks.pop(0)
            covers = mark.covers
            if mark.number == number:
                self._adapt(now_s - mark.at_s)
        return self._release(covers)

    def skip(self) -> int | None:
        """The sequence that nothing before it holds up any more, after events were left out."""
        return self._release(self._released)

    def _release(self, covers: int) -> int | None:
        """Let go of what is covered, and of left out events right behind it."""
        last = None
        while self._entries and (self._released < covers or not self._entries[0].sent):
            last = self._entries.pop(0).frame.sequence
            self._released += 1
        return last

    def _adapt(self, took_s: float) -> None:
        self._size = adapted(self._size, self._most, took_s)


SUSPICIOUS = 2
FATAL = 5


class Deaths:
    """Whether a bot dies of one event: it is sent alone then, and given up in the end."""

    def __init__(self) -> None:
        self._head = 0
        self._times = 0
        self._alone = 0

    @property
    def window(self) -> int:
        """How many events may be on their way on the next socket."""
        return 1 if self._times >= SUSPICIOUS else MOST

    def died(self, pending: list[Frame]) -> Frame | None:
        """A socket ended with these not acknowledged; the event that must not be sent again."""
        if not pending:
            return None
        if pending[0].sequence != self._head:
            self._head, self._times, self._alone = pending[0].sequence, 0, 0
        self._times += 1
        self._alone += len(pending) == 1
        if self._alone < FATAL:
            return None
        self._times = 0
        return pending[0]

    def lived(self, sequence: int) -> None:
        """Everything up to here was acknowledged."""
        if sequence >= self._head:
            self._times = 0
