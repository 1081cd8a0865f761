"""How many events a socket may be ahead of its bot.

OneBot has no acknowledgement, but WebSocket answers pings in order: the pong to a ping that was
sent after an event says that the bot has read that event. Pure: no clock, no socket.
"""

from msgspec import Struct

FIRST = 16
PING_EVERY = 128
QUICK_S = 1.0
SLOW_S = 4.0


class Mark(Struct, frozen=True):
    """A ping on its way: the events that were sent before it, ever, and when it was sent."""

    number: int
    covers: int
    at_s: float


class Ahead:
    """Counts what was sent and not acknowledged; at most `most`, fewer for a bot that is slow.

    Every fourth part of it is followed by a ping, and every PING_EVERY, so that even a bot that
    handles events one after the other in its reading loop gives a sign of life between them.
    """

    def __init__(self, most: int, first: int = FIRST) -> None:
        self._most = most
        self.size = min(first, most)
        """How many it may be now."""
        # A list: it is short, and each of ten thousand idle sockets has an empty one.
        self._marks: list[Mark] = []
        self._sent = 0
        self._read = 0
        self._number = 0
        self._since_ping = 0

    @property
    def room(self) -> int:
        """How many more events may be sent now."""
        return self.size - (self._sent - self._read)

    def sent(self, count: int = 1) -> None:
        """Note events that were sent."""
        self._sent += count
        self._since_ping += count

    @property
    def ping_due(self) -> bool:
        """Whether a ping should follow now."""
        return self._since_ping >= min(PING_EVERY, max(1, self.size // 4))

    @property
    def unasked(self) -> bool:
        """Whether something was sent that no ping follows yet."""
        return self._since_ping > 0

    def ping(self, now_s: float) -> bytes:
        """The payload of a ping that is being sent."""
        self._number += 1
        self._since_ping = 0
        self._marks.append(Mark(self._number, self._sent, now_s))
        return b"%d" % self._number

    def pong(self, payload: bytes, now_s: float) -> None:
        """The bot has read what was sent before this ping."""
        number = int(payload) if payload.isdigit() and len(payload) < 20 else 0
        while self._marks and self._marks[0].number <= number:
            mark = self._marks.pop(0)
            self._read = mark.covers
            if mark.number == number:
                self.size = adapted(self.size, self._most, now_s - mark.at_s)


def adapted(size: int, most: int, took_s: float) -> int:
    """How many events may be on their way to a bot that took so long to read the last ones."""
    if took_s < QUICK_S:
        return min(most, size * 2)
    return max(1, size // 2) if took_s > SLOW_S else size
