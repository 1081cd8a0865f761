"""The reverse WebSocket transport: onebus connects to the bot, again and again until it works.

Source: OneBot V11, communication/ws-reverse.md. One connection for a target at a time: the old one
is closed before the next is opened, because bots keep one for an account and drop the other. Each
begins behind the last event that the bot is known to have read.
"""

import asyncio
import logging
import time
from typing import cast

import aiohttp

from frontends.onebot_v11.frame import Frame
from frontends.onebot_v11.outbound import Delivery, Outbound
from frontends.onebot_v11.progress import Progress
from frontends.onebot_v11.pulse import Connection
from frontends.onebot_v11.push import Claim, known
from frontends.onebot_v11.reach import Reach, closed, trouble_of
from frontends.onebot_v11.session import Session
from frontends.onebot_v11.socket import CLOSE_S, MAX_FRAME_BYTES, Carries, Socket
from frontends.onebot_v11.target import Target
from frontends.onebot_v11.window import Deaths
from onebus import metrics
from onebus.backoff import Backoff
from onebus.errors import BusError

logger = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
FINISH_S = 4.0
"""How long a bot may take to read what it was sent, when we stop."""
STEADY_S = 5.0
"""A connection that lived for so long was a good one."""
SAVE_EVERY = 16
"""Events after which the place of a bot is saved; with those under way they may come twice."""
MOST_INTERVALS = 6
"""The longest delay between two attempts, in configured intervals."""
FIXED = 0.5
"""With the interval of 3 s a bot that is away is asked five to six times a minute, not eight."""

CARRIES = {
    "Universal": Carries(actions=True, events=True),
    "API": Carries(actions=True, events=False),
    "Event": Carries(actions=False, events=True),
}


class Durable(Delivery):
    """Events for a bot that gets each at least once, while they are young enough."""

    def __init__(self, claim: Claim, progress: Progress, deaths: Deaths) -> None:
        super().__init__(progress.way)
        self._claim = claim
        self._progress = progress
        self._deaths = deaths

    def sent(self, frame: Frame) -> None:
        """Count it, as one that is sent again if it was on an earlier socket."""
        self._progress.sent(frame, again=frame.sequence <= self._progress.sent_until)

    async def admit(self, frame: Frame) -> bool:
        """Whether it is to be sent; waits until it is certain that the target is ours."""
        await self._claim.sure()
        return self._progress.fresh(frame)

    async def handed_over(self, sequence: int, count: int) -> bool:
        """Note it; raises Conflict when another process has the target."""
        self._deaths.lived(sequence)
        return await self._progress.done(sequence, at_once=count >= SAVE_EVERY)

    async def rest(self) -> bool:
        """Save what `handed_over` has left for later."""
        return await self._progress.flush()

    async def caught_up(self) -> None:
        """Say what was left out, once it is known how much that is."""
        self._progress.caught_up()


class ReverseWs:
    """Keeps one target connected; a Pusher."""

    def __init__(
        self,
        session: Session,
        target: Target,
        claim: Claim,
        progress: Progress,
        http: aiohttp.ClientSession,
    ) -> None:
        self._session = session
        self._target = target
        self._claim = claim
        self._progress = progress
        self._http = http
        self._deaths = Deaths()
        self._carries = CARRIES[target.role]
        self._socket: Socket | None = None
        self._stopping = asyncio.Event()
        label = f"{target.account}: {target.role} at {target.name}"
        self._reach = Reach(label, "connected", metrics.target_up.labels(*target.way))

    async def run(self) -> None:
        """Connect, and connect again, until cancelled. Raises BusError, and Conflict."""
        if self._carries.events:  # a bot that was never there yet misses nothing either
            await self._progress.start()
        interval_s = self._target.reconnect_interval_ms / 1000
        backoff = Backoff(interval_s, interval_s * MOST_INTERVALS, fixed=FIXED)
        async with asyncio.TaskGroup() as calls:
            while not self._stopping.is_set():
                started_at = time.monotonic()
                await self._connect_once(calls)
                if time.monotonic() - started_at > STEADY_S:
                    backoff.reset()
                await backoff.wait()
            await asyncio.Event().wait()

    async def drain(self) -> None:
        """Note what the bot has read of what it was sent, close with 1001, and stay away."""
        self._stopping.set()
        if socket := self._socket:
            try:
                await socket.finish(FINISH_S)
                await self._progress.save()
            finally:
                await socket.close()

    async def _connect_once(self, calls: asyncio.TaskGroup) -> None:
        identity = await known(self._session)
        await self._claim.sure()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                connection = await self._http.ws_connect(
                    self._target.url,
                    headers=self._headers(identity.self_id),
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                    autoping=False,
                    max_msg_size=MAX_FRAME_BYTES,
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            self._reach.lost(trouble_of(error))
            return
        try:
            await self._serve(connection, identity.self_id, calls)
        finally:
            await connection.close()

    async def _serve(self, connection: Connection, self_id: int, calls: asyncio.TaskGroup) -> None:
        """Be at the bot's service until either side closes."""
        self._reach.found()
        metrics.target_connects.labels(*self._target.way).inc()
        started_at = time.monotonic()
        try:
            if self._carries.events:
                await self._serve_events(connection, self_id, calls)
            else:
                await self._talk(connection, self_id, calls, None)
        except BusError as error:
            logger.debug("%s: no events yet: %s", self._target.name, error)
            return
        if time.monotonic() - started_at > STEADY_S:
            self._reach.steady()
        if not self._stopping.is_set():
            self._reach.lost(closed(connection.close_code))

    async def _serve_events(
        self, connection: Connection, self_id: int, calls: asyncio.TaskGroup
    ) -> None:
        """Go on where the bot stopped. Raises BusError, and Conflict: the target is another's."""
        after = await self._progress.again()
        async with self._session.follow(after, self._target.events, patient=True) as following:
            delivery = Durable(self._claim, self._progress, self._deaths)
            outbound = Outbound(following, delivery, self._deaths.window)
            await self._talk(connection, self_id, calls, outbound)
            await outbound.conclude()
            if not self._stopping.is_set():
                await self._after_death(outbound.window.pending)

    async def _talk(
        self,
        connection: Connection,
        self_id: int,
        calls: asyncio.TaskGroup,
        outbound: Outbound | None,
    ) -> None:
        transport = _transport_of(connection)
        self._socket = Socket(connection, transport, self._session, self_id, outbound)
        hello = self._session.lifecycle(self_id, "connect") if outbound else None
        try:
            await self._socket.run(actions=self._carries.actions, calls=calls, hello=hello)
        finally:
            self._socket = None

    async def _after_death(self, pending: list[Frame]) -> None:
        """A bot that dies of one event again and again gets the next one instead."""
        if fatal := self._deaths.died(pending):
            await self._progress.bury(fatal, "the bot's connection ended each time it was sent")
            await self._progress.done(fatal.sequence)

    def _headers(self, self_id: int) -> dict[str, str]:
        """Source: communication/ws-reverse.md and authorization.md."""
        headers = {"X-Self-ID": str(self_id), "X-Client-Role": self._target.role}
        if token := self._target.access_token:
            headers["Authorization"] = f"Bearer {token}"
        return headers


def _transport_of(connection: Connection) -> asyncio.WriteTransport | None:
    """What a connection that we opened runs over; aiohttp shows it nowhere."""
    if not isinstance(connection, aiohttp.ClientWebSocketResponse):
        return None
    below = connection._response.connection  # noqa: SLF001
    return cast("asyncio.WriteTransport | None", below.transport) if below else None
