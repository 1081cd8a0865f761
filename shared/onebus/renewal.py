"""The session of this process in one role: a key in NATS that lives while it is renewed.

A refused renewal ends a session for ever: somebody may have seen it gone. Another is drawn then.
"""

import asyncio
import logging
import time
from collections import deque

from nats.nuid import NUID

from onebus.bucket import Bucket, Conflict
from onebus.bus import Bus
from onebus.errors import BusError

logger = logging.getLogger(__name__)

RENEW_S = 1.5
ATTEMPT_S = 1.5
AGAIN_S = 0.3
OWNED_S = 4.0
"""A renewal that started longer ago than this proves nothing any more."""
TAKEOVER_S = 7.0
"""Own unmissed renewals before another's claim is taken: an outage moves nothing."""

_nuid = NUID()
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time_s() -> float:
    """Seconds on a clock that does not stop while the machine sleeps."""
    return time.clock_gettime(_BOOT_CLOCK)


class OwnSession:
    """`id` is the present session, `past` those before it. `prefix` begins all of them."""

    def __init__(self, bus: Bus, role: str, prefix: str) -> None:
        self._bucket = Bucket(bus, "sessions")
        self._role = role
        self._prefix = prefix
        self._revision = 0
        self._renewed_at = 0.0
        self._good_since = 0.0
        self.past: deque[str] = deque(maxlen=16)
        self.born = asyncio.Event()
        self.born_at_s = 0.0
        self.id = self._draw()

    @property
    def exists(self) -> bool:
        """Whether there is one, as far as was seen."""
        return bool(self._revision)

    def fresh(self) -> bool:
        """Whether the session lives for certain at this moment; no timer is asked."""
        return self.exists and boot_time_s() - self._renewed_at < OWNED_S

    def steady(self) -> bool:
        """Whether NATS has been there for so long that who is missing now is dead."""
        good_s = boot_time_s() - self._good_since if self._good_since else 0.0
        return self.fresh() and good_s >= TAKEOVER_S

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            started_at = boot_time_s()
            try:
                await self._renew()
            except Conflict:
                self.past.append(self.id)
                self.id, self._revision, self._good_since = self._draw(), 0, 0.0
                logger.warning("session of %s was lost; started another", self._role)
            except BusError as error:
                logger.debug("session of %s not renewed: %s", self._role, error)
                self._good_since = 0.0
                await asyncio.sleep(AGAIN_S)
            else:
                self._note(started_at)
                await asyncio.sleep(RENEW_S)

    def _note(self, started_at: float) -> None:
        """A renewal succeeded. Missed ones before it mean that we were suspended, or NATS hung."""
        missed = started_at - self._renewed_at > OWNED_S
        self._renewed_at = started_at
        self._good_since = started_at if missed else self._good_since or started_at
        self.born_at_s = self.born_at_s or started_at
        self.born.set()

    async def _renew(self) -> None:
        body = self._role.encode()
        if self._revision:
            self._revision = await self._bucket.update(
                self.id, body, self._revision, timeout_s=ATTEMPT_S
            )
        else:
            self._revision = await self._bucket.create(self.id, body)

    def _draw(self) -> str:
        return self._prefix + _nuid.next().decode()
