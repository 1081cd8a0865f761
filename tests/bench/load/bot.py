"""A bot that onebus goes to: takes a WebSocket's events, or posts, on one port; lean, so not slow.

Counts text frames and posts without decoding them, answers pings, and each post with 204. Says
`ready`; a number on its input is answered by one JSON line once so many have come.

`python -m tests.bench.load.bot 6700`.
"""

import asyncio
import base64
import hashlib
import json
import sys
import time
from typing import cast

import uvloop

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Source: RFC 6455, section 1.3."""
TEXT, PING = 1, 9
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Tally:
    """How much has come, since when, and how much is waited for."""

    def __init__(self) -> None:
        self.events = 0
        self.first_at_s = 0.0
        self.wanted: int | None = None

    def add(self, count: int) -> None:
        """So many came at once."""
        if count and not self.events:
            self.first_at_s = time.monotonic()
        self.events += count
        self.tell()

    def tell(self) -> None:
        """Say it, if as many have come as were asked for."""
        if self.wanted is not None and self.events >= self.wanted:
            self.wanted = None
            result = {
                "events": self.events,
                "first_at_s": self.first_at_s,
                "at_s": time.monotonic(),
            }
            print(json.dumps(result), flush=True)


class Bot(asyncio.Protocol):
    """One connection: of posts, or of WebSocket frames once it asked for them."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.upgraded = False
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are written to."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        """Count what is whole; keep the piece that is not."""
        data = self.rest + data
        self.rest = self._frames(data) if self.upgraded else self._requests(data)

    def _requests(self, data: bytes) -> bytes:
        posts = 0
        while True:
            head, end, rest = data.partition(b"\r\n\r\n")
            fields = _fields(head) if end else {}
            size = int(fields.get(b"content-length", 0))
            if not end or len(rest) < size:
                break
            if key := fields.get(b"sec-websocket-key"):
                self._upgrade(key)
                return self._frames(rest)
            posts, data = posts + 1, rest[size:]
            self.transport.write(NO_CONTENT)
        self.tally.add(posts)
        return data

    def _upgrade(self, key: bytes) -> None:
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.transport.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self.upgraded = True

    def _frames(self, data: bytes) -> bytes:
        at, end, events = 0, len(data), 0
        while at + 2 <= end:
            size, start = data[at + 1] & 127, at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if start + 4 + size > end:  # a client's frame has a mask of four bytes
                break
            kind = data[at] & 15
            events += kind == TEXT
            if kind == PING:
                self._pong(data[start : start + 4], data[start + 4 : start + 4 + size])
            at = start + 4 + size
        self.tally.add(events)
        return data[at:]

    def _pong(self, mask: bytes, masked: bytes) -> None:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))
        self.transport.write(bytes([0x80 | PING + 1, len(payload)]) + payload)


def _fields(head: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return {name.lower(): value.strip() for name, _, value in lines}


async def main(port: int) -> None:
    """Listen, and answer how much came, until the input ends."""
    tally, loop = Tally(), asyncio.get_running_loop()
    await loop.create_server(lambda: Bot(tally), "127.0.0.1", port)
    asked = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    print("ready", flush=True)
    while line := await asked.readline():
        tally.wanted = int(line)
        tally.tell()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
