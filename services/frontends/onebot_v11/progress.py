"""How far a bot that onebus goes to has got in the log, and what it was not given.

The cursor is in NATS and moved by compare-and-set: after any death another process goes on behind
the last event that the bot is known to have, and a stale owner cannot move it.
"""

import asyncio
import logging
import re
import time
from collections.abc import Iterable

from msgspec import Raw

from frontends.onebot_v11.frame import Frame
from frontends.onebot_v11.session import Session
from frontends.onebot_v11.target import Target
from onebus import metrics
from onebus.backoff import Backoff
from onebus.bucket import Bucket
from onebus.cursor import Cursor
from onebus.dead import DeadLetter, DeadLetters, now_ms
from onebus.errors import BusError

logger = logging.getLogger(__name__)

_PLACE = re.compile(r"(\d{1,18})(?:\+(\d+(?:,\d+)*))?")


class Progress:
    """One target's, for as long as it is ours. All moves raise Conflict when it is not."""

    def __init__(self, session: Session, target: Target) -> None:
        self._log = session.log
        self._target = target
        self.way = target.way
        self.sent_until = 0
        """The highest sequence that was sent by this process."""
        self._window_s = target.config.replay_window / 1000
        self._cursor = Cursor(Bucket(session.bus, "cursors"), target.key)
        self._dead = DeadLetters(session.bus)
        self._one_move = asyncio.Lock()
        self._one_burial = asyncio.Lock()
        self._skipped = 0
        self._last_skipped = 0
        self._reason = ""
        self.position = 0
        """The sequence up to which every event is handed over, or need not be."""
        self.ahead: frozenset[int] = frozenset()
        """Events behind that which are handed over already."""

    async def start(self) -> int:
        """The sequence after which delivery begins: at a new target's first time, the log's end.

        Raises BusError.
        """
        end = await self._log.end()
        saved = await self._cursor.load()
        if not self._window_s or saved is None or (place := _place(saved))[0] > end:
            if saved and self._window_s:
                logger.warning("%s: its place in the log, %s, is not there", self._name, saved)
            self.position, self.ahead = end, frozenset()
            await self._move(at_once=True)
            return end
        self.position, self.ahead = place
        await self._check_evicted()
        return self.position

    async def again(self) -> int:
        """The sequence to go on after when the bot is back. Raises BusError."""
        if not self.position or not self._window_s:
            return await self.start()
        await self._check_evicted()
        return self.position

    def fresh(self, frame: Frame) -> bool:
        """Whether an event is young enough to be sent now; the others are counted."""
        age_s = time.time() - frame.stored_at_ms / 1000
        if not self._window_s or age_s <= self._window_s:
            self._say_skipped()
            return True
        self._skipped += 1
        metrics.events_skipped.labels(*self.way).inc()
        self._last_skipped = frame.sequence
        return False

    def sent(self, frame: Frame, *, again: bool) -> None:
        """Count an event that was handed to the bot; what an earlier process sent is not known."""
        self.sent_until = max(self.sent_until, frame.sequence)
        metrics.sent(self.way, frame.stored_at_ms, again=again)

    async def done(
        self, sequence: int, ahead: Iterable[int] = (), *, at_once: bool = False
    ) -> bool:
        """Everything up to here, and these, is handed over or left out; saved soon.

        Whether it is saved already.
        """
        if self._skipped and sequence > self._last_skipped:
            self._say_skipped()
        self.position = max(self.position, sequence)
        self.ahead = frozenset(ahead)
        return await self._move(at_once=at_once)

    async def bury(self, frame: Frame, reason: str) -> None:
        """Keep an event as a dead letter; waits out NATS being away."""
        metrics.dead_letters.labels(*self.way).inc()
        level = logging.DEBUG if reason == self._reason else logging.WARNING
        self._reason = reason
        text = "%s: event %d is given up, as others may be: %s; `onebus dead-letters` lists them"
        logger.log(level, text, self._name, frame.sequence, reason)
        letter = DeadLetter(
            account=str(self._target.account),
            target=self._target.name,
            event_id=str(frame.sequence),
            reason=reason,
            event=Raw(frame.body),
            time_ms=now_ms(),
        )
        async with self._one_burial:  # a bot that hangs gives many up at once; others' events go on
            await self._keep(letter)

    async def _keep(self, letter: DeadLetter) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._dead.add(self._target.key, letter)
                return
            except BusError as error:
                logger.debug("%s: a dead letter waits: %s", self._name, error)
            await backoff.wait()

    def caught_up(self) -> None:
        """Nothing is left that happened before; now it is known how much was left out."""
        self._say_skipped()

    async def flush(self) -> bool:
        """Save what `done` left for later; whether that went well."""
        return await self._move(at_once=True)

    async def save(self) -> None:
        """Save the position now; at the end, say."""
        self._say_skipped()
        await self._move(at_once=True)

    async def _move(self, *, at_once: bool = False) -> bool:
        """While NATS is away the move waits for the next one; so does no bot."""
        async with self._one_move:
            try:
                place = _text(self.position, self.ahead)
                if place != self._cursor.position:
                    await self._cursor.move(place)
                if at_once:
                    await self._cursor.save()
                return self._cursor.saved
            except BusError as error:
                logger.debug("%s: its place is not saved: %s", self._name, error)
                return False

    async def _check_evicted(self) -> None:
        """Say it when the log has forgotten entries that this bot may not have had."""
        first = await self._log.first()
        if self.position < first - 1:
            metrics.events_evicted.labels(*self.way).inc(first - 1 - self.position)
            logger.error(
                "%s: the log has lost up to %d events that it has not had: it keeps too little for"
                " so long an absence; raise bus.max_messages, bus.max_bytes or bus.max_age_days",
                self._name,
                first - 1 - self.position,
            )
            self.position = first - 1

    def _say_skipped(self) -> None:
        if self._skipped:
            logger.warning(
                "%s: %d events were not sent: older than its replay_window of %g s",
                self._name,
                self._skipped,
                self._window_s,
            )
            self._skipped = 0

    @property
    def _name(self) -> str:
        return f"{self._target.account}: {self._target.name}"


def _text(position: int, ahead: Iterable[int]) -> str:
    """A place as it is saved: `4096`, or `4096+2,5` when 4098 and 4101 are done as well."""
    beyond = sorted(sequence - position for sequence in ahead if sequence > position)
    return f"{position}+{','.join(map(str, beyond))}" if beyond else str(position)


def _place(saved: str) -> tuple[int, frozenset[int]]:
    """The way back; what is no place is the end of time, where no log reaches."""
    match = _PLACE.fullmatch(saved)
    if match is None:
        return 1 << 63, frozenset()
    position = int(match[1])
    beyond = match[2].split(",") if match[2] else []
    return position, frozenset(position + int(offset) for offset in beyond)
