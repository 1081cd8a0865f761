"""The bots that onebus goes to: one connection for each, of one process at a time.

Each target is claimed, so any number of processes may run: one serves it, and another takes over
when that one ends, behind the last event that the bot is known to have.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Protocol, TypeAlias

import aiohttp
from aiohttp import AddrInfoType

from frontends.onebot_v11.lag import Lag
from frontends.onebot_v11.peer import opened
from frontends.onebot_v11.progress import Progress
from frontends.onebot_v11.session import Session, Sessions
from frontends.onebot_v11.shared import Identity
from frontends.onebot_v11.target import Target, targets
from onebus.backoff import Backoff
from onebus.bucket import Conflict
from onebus.errors import BusError, OnebusError
from onebus.frontend import FrontendKit
from onebus.keepalive import watch_peer
from onebus.lease import Lease
from onebus.service import Role, guarded
from onebus.waiting import at_most

logger = logging.getLogger(__name__)

PATIENCE_S = 10.0
LOOK_S = 10.0
RELEASE_S = 2.0
"""How long giving the targets back may take, when there is no time left for anything."""


class Claim:
    """A target that is ours, until another process proves otherwise."""

    def __init__(self, lease: Lease, key: str) -> None:
        self._lease = lease
        self._key = key

    async def sure(self) -> None:
        """Wait until it is certain at this moment; asked right before everything that is sent."""
        await self._lease.sure(self._key)


class Pusher(Protocol):
    """Serves one target for as long as it is ours."""

    async def run(self) -> None:
        """Until cancelled; then nothing of it is left open."""

    async def drain(self) -> None:
        """Send what is under way, and say goodbye."""


class MakePusher(Protocol):
    """How a transport makes a pusher."""

    def __call__(
        self,
        session: Session,
        target: Target,
        claim: Claim,
        progress: Progress,
        http: aiohttp.ClientSession,
    ) -> Pusher:
        """For this bot, as it sees the account; `progress` is read anew for it."""


Makers: TypeAlias = Mapping[str, MakePusher]


class Push(Role):
    """Serves all targets of the roles that it has a maker for."""

    def __init__(self, sessions: Sessions, kit: FrontendKit, makers: Makers) -> None:
        self._makers = makers
        self._serving: dict[str, Pusher] = {}
        self._lags: dict[str, Lag] = {}
        self._targets = [
            (session.for_bot(target.config), target)
            for session in sessions.all()
            for target in targets(session.account, session.config)
            if target.role in makers
        ]
        self._lease = kit.lease(target.key for _, target in self._targets)

    async def run(self) -> None:
        """Serve what this process can claim, until cancelled."""
        if not self._targets:
            await super().run()
        # Its own connections, each used once: whether a bot took an event is certain only if
        # nothing was written, and on a kept connection a bot may hang up while we write.
        connector = aiohttp.TCPConnector(force_close=True, limit=0, socket_factory=watched)
        cookies = aiohttp.DummyCookieJar()
        async with (
            aiohttp.ClientSession(
                connector=connector, cookie_jar=cookies, trace_configs=[_connections()]
            ) as http,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._lease.run("target"))
            group.create_task(self._look())
            for session, target in self._targets:
                work = partial(self._serve, session, target, http)
                leave = partial(self._leave, target.key)
                group.create_task(self._lease.hold(target.key, work, leave))

    async def drain(self) -> None:
        """Let every bot go in an orderly manner, then let other processes have them."""
        try:
            await asyncio.gather(*(pusher.drain() for pusher in list(self._serving.values())))
        finally:
            async with at_most(RELEASE_S):
                await self._lease.release()

    def missing(self) -> Iterable[str]:
        """What keeps it from claiming targets."""
        return self._lease.missing() if self._targets else ()

    async def _look(self) -> None:
        """Follow how far the bots that this process serves are behind, until cancelled."""
        log = self._targets[0][0].log
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                extent = await log.extent()
                for lag in list(self._lags.values()):
                    await lag.look(extent)
            except BusError as error:
                logger.debug("how far bots are behind is not known: %s", error)

    async def _leave(self, key: str) -> bool:
        """Let one bot go in an orderly manner, for another process to have it."""
        if pusher := self._serving.get(key):
            await pusher.drain()
        return True

    async def _serve(self, session: Session, target: Target, http: aiohttp.ClientSession) -> None:
        logger.info("%s: %s: served by this process", target.account, target.name)
        try:
            await self._keep_serving(session, target, http)
        finally:
            logger.info("%s: %s: not served by this process now", target.account, target.name)

    async def _keep_serving(
        self, session: Session, target: Target, http: aiohttp.ClientSession
    ) -> None:
        backoff = Backoff()
        claim = Claim(self._lease, target.key)
        while True:
            await claim.sure()
            progress = Progress(session, target)
            pusher = self._makers[target.role](session, target, claim, progress, http)
            self._serving[target.key] = pusher
            self._lags[target.key] = Lag(session, target, progress)
            try:
                await guarded(pusher.run(), f"{target.account} {target.name}")
            except (BusError, Conflict) as error:
                logger.debug("%s: %s: %s", target.account, target.name, error)
                await backoff.wait()
            except OnebusError as error:
                logger.warning("%s: %s: %s", target.account, target.name, error)
                await backoff.wait()
            finally:
                del self._serving[target.key]
                self._lags.pop(target.key).forget()


def watched(address: AddrInfoType) -> socket.socket:
    """A socket on which the system itself notices a peer that is gone, within half a minute."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    watch_peer(made)
    opened(made)
    return made


def _connections() -> aiohttp.TraceConfig:
    """Calls the `trace_request_ctx` of a request when its connection is made."""

    async def on_connected(_: aiohttp.ClientSession, context: Any, __: object) -> None:
        if context.trace_request_ctx:
            context.trace_request_ctx()

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(on_connected)
    return trace


async def known(session: Session) -> Identity:
    """Wait until it is known who the account is; nothing is sent without its self_id.

    Said in the log once it takes longer than a start does.
    """
    backoff = Backoff(0.1, 1)
    said = ""
    patience_until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await session.identity()
        except BusError as error:
            if str(error) != said and time.monotonic() > patience_until:
                said = str(error)
                logger.info("%s: its bots wait: %s", session.account, said)
        await backoff.wait()
