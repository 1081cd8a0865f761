"""Real clients whose handlers are busy, and how long they take to answer a ping meanwhile.

`python -m tests.e2e.pongs.measure` prints the table that docs/onebot_v11.md has.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType, web
from tests.e2e.clients import node
from tests.e2e.processes import Running, free_port, spawn

HERE = Path(__file__).parent
SELF_ID = 10001
START_S = 60.0
ANSWER_S = 60.0
Connection = web.WebSocketResponse | ClientWebSocketResponse[bool]
Start = Callable[[int], Awaitable[Running]]


class Busy:
    """A client that is connected, as onebus sees it."""

    def __init__(self, connection: Connection, running: Running) -> None:
        self.running = running
        self._connection = connection
        self._pongs: asyncio.Queue[bytes] = asyncio.Queue()
        self._sent = 0

    async def read(self) -> None:
        """Until the client closes; aiohttp takes pings and pongs nowhere else."""
        async for message in self._connection:
            if message.type is WSMsgType.PONG:
                self._pongs.put_nowait(bytes(message.data))
            elif message.type is WSMsgType.PING:
                await self._connection.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._answer(json.loads(message.data))

    async def _answer(self, call: dict[str, object]) -> None:
        data = {"user_id": SELF_ID, "nickname": "bot", "online": True, "good": True}
        answer = {"status": "ok", "retcode": 0, "data": data, "echo": call.get("echo")}
        await self._connection.send_json(answer)

    async def hello(self) -> None:
        await self._connection.send_json(
            {
                "time": int(time.time()),
                "self_id": SELF_ID,
                "post_type": "meta_event",
                "meta_event_type": "lifecycle",
                "sub_type": "connect",
            }
        )

    async def event(self, text: str) -> int:
        """Send a message to it; returns the message_id."""
        self._sent += 1
        await self._connection.send_json(
            {
                "time": int(time.time()),
                "self_id": SELF_ID,
                "post_type": "message",
                "message_type": "private",
                "sub_type": "friend",
                "message_id": self._sent,
                "user_id": 20002,
                "message": [{"type": "text", "data": {"text": text}}],
                "raw_message": text,
                "font": 0,
                "sender": {"user_id": 20002, "nickname": "alice"},
            }
        )
        return self._sent

    async def ping(self) -> float:
        """Ping it; returns the seconds until the answer."""
        begun = time.monotonic()
        payload = b"%f" % begun
        await self._connection.ping(payload)
        async with asyncio.timeout(ANSWER_S):
            while await self._pongs.get() != payload:
                pass
        return time.monotonic() - begun

    async def began(self, message_id: int) -> None:
        """Wait until its handler has begun with a message."""
        await self.running.says(f"begins {message_id}")


@asynccontextmanager
async def reverse(path: str, start: Start) -> AsyncIterator[Busy]:
    """A client that we connect to."""
    running = await start(port := free_port())
    headers = {"X-Self-ID": str(SELF_ID), "X-Client-Role": "Universal"}
    try:
        async with aiohttp.ClientSession() as http:
            connection = await _connected(http, f"ws://127.0.0.1:{port}{path}", headers)
            async with _served(Busy(connection, running)) as busy:
                yield busy
            await connection.close()
    finally:
        await running.kill()


async def _connected(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str]
) -> ClientWebSocketResponse[bool]:
    async with asyncio.timeout(START_S):
        while True:
            try:
                return await http.ws_connect(url, headers=headers, autoping=False)
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


@asynccontextmanager
async def forward(start: Start) -> AsyncIterator[Busy]:
    """A client that connects to us."""
    connections: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
    ended = asyncio.Event()

    async def handle(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse(autoping=False)
        await connection.prepare(request)
        connections.put_nowait(connection)
        await ended.wait()
        return connection

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
    running = await start(port)
    try:
        connection = await asyncio.wait_for(connections.get(), START_S)
        async with _served(Busy(connection, running)) as busy:
            yield busy
    finally:
        ended.set()
        await running.kill()
        await runner.cleanup()


@asynccontextmanager
async def _served(busy: Busy) -> AsyncIterator[Busy]:
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(busy.read())
        await busy.hello()
        await busy.began(await busy.event("hello"))
        yield busy
        reading.cancel()


async def _nonebot_forward(port: int) -> Running:
    url = f"ws://127.0.0.1:{port}/"
    return await _nonebot({"driver": "~aiohttp", "onebot_ws_urls": [url]})


async def _nonebot_reverse(port: int) -> Running:
    return await _nonebot({"driver": "~fastapi", "host": "127.0.0.1", "port": port})


async def _nonebot(settings: dict[str, object]) -> Running:
    script = str(HERE / "nonebot_busy.py")
    return await spawn("nonebot2", sys.executable, script, env={"BUSY": json.dumps(settings)})


async def _aiocqhttp(port: int) -> Running:
    script = str(HERE / "aiocqhttp_busy.py")
    return await spawn("aiocqhttp", sys.executable, script, env={"PORT": str(port)})


async def _koishi_forward(port: int) -> Running:
    where = {"protocol": "ws", "endpoint": f"ws://127.0.0.1:{port}/", "port": free_port()}
    return await _koishi(where)


async def _koishi_reverse(port: int) -> Running:
    return await _koishi({"protocol": "ws-reverse", "path": "/onebot", "port": port})


async def _koishi(where: dict[str, object]) -> Running:
    env = {"BUSY": json.dumps({"selfId": str(SELF_ID), **where})}
    return await node.client("koishi", HERE / "koishi_busy.cjs", env)


Client = Callable[[], AbstractAsyncContextManager[Busy]]
CLIENTS: dict[str, Client] = {
    "nonebot2, forward (aiohttp)": lambda: forward(_nonebot_forward),
    "nonebot2, reverse (uvicorn)": lambda: reverse("/onebot/v11/ws", _nonebot_reverse),
    "aiocqhttp, reverse (hypercorn)": lambda: reverse("/ws/", _aiocqhttp),
    "Koishi, forward (ws)": lambda: forward(_koishi_forward),
    "Koishi, reverse (ws)": lambda: reverse("/onebot", _koishi_reverse),
}
