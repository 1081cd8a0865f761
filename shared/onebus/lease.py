"""Who owns an account or a push target: sessions and claims.

A session is a key that lives as long as its process renews it. A claim is a key that names the
session of its owner; it is changed by compare-and-set, and free when that session is gone. Nothing
here trusts a timer to stop a stale owner: `owned` compares a clock that runs through suspends with
the last good renewal at every use. Replicas hold about equal shares: each takes its own, and hands
over what it has too much of once somebody new has stayed.
"""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from onebus import shares
from onebus.backoff import Backoff
from onebus.bucket import Bucket, Conflict, Entry
from onebus.bus import Bus
from onebus.claim import LEFT, Claim
from onebus.errors import BusError
from onebus.renewal import OwnSession, boot_time_s
from onebus.service import Role
from onebus.waiting import at_most

logger = logging.getLogger(__name__)

LIST_S = 1.0
LIST_AGAIN_S = 0.05
"""Least time between two looks, whoever asks for them."""
LOOK_S = 0.5
STEP_S = 0.3
PAUSE_S = 0.05
AT_ONCE = 32
"""So many claims are written side by side."""
LEFT_S = 3.0
"""A claim that is free for so long is taken by anybody, whatever their share."""
SETTLE_S = 10.0
"""How long the replicas must have been the same before claims move between them: longer than a
session that was renewed anew, or lost in a restart, is still seen."""
GIVE_S = 0.25
END_S = 5.0


class Sessions(Role):
    """The sessions that live now, looked up once a second; `listed_at_s`: when that look began."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, "sessions")
        self._on_change: list[Callable[[], None]] = []
        self.live: set[str] = set()
        self.listed_at_s = 0.0
        self.known = asyncio.Event()
        self._wanted = asyncio.Event()

    def look_soon(self) -> None:
        """Do not wait a whole second: somebody speaks of a session that may be new."""
        self._wanted.set()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back, quickly, when other sessions live than before."""
        self._on_change.append(callback)

    def missing(self) -> Iterable[str]:
        """The first look at them."""
        if not self.known.is_set():
            yield "the sessions are not known yet"

    async def run(self) -> None:
        """Keep `live` current until cancelled; while NATS is away it stays as it was."""
        while True:
            started_at = boot_time_s()
            with contextlib.suppress(BusError):
                before, self.live = self.live, await self._bucket.keys_now()
                self.listed_at_s = started_at
                self.known.set()
                for callback in self._on_change if self.live != before else ():
                    callback()
            await asyncio.sleep(LIST_AGAIN_S)
            async with at_most(LIST_S - LIST_AGAIN_S):
                await self._wanted.wait()
            self._wanted.clear()


