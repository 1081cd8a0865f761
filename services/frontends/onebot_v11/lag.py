"""How far a bot that onebus goes to is behind, and whether the log forgets what it has not had."""

import logging
import time

from frontends.onebot_v11.progress import Progress
from frontends.onebot_v11.session import Session
from frontends.onebot_v11.target import Target
from onebus import metrics, subjects
from onebus.log import Extent

logger = logging.getLogger(__name__)


class Lag:
    """Of one target, while this process serves it. Looking costs one question to the log."""

    def __init__(self, session: Session, target: Target, progress: Progress) -> None:
        self._log = session.log
        self._target = target
        self._progress = progress
        self._sure = 0
        """Up to here nothing was waiting for the bot when it was looked last."""
        self._told = False

    async def look(self, extent: Extent) -> None:
        """Note where the bot is in a log that reaches so far. Raises BusError."""
        position = self._progress.position
        if not position:  # no events go there, or it has not begun
            return
        self._compare(extent, position)
        events, had = subjects.events_of(self._target.account), max(position, extent.first - 1)
        waiting = await self._log.next_after(events, had)
        if waiting is None:
            self._sure = extent.last
            metrics.lag(self._target.way, 0, 0)
            return
        self._sure = waiting.sequence - 1
        age_s = time.time() - waiting.stored_at_ms / 1000
        metrics.lag(self._target.way, max(0, extent.last - position), max(0.0, age_s))

    def forget(self) -> None:
        """Another process serves it now, or none."""
        metrics.forget_target(self._target.way)

    def _compare(self, extent: Extent, position: int) -> None:
        """Raise the alarm when events went out of the log that the bot still waited for.

        What was gone when we began was said by `Progress`.
        """
        sure = max(position, self._sure) if self._sure else extent.first - 1
        lost = extent.first - 1 - sure
        if lost > 0:
            metrics.events_evicted.labels(*self._target.way).inc(lost)
            if not self._told:
                text = "%s: %s: the log forgets events that it has not had, and cannot get any more"
                logger.error(text, self._target.account, self._target.name)
        self._told = position < extent.first - 1 and (self._told or lost > 0)
