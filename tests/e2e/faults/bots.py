"""Bots that write down what they get, over every transport, and can misbehave.

Those that connect come back by themselves and resume; those that onebus goes to are servers of
this process. `delay_s` makes a bot slow at every event, more or less; `close` makes its port dead.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import WSCloseCode, web
from tests.e2e.faults.stage import stable_port
from tests.e2e.faults.verdict import Got, Record

AGAIN_S = 0.1
CONNECT_S = 5.0
SILENCE_S = 40.0
"""A stream that says nothing for so long is given up; it should say `still here` before."""


class Bot:
    """What all have in common. `up` is set while it is connected, if that is known."""

    def __init__(self, name: str) -> None:
        self.record = Record(name)
        self.up = asyncio.Event()
        self.delay_s = 0.0
        self.draw = random.Random(name)
        self.connected_at: list[float] = []
        self.lost_at: list[float] = []
        self.refused: list[str] = []
        self._grew = asyncio.Event()

    async def take(self, frame: dict[str, Any]) -> Got | None:
        """A frame came; None when it is no numbered message."""
        if frame.get("post_type") in (None, "meta_event"):
            return None
        if delay_s := self.delay_s:
            await asyncio.sleep(self.draw.uniform(0, 2 * delay_s))
        got = self.record.note(frame)
        self._grew.set()
        return got

    async def until(self, true: Callable[[], bool], timeout_s: float = 60) -> bool:
        """Wait until something of the record is true; whether it became so in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not true():
                    self._grew.clear()
                    await self._grew.wait()
        return true()

    def connected(self) -> None:
        self.connected_at.append(time.monotonic())
        self.up.set()

    def disconnected(self) -> None:
        self.lost_at.append(time.monotonic())
        self.up.clear()


class Caller(Bot):
    """A bot that connects to us, and comes back behind the last event that it had.

    `away` keeps it from connecting; it hangs up when that is set while it is connected.
    """

    def __init__(self, name: str, http: aiohttp.ClientSession, url: str) -> None:
        super().__init__(name)
        self._http = http
        self._url = url
        self._away = asyncio.Event()
        self._back = asyncio.Event()
        self._back.set()

    def leave(self) -> None:
        """Hang up, and stay away."""
        self._back.clear()
        self._away.set()

    def come_back(self) -> None:
        """Connect again."""
        self._away.clear()
        self._back.set()

    async def run(self) -> None:
        """Stay connected, until cancelled."""
        while True:
            await self._back.wait()
            try:
                await self._unless_away()
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                self.refused.append(f"{type(error).__name__}: {error}"[:200])
            finally:
                if self.up.is_set():
                    self.disconnected()
            await asyncio.sleep(AGAIN_S)

    async def _unless_away(self) -> None:
        listening = asyncio.ensure_future(self._listen())
        leaving = asyncio.ensure_future(self._away.wait())
        try:
            await asyncio.wait({listening, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, leaving):
                task.cancel()
            results = await asyncio.gather(listening, leaving, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _listen(self) -> None:
        raise NotImplementedError


class WsBot(Caller):
    """Forward WebSocket, resumed with `?resume_from=`."""

    async def _listen(self) -> None:
        last = self.record.last_event_id
        query = {"resume_from": last} if last else {}
        timeout = aiohttp.ClientWSTimeout(ws_close=1.0)
        connecting = self._http.ws_connect(
            self._url, params=query, heartbeat=20, timeout=timeout, max_msg_size=0
        )
        ws = await asyncio.wait_for(connecting, CONNECT_S)
        self.connected()
        try:
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await self.take(json.loads(message.data))
        finally:
            await ws.close()


class SseBot(Caller):
    """Server-sent events, resumed with `Last-Event-ID`."""

    async def _listen(self) -> None:
        last = self.record.last_event_id
        headers = {"Last-Event-ID": last} if last else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        async with self._http.get(self._url, headers=headers, timeout=timeout) as response:
            response.raise_for_status()
            self.connected()
            while line := await response.content.readline():
                if line.startswith(b"data: "):
                    await self.take(json.loads(line[6:]))


class Served(Bot):
    """A bot that onebus goes to: an address that can be dead for a while."""

    def __init__(self, name: str, path: str = "/", host: str = "127.0.0.1") -> None:
        super().__init__(name)
        self.host = host
        self.port = stable_port()
        self._path = path
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Listen, unless it does so already."""
        if self._runner:
            return
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{path:.*}", self.handle)
        app.on_shutdown.append(self.hang_up)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, reuse_address=True, backlog=512)
        await site.start()

    async def close(self) -> None:
        """Hang up, and refuse connections from now on."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def hang_up(self, _: web.Application | None = None) -> None:
        """End what is open."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raise NotImplementedError


class ReverseBot(Served):
    """Reverse WebSocket. `most_open`: how many connections there were at once.

    `by_socket` has what came over each connection, in the order in which they were made.
    """

    def __init__(self, name: str, host: str = "127.0.0.1") -> None:
        super().__init__(name, host=host)
        self.open_sockets: set[web.WebSocketResponse] = set()
        self.most_open = 0
        self.by_socket: list[list[Got]] = []

    @property
    def url(self) -> str:
        return f"ws://{self.host}:{self.port}{self._path}"

    async def hang_up(self, _: web.Application | None = None) -> None:
        for ws in list(self.open_sockets):
            await ws.close(code=WSCloseCode.GOING_AWAY)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(max_msg_size=0, timeout=1.0)
        await ws.prepare(request)
        self.open_sockets.add(ws)
        self.most_open = max(self.most_open, len(self.open_sockets))
        came: list[Got] = []
        self.by_socket.append(came)
        self.connected()
        try:
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    got = await self.take(json.loads(message.data))
                    came += [got] if got else []
        except ConnectionError:  # it was killed while we answered its ping
            await ws.close()
        finally:
            self.open_sockets.discard(ws)
            if not self.open_sockets:
                self.disconnected()
        return ws


class PostBot(Served):
    """HTTP POST; answers with `status`."""

    def __init__(self, name: str, status: int = 204, host: str = "127.0.0.1") -> None:
        super().__init__(name, host=host)
        self.status = status

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}{self._path}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        event = json.loads(await request.read())
        if not self.up.is_set():
            self.connected()
        await self.take(event)
        return web.Response(status=self.status)


@asynccontextmanager
async def served(*bots: Served) -> AsyncIterator[None]:
    """These listen until the block ends."""
    async with AsyncExitStack() as stack:
        for bot in bots:
            await bot.open()
            stack.push_async_callback(bot.close)
        yield


@asynccontextmanager
async def calling(*bots: Caller) -> AsyncIterator[None]:
    """These are connected until the block ends; returns once all are."""
    tasks = [asyncio.ensure_future(bot.run()) for bot in bots]
    try:
        for bot in bots:
            await asyncio.wait_for(bot.up.wait(), 30)
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def leave(bot: Bot) -> None:
    """A bot goes away."""
    if isinstance(bot, Caller):
        bot.leave()
    elif isinstance(bot, Served):
        await bot.close()


async def come_back(bot: Bot) -> None:
    """It is back, if it was away."""
    if isinstance(bot, Caller):
        bot.come_back()
    elif isinstance(bot, Served):
        await bot.open()
