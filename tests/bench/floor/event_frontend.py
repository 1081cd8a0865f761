"""The floor of a frontend: the log is read, filtered, and each event written to every WebSocket.

Bare aiohttp and nats-py: a push consumer without acks, with flow control and heartbeats answered in
its callback; the OneBot JSON and its WebSocket frame are made once for all sockets.

`python -m tests.bench.floor.event_frontend URL USER PASSWORD PORT`.
"""

import asyncio
import json
import struct
import sys
from typing import cast

import msgspec
from aiohttp import WSMsgType, web
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.bench.floor.event_connector import EVENTS, STREAM, Received
from tests.bench.floor.program import run

DECODER = msgspec.json.Decoder(Received)
ENCODER = msgspec.json.Encoder()


def onebot(event: Received, sequence: int) -> bytes:
    """The fields that a bot gets for a private text."""
    text = event.segments[0].text
    user = 10_000_000 + int(event.chat.id[1:])
    return ENCODER.encode(
        {
            "time": event.time_ms // 1000,
            "self_id": 4_503_599_627_370_496,
            "post_type": "message",
            "message_type": "private",
            "sub_type": event.relation,
            "message_id": sequence,
            "message_seq": sequence,
            "real_id": sequence,
            "user_id": user,
            "target_id": 4_503_599_627_370_496,
            "message": text,
            "raw_message": text,
            "message_format": "string",
            "font": 0,
            "sender": {"user_id": user, "nickname": event.sender.name, "sex": "unknown", "age": 0},
            "event_id": str(sequence),
        }
    )


def frame(body: bytes) -> bytes:
    """A text frame, unmasked, uncompressed (RFC 6455, section 5.2)."""
    if len(body) < 126:
        return b"\x81" + bytes([len(body)]) + body
    return struct.pack("!BBH", 0x81, 126, len(body)) + body


async def make_stream(client: Client, *, consumer_inbox: str) -> None:
    """The log, and the consumer of this process."""
    stream = {
        "name": STREAM,
        "subjects": ["floor.events.>"],
        "storage": "file",
        "allow_direct": True,
        "max_msgs": 200_000,
        "max_bytes": 1 << 30,
        "max_age": 7 * 24 * 3600 * 10**9,
        "num_replicas": 1,
    }
    await client.request(f"$JS.API.STREAM.CREATE.{STREAM}", json.dumps(stream).encode(), timeout=5)
    consumer = {
        "stream_name": STREAM,
        "action": "create",
        "config": {
            "name": "floor",
            "deliver_subject": consumer_inbox,
            "deliver_policy": "new",
            "ack_policy": "none",
            "replay_policy": "instant",
            "flow_control": True,
            "idle_heartbeat": 10**9,
            "mem_storage": True,
            "num_replicas": 1,
            "filter_subject": f"{EVENTS}.>",
        },
    }
    where = f"$JS.API.CONSUMER.CREATE.{STREAM}.floor.{EVENTS}.>"
    answer = await client.request(where, json.dumps(consumer).encode(), timeout=5)
    if "error" in json.loads(answer.data):
        raise SystemExit(answer.data.decode())


async def main(client: Client) -> None:
    """Serve."""
    sockets: set[asyncio.WriteTransport] = set()

    async def on_entry(message: Msg) -> None:
        headers = message.headers
        if headers and "Status" in headers:
            if reply := message.reply or headers.get("Nats-Consumer-Stalled"):
                await client.publish(reply)
            return
        sequence = int(message.reply.split(".", 7)[5])
        data = frame(onebot(DECODER.decode(message.data), sequence))
        for socket in sockets:
            if not socket.is_closing():
                socket.write(data)

    async def serve(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(compress=False)
        await response.prepare(request)
        transport = cast("asyncio.WriteTransport", request.transport)
        sockets.add(transport)
        try:
            async for message in response:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            sockets.discard(transport)
        return response

    inbox = client.new_inbox()
    await client.subscribe(inbox, cb=on_entry)
    await make_stream(client, consumer_inbox=inbox)
    app = web.Application()
    app.router.add_get("/sandbox/demo/onebot/v11", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[4])).start()


if __name__ == "__main__":
    run(main, *sys.argv[1:4])
