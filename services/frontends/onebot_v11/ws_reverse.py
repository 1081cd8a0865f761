"""The reverse WebSocket transport: onebus connects to the bot, again and again until it works.

Source: OneBot V11, communication/ws-reverse.md. One connection for a target at a time: the old one
is closed before the next is opened, because bots keep one for an account and drop the other.
"""

import asyncio
import logging
import time

import aiohttp

from frontends.onebot_v11.feed import Listener
from frontends.onebot_v11.push import Claim, known
from frontends.onebot_v11.reach import Reach, closed, trouble_of
from frontends.onebot_v11.session import Session
from frontends.onebot_v11.socket import MAX_FRAME_BYTES, PING_S, Carries, Connection, Socket
from frontends.onebot_v11.target import Target
from onebus.backoff import Backoff
from onebus.errors import BusError

logger = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
CLOSE_S = 2.0
STEADY_S = 5.0
"""A connection that lived for so long was a good one."""
MOST_INTERVALS = 5
"""The longest delay between two attempts, in configured intervals."""

CARRIES = {
    "Universal": Carries(actions=True, events=True),
    "API": Carries(actions=True, events=False),
    "Event": Carries(actions=False, events=True),
}


class ReverseWs:
    """Keeps one target connected; a Pusher."""

    def __init__(
        self, session: Session, target: Target, claim: Claim, http: aiohttp.ClientSession
    ) -> None:
        self._session = session
        self._target = target
        self._claim = claim
        self._http = http
        self._carries = CARRIES[target.role]
        self._socket: Socket | None = None
        self._stopping = asyncio.Event()
        label = f"{target.account}: {target.role} at {target.name}"
        self._reach = Reach(label, "connected")

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        interval_s = self._target.reconnect_interval_ms / 1000
        backoff = Backoff(interval_s, interval_s * MOST_INTERVALS)
        async with asyncio.TaskGroup() as calls:
            while not self._stopping.is_set():
                started_at = time.monotonic()
                await self._connect_once(calls)
                if time.monotonic() - started_at > STEADY_S:
                    backoff.reset()
                await backoff.wait()
            await asyncio.Event().wait()

    async def drain(self) -> None:
        """Close with 1001, and stay away."""
        self._stopping.set()
        if self._socket:
            await self._socket.close()

    async def _connect_once(self, calls: asyncio.TaskGroup) -> None:
        identity = await known(self._session)
        await self._claim.sure()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                connection = await self._http.ws_connect(
                    self._target.url,
                    headers=self._headers(identity.self_id),
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                    heartbeat=PING_S,
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
        started_at = time.monotonic()
        listener: Listener | None = None
        try:
            if self._carries.events:
                listener = await self._session.attach(self._target.events)
            self._socket = Socket(connection, self._session, self_id, listener, self._claim.sure)
            await self._socket.run(actions=self._carries.actions, calls=calls)
        except BusError as error:
            logger.debug("%s: no events yet: %s", self._target.name, error)
            return
        finally:
            self._socket = None
            if listener:
                self._session.detach(listener)
        if time.monotonic() - started_at > STEADY_S:
            self._reach.steady()
        if not self._stopping.is_set():
            self._reach.lost(closed(connection.close_code))

    def _headers(self, self_id: int) -> dict[str, str]:
        """Source: communication/ws-reverse.md and authorization.md."""
        headers = {"X-Self-ID": str(self_id), "X-Client-Role": self._target.role}
        if token := self._target.access_token:
            headers["Authorization"] = f"Bearer {token}"
        return headers
