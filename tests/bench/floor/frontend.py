"""The floor of a frontend: bare aiohttp and nats-py, actions by HTTP and by WebSocket.

`python -m tests.bench.floor.frontend URL USER PASSWORD PORT`.
"""

import sys

from aiohttp import WSMsgType, web
from msgspec.json import decode, encode
from nats.aio.client import Client
from tests.bench.floor.program import ACTIONS, run

_, URL, USER, PASSWORD, PORT = sys.argv


async def main(client: Client) -> None:
    """Serve."""

    async def ask(action: str, params: object) -> bytes:
        request = encode({"action": action, "params": params})
        reply = await client.request(ACTIONS, request, timeout=5)
        return encode({"status": "ok", "retcode": 0, "data": decode(reply.data)})

    async def by_http(request: web.Request) -> web.Response:
        params = decode(await request.read())
        body = await ask(request.match_info["action"], params)
        return web.Response(body=body, content_type="application/json")

    async def by_ws(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                call = decode(message.data)
                body = await ask(call["action"], call["params"])
                await socket.send_str(body.decode())
        return socket

    app = web.Application()
    app.add_routes([web.get("/ws", by_ws), web.post("/{action}", by_http)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(PORT)).start()


run(main, URL, USER, PASSWORD)