class Lease:
    """This process's session in one role, and its share of some claims.

    `keys`: the claims that it wants; replicas that want the same share them. `exclusive`: a name
    under which only one process can exist at all (guarded by a file lock, say): sessions of an
    earlier process of that name are dead for certain and need no waiting.
    """

    def __init__(
        self,
        bus: Bus,
        role: str,
        sessions: Sessions,
        keys: Iterable[str],
        *,
        exclusive: str = "",
    ) -> None:
        self._sessions = sessions
        self._bucket = Bucket(bus, "claims")
        self._claims = {key: Claim(key) for key in keys}
        self._exclusive = bool(exclusive)
        self._prefix = f"{role}.{exclusive or shares.group(self._claims)}-"
        self._own = OwnSession(bus, role, self._prefix)
        self._changed = asyncio.Event()
        self._replicas: set[str] = set()
        self._same_since_s = 0.0
        self._left: deque[str] = deque(maxlen=64)
        self._stopping = False
        self._followed = False
        sessions.on_change(self._changed.set)

    @property
    def session(self) -> str:
        """Under which this process is known now."""
        return self._own.id

    def owned(self, key: str) -> bool:
        """Whether this process owns the claim at this moment. Ask right before every use."""
        return self._mine(self._claims[key]) and self._own.fresh()

    def missing(self) -> Iterable[str]:
        """What it lacks before it can claim anything."""
        if not self._own.exists:
            yield "no session is held"
        if not self._followed:
            yield "the claims are not known yet"

    async def sure(self, key: str) -> None:
        """Wait until it is owned: who hung keeps what it has open, and starts nothing with it."""
        backoff = Backoff(0.05, 0.2)
        while not self.owned(key):
            await backoff.wait()

    async def run(self, prefix: str) -> None:
        """Renew the session and follow the claims below `prefix` until cancelled."""
        async with (
            self._bucket.follow(prefix, self._on_claim) as reader,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._own.run())
            await reader.caught_up.wait()
            self._followed = True
            await self._sessions.known.wait()
            await self._own.born.wait()
            group.create_task(self._give_for_ever())
            while True:
                self._changed.clear()
                await asyncio.sleep(STEP_S if await self._take_some() else PAUSE_S)
                async with at_most(LOOK_S):
                    await self._changed.wait()

    async def hold(
        self,
        key: str,
        work: Callable[[], Coroutine[Any, Any, None]],
        leave: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """Run `work` whenever this process owns the claim; cancel it when the claim is lost.

        Before a claim is handed to another replica, `leave` is awaited: finish what is in flight,
        start nothing new; False, and go on, when that is not possible now. It must not take long.
        Ends when `work` does, or when cancelled.
        """
        claim = self._claims[key]
        claim.leave, claim.wanted = leave, True
        self._changed.set()
        while not await claim.run(work):
            pass

    async def release(self) -> None:
        """Stop: end all work, give the claims back, so that others have them at once."""
        self._stopping = True
        value = f"{LEFT}{self.session}".encode()
        held = [claim for claim in self._claims.values() if claim.revision]
        await asyncio.gather(*(self._give_back(claim, value) for claim in held))

    def _mine(self, claim: Claim) -> bool:
        """Whether the claim was written under the session that we have now, and not since.

        Under a new session it must be written again first: another may have it by now.
        """
        return bool(claim.revision) and claim.holder == self.session

    async def _take_some(self) -> bool:
        """Take back what is ours, and a step of our share; whether there was more than a step."""
        if self._stopping or not self._own.fresh():
            return False
        ours, free = self._takeable()
        chosen, more = self._choose(free)
        turns = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._take(claim, turns) for claim in (*ours, *chosen)))
        return more

    def _takeable(self) -> tuple[list[Claim], list[Claim]]:
        """Claims that name us and must be written again, and those that are free."""
        ours: list[Claim] = []
        free: list[Claim] = []
        for claim in self._claims.values():
            if not claim.wanted or claim.leaving or self._mine(claim):
                continue
            if self._ours(claim):
                ours.append(claim)
            elif self._free(claim):
                claim.free_since_s = claim.free_since_s or boot_time_s()
                free.append(claim)
            else:
                claim.free_since_s = 0.0
        return ours, free

    def _ours(self, claim: Claim) -> bool:
        """Whether a claim names this process, under its present session or an earlier one."""
        return claim.holder == self.session or claim.holder in self._own.past

    def _free(self, claim: Claim) -> bool:
        """Whether a claim may be taken: given back, or its owner dead for certain."""
        if not claim.holder:
            return True
        if self._exclusive and claim.holder.startswith(self._prefix):
            return True
        # A claim may be newer than the last look at the sessions, and so may its session be.
        looked = self._sessions.listed_at_s > claim.seen_at_s
        return self._own.steady() and looked and claim.holder not in self._sessions.live

    def _choose(self, free: Sequence[Claim]) -> tuple[list[Claim], bool]:
        """What is taken now; whether that is not all that we want."""
        if self._exclusive:
            return list(free), False
        fair = self._share()
        room = max(fair - self._held(), 0)
        claims = {claim.key: claim for claim in free}
        turn = [claims[key] for key in shares.in_turn(self.session, claims)]
        old = boot_time_s() - LEFT_S
        left = [claim for claim in turn[room:] if claim.free_since_s < old]
        if left:  # who should have them does not take them: no use in handing them over again
            self._same_since_s = boot_time_s()
        wanted, step = turn[:room] + left, self._step(fair)
        return wanted[:step], len(wanted) > step

    def _step(self, fair: int) -> int:
        """How much to take at a time: who is alone may only not have seen the others yet."""
        if self._sessions.listed_at_s < self._own.born_at_s + LIST_S:
            return shares.LEAST_STEP
        return shares.step(fair) if len(self._replicas) == 1 else fair

    async def _take(self, claim: Claim, turns: asyncio.Semaphore) -> None:
        async with turns:  # who gets no answer holds up none of the others
            await self._write(claim)

    async def _write(self, claim: Claim) -> None:
        if not self._ours(claim) and not self._free(claim):  # changed since it was chosen
            return
        value, entry = self.session.encode(), claim.entry
        try:
            if entry is None:
                revision = await self._bucket.create(claim.key, value)
            else:
                revision = await self._bucket.update(claim.key, value, entry.revision)
        except Conflict:  # somebody was faster: look at once what else there is
            self._changed.set()
            return
        except BusError as error:
            logger.debug("claim %s not taken: %s", claim.key, error)
            return
        if not claim.wrote(Entry(claim.key, value, revision)):  # it was taken again already
            return
        claim.win(revision)
        if self._stopping:  # `release` was faster than the answer
            await self._give_back(claim, f"{LEFT}{self.session}".encode())

    async def _give_for_ever(self) -> None:
        """Hand over what is more than our share, one by one."""
        while True:
            await asyncio.sleep(GIVE_S)
            if claim := self._surplus():
                await self._hand_over(claim)

    def _surplus(self) -> Claim | None:
        """A claim that another replica should have: only among replicas that have stayed."""
        fair = self._share()  # looks who the replicas are
        now_s = boot_time_s()
        settled = now_s - self._same_since_s >= SETTLE_S and self._own.steady()
        looked = now_s - self._sessions.listed_at_s < 3 * LIST_S
        if self._stopping or self._exclusive or not settled or not looked:
            return None
        held = [claim for claim in self._claims.values() if self._mine(claim)]
        return random.choice(held) if len(held) > fair else None  # noqa: S311

    async def _hand_over(self, claim: Claim) -> None:
        if claim.leave and not await claim.leave():
            logger.debug("claim %s is busy, and not handed over now", claim.key)
            return
        logger.info("claim %s is handed to another replica", claim.key)
        await self._give_back(claim, b"")

    async def _give_back(self, claim: Claim, value: bytes) -> None:
        """End the work, then write the claim free: others see it at once."""
        claim.leaving = True
        claim.end_work()
        async with at_most(END_S):
            await claim.idle.wait()
        revision = claim.revision
        claim.lose()
        if revision:
            with contextlib.suppress(BusError, Conflict):
                revision = await self._bucket.update(claim.key, value, revision)
                claim.wrote(Entry(claim.key, value, revision))
        claim.leaving = False

    def _on_claim(self, key: str, entry: Entry | None) -> None:
        claim = self._claims.get(key)
        if claim is None:
            return
        seen = claim.entry
        if entry is None or seen is None or entry.revision >= seen.revision:
            claim.entry = entry
            claim.seen_at_s = boot_time_s()
            self._note_left(entry)
        if claim.revision and self._taken_away(claim, entry):
            logger.warning("claim %s was taken by another process", key)
            claim.lose()
        if not claim.holder:
            self._changed.set()

    def _note_left(self, entry: Entry | None) -> None:
        value = entry.value.decode() if entry else ""
        session = value.removeprefix(LEFT)
        if session != value and session not in self._left:
            self._left.append(session)

    def _taken_away(self, claim: Claim, entry: Entry | None) -> bool:
        """Whether this change of a claim that we hold was made by another."""
        if entry is None:
            return True
        ours = {self.session, *self._own.past}
        return entry.revision > claim.revision and entry.value.decode() not in ours

    def _held(self) -> int:
        return sum(1 for claim in self._claims.values() if claim.revision)

    def _share(self) -> int:
        """How many claims we may hold, by who the replicas are now."""
        live = {one for one in self._sessions.live if one.startswith(self._prefix)}
        replicas = {self.session, *(live - {*self._left, *self._own.past})}
        if replicas != self._replicas:
            self._replicas, self._same_since_s = replicas, boot_time_s()
        return shares.share(len(self._claims), len(replicas))
