"""The floor of an open WebSocket: bare aiohttp, with a ping every ten seconds.

`python -m tests.bench.floor.sockets URL USER PASSWORD PORT`.
"""

import sys

from aiohttp import web
from nats.aio.client import Client
from tests.bench.floor.program import run

_, URL, USER, PASSWORD, PORT = sys.argv
PING_S = 10.0


async def main(_: Client) -> None:
    """Serve."""

    async def hold(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False, heartbeat=PING_S)
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.add_routes([web.get("/ws", hold)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(PORT)).start()


run(main, URL, USER, PASSWORD)
