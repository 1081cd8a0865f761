"""Who owns an account or a push target: sessions and claims.

A session is a key that lives as long as its process renews it. A claim is a key that names the
session of its owner; it is changed by compare-and-set, and free when that session is gone. Nothing
here trusts a timer to stop a stale owner: `owned` compares a clock that runs through suspends with
the last good renewal at every use.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from nats.nuid import NUID

from onebus.bucket import Bucket, Conflict, Entry
from onebus.bus import Bus
from onebus.errors import BusError
from onebus.service import Role

logger = logging.getLogger(__name__)

RENEW_S = 1.5
LIST_S = 1.0
OWNED_S = 4.0
"""A renewal that started longer ago than this proves nothing any more."""
TAKEOVER_S = 7.0
"""Own unmissed renewals before another's claim is taken: an outage moves nothing."""

_nuid = NUID()
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time_s() -> float:
    """Seconds on a clock that does not stop while the machine sleeps."""
    return time.clock_gettime(_BOOT_CLOCK)


class Sessions(Role):
    """The sessions that live now, looked up once a second; `listed_at_s`: when that look began."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, "sessions")
        self.live: set[str] = set()
        self.listed_at_s = 0.0
        self.known = asyncio.Event()

    def missing(self) -> Iterable[str]:
        """The first look at them."""
        if not self.known.is_set():
            yield "the sessions are not known yet"

    async def run(self) -> None:
        """Keep `live` current until cancelled; while NATS is away it stays as it was."""
        while True:
            started_at = boot_time_s()
            with contextlib.suppress(BusError):
                self.live = await self._bucket.keys_now()
                self.listed_at_s = started_at
                self.known.set()
            await asyncio.sleep(LIST_S)


class Lease:
    """This process's session in one role, and the claims that it holds.

    `exclusive`: a name under which only one process can exist at all (guarded by a file lock, say).
    Sessions of an earlier process of that name are dead for certain and need no waiting.
    """

    def __init__(self, bus: Bus, role: str, sessions: Sessions, *, exclusive: str = "") -> None:
        self._bus = bus
        self._role = role
        self._sessions = sessions
        self._exclusive = f"{role}.{exclusive}-" if exclusive else ""
        self._session_bucket = Bucket(bus, "sessions")
        self._claim_bucket = Bucket(bus, "claims")
        self._past: set[str] = set()
        self._view: dict[str, Entry] = {}
        self._seen_at_s: dict[str, float] = {}
        self._held: dict[str, int] = {}
        self._wanted: dict[str, asyncio.Event] = {}
        self._lost: dict[str, asyncio.Event] = {}
        self._good_since = 0.0
        self._renewed_at = 0.0
        self._revision = 0
        self._stopping = False
        self._followed = False
        self.session = self._draw()

    def owned(self, key: str) -> bool:
        """Whether this process owns the claim at this moment. Ask right before every use."""
        return self._mine(key) and boot_time_s() - self._renewed_at < OWNED_S

    def missing(self) -> Iterable[str]:
        """What it lacks before it can claim anything."""
        if not self._revision:
            yield "no session is held"
        if not self._followed:
            yield "the claims are not known yet"

    async def run(self, prefix: str) -> None:
        """Renew the session and follow the claims below `prefix` until cancelled."""
        async with (
            self._claim_bucket.follow(prefix, self._on_claim) as reader,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._renew_for_ever())
            await reader.caught_up.wait()
            self._followed = True
            await self._sessions.known.wait()
            while True:
                if self._revision and not self._stopping:
                    await self._take_free_ones()
                await asyncio.sleep(RENEW_S / 3)

    async def hold(self, key: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` whenever this process owns the claim; cancel it when the claim is lost.

        Ends when `work` does, or when cancelled.
        """
        gained = self._wanted.setdefault(key, asyncio.Event())
        while True:
            await gained.wait()
            lost = self._lost[key]
            if await _unless(lost, work):
                return

    async def release(self) -> None:
        """Give all claims back, so that others see them free at once; take no more."""
        self._stopping = True
        for key, revision in list(self._held.items()):
            await self._give_back(key, revision)

    async def _give_back(self, key: str, revision: int) -> None:
        self._lose(key)
        with contextlib.suppress(BusError, Conflict):
            await self._claim_bucket.update(key, b"", revision)

    async def _renew_for_ever(self) -> None:
        while True:
            started_at = boot_time_s()
            try:
                await self._renew()
            except Conflict:
                self._past.add(self.session)
                self.session, self._revision, self._good_since = self._draw(), 0, 0.0
                logger.warning("session of %s was lost; started another", self._role)
                continue
            except BusError as error:
                logger.debug("session of %s not renewed: %s", self._role, error)
                self._good_since = 0.0
            else:
                missed = started_at - self._renewed_at > OWNED_S  # suspended, or NATS hung
                self._renewed_at = started_at
                self._good_since = started_at if missed else self._good_since or started_at
            await asyncio.sleep(RENEW_S)

    async def _renew(self) -> None:
        if self._revision:
            body = self._role.encode()
            self._revision = await self._session_bucket.update(self.session, body, self._revision)
        else:
            self._revision = await self._session_bucket.create(self.session, self._role.encode())

    async def _take_free_ones(self) -> None:
        for key in list(self._wanted):
            entry = self._view.get(key)
            if self._mine(key) or self._stopping:
                continue
            if entry is None or self._free(key, entry):
                await self._take(key, entry)

    def _mine(self, key: str) -> bool:
        """Whether the claim was written under the session that we have now, and not since.

        Under a new session it must be written again first: another may have it by now.
        """
        entry = self._view.get(key)
        return key in self._held and entry is not None and entry.value.decode() == self.session

    def _free(self, key: str, entry: Entry) -> bool:
        """Whether a claim may be taken: given back, our own, or its owner dead for certain."""
        holder = entry.value.decode()
        if not holder or holder == self.session or holder in self._past:
            return True
        if self._exclusive and holder.startswith(self._exclusive):
            return True
        steady = self._good_since and boot_time_s() - self._good_since >= TAKEOVER_S
        # A claim may be newer than the last look at the sessions, and so may its session be.
        looked = self._sessions.listed_at_s > self._seen_at_s.get(key, math.inf)
        return bool(steady) and looked and holder not in self._sessions.live

    async def _take(self, key: str, entry: Entry | None) -> None:
        value = self.session.encode()
        try:
            if entry is None:
                revision = await self._claim_bucket.create(key, value)
            else:
                revision = await self._claim_bucket.update(key, value, entry.revision)
        except (Conflict, BusError) as error:
            logger.debug("claim %s not taken: %s", key, error)
            return
        seen = self._view.get(key)
        if seen and seen.revision > revision:  # it was taken from us again already
            return
        self._view[key] = Entry(key, value, revision)
        if key not in self._held:
            self._lost[key] = asyncio.Event()
        self._held[key] = revision
        self._wanted[key].set()
        if self._stopping:  # `release` was faster than the answer
            await self._give_back(key, revision)

    def _on_claim(self, key: str, entry: Entry | None) -> None:
        seen = self._view.get(key)
        if entry is None:
            self._view.pop(key, None)
        elif seen is None or entry.revision >= seen.revision:
            self._view[key] = entry
            self._seen_at_s[key] = boot_time_s()
        if key in self._held and self._taken_away(key, entry):
            logger.warning("claim %s was taken by another process", key)
            self._lose(key)

    def _taken_away(self, key: str, entry: Entry | None) -> bool:
        """Whether this change of a claim that we hold was made by another."""
        if entry is None:
            return True
        ours = {self.session, *self._past}
        return entry.revision > self._held[key] and entry.value.decode() not in ours

    def _lose(self, key: str) -> None:
        self._held.pop(key, None)
        self._wanted[key].clear()
        self._lost[key].set()

    def _draw(self) -> str:
        suffix = _nuid.next().decode()
        return f"{self._exclusive}{suffix}" if self._exclusive else f"{self._role}.{suffix}"


async def _unless(stop: asyncio.Event, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Run `work` unless and until `stop`; whether it ended by itself."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work())
        stopping = group.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        ended = working.done()
        working.cancel()
        stopping.cancel()
    return ended
