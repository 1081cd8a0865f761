"""Forward WebSocket: we connect to the upstream's server.

Source: OneBot V11, communication/ws.md. An onebus upstream is asked to go on from the event that we
had last (`resume_from`); no other implementation knows that parameter, and passes it over.
"""

import asyncio

import aiohttp
from aiohttp import ClientWSTimeout, web
from yarl import URL

from connectors.onebot11.answers import Reply
from connectors.onebot11.config import Config
from connectors.onebot11.fields import Fields
from connectors.onebot11.inbox import Inbox
from connectors.onebot11.link import CLOSE_S, MAX_FRAME_BYTES, Link, Sockets
from onebus.connector import Kit
from onebus.errors import AuthFailed, BusError, NotReady, OnebusError, PlatformUnavailable

DIAL_S = 10.0
MOVED = NotReady("not connected to the upstream")


class Forward:
    """The connection that we make; see `link.Upstream`."""

    def __init__(self, config: Config, kit: Kit, inbox: Inbox) -> None:
        self._config = config
        self._kit = kit
        self._inbox = inbox
        self._link: Link | None = None

    async def connect(self) -> None:
        """Dial once, from where we were. Raises NotReady or AuthFailed."""
        await self._kit.ready()
        ws = await self._dial(await self._position())
        self._link = Link(Sockets(ws, ws), self._inbox, self._config.call_timeout)

    async def serve(self) -> None:
        """Read until it is lost."""
        if self._link:
            await self._link.serve(self._config.silence)

    async def call(self, action: str, params: Fields, *, writes: bool) -> Reply:
        """Call an action."""
        if self._link is None:
            raise PlatformUnavailable(f"nothing was sent: {MOVED}")
        return await self._link.call(action, params, writes=writes)

    def lost(self) -> OnebusError:
        """Why it was lost."""
        return self._link.why if self._link else MOVED

    async def close(self) -> None:
        """Hang up."""
        if self._link:
            await self._link.close()

    def routes(self) -> list[web.RouteDef]:
        """None: nobody comes to us."""
        return []

    async def _position(self) -> str | None:
        """Where to go on. Raises NotReady."""
        try:
            return await self._inbox.cursor.load()
        except BusError as error:
            raise NotReady(str(error)) from error

    async def _dial(self, position: str | None) -> aiohttp.ClientWebSocketResponse:
        url = URL(self._config.url)
        token = self._config.access_token
        try:
            async with asyncio.timeout(DIAL_S):
                return await self._kit.http.ws_connect(
                    url.update_query(resume_from=position) if position else url,
                    headers={"Authorization": f"Bearer {token}"} if token else {},
                    autoping=False,
                    max_msg_size=MAX_FRAME_BYTES,
                    timeout=ClientWSTimeout(ws_close=CLOSE_S),
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 400 and position:
                return await self._dial_anew()
            raise _refused(url, error.status) from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise NotReady(f"no connection to the upstream at {url.host}:{url.port}") from None

    async def _dial_anew(self) -> aiohttp.ClientWebSocketResponse:
        """The upstream's log is another one than it was: what came between is lost there."""
        self._kit.logger.warning(
            "the upstream does not know the event that we had last; going on with what comes now"
        )
        return await self._dial(None)


def _refused(url: URL, status: int) -> OnebusError:
    if status in (401, 403):
        return AuthFailed(f"the upstream refuses the access_token (HTTP {status})")
    if status in (404, 405, 426):
        return NotReady(f"there is no OneBot WebSocket at {url.host}:{url.port}{url.path}")
    return NotReady(f"the upstream answered HTTP {status}")
