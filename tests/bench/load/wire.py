"""A WebSocket client that does as little as can be done: whole text frames in, text frames out."""

import asyncio
import base64
import os
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

MASK = b"\0\0\0\0"
"""A mask of zeros changes nothing, so that what is sent need not be computed."""
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's frame."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2)
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8)
    return head + MASK + payload


class WsClient(asyncio.Protocol):
    """One connection. `on_text` gets each text frame; pings are answered; `closed` when it ends."""

    def __init__(self, url: str, on_text: Callable[["WsClient", bytes], None]) -> None:
        self._url = urlsplit(url)
        self._on_text = on_text
        self._buffer = b""
        self._upgraded = False
        loop = asyncio.get_running_loop()
        self.open: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport

    async def connect(self) -> "WsClient":
        """Connect, and wait until the server has agreed."""
        host, port = self._url.hostname or "", self._url.port or 80
        await asyncio.get_running_loop().create_connection(lambda: self, host, port)
        await self.open
        return self

    def send(self, payload: bytes) -> None:
        """Send a text frame."""
        self.transport.write(frame(payload))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it
        key = base64.b64encode(os.urandom(16)).decode()
        path = self._url.path + (f"?{self._url.query}" if self._url.query else "")
        self.transport.write(
            f"GET {path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._upgraded and not self._upgrade():
            return
        buffer, at, end = self._buffer, 0, len(self._buffer)
        while end - at >= 2:
            size, start = buffer[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(buffer[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, start = int.from_bytes(buffer[at + 2 : at + 10]), at + 10
            if end - start < size:
                break
            opcode, at_next = buffer[at] & 15, start + size
            if opcode == TEXT:
                self._on_text(self, buffer[start:at_next])
            elif opcode == PING:
                self.transport.write(frame(buffer[start:at_next], PONG))
            at = at_next
        self._buffer = buffer[at:]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.open.done():
            self.open.set_exception(error or ConnectionError("closed before it was open"))
        self.closed.set_result(None)

    def _upgrade(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith(b"HTTP/1.1 101"):
            self.open.set_exception(ConnectionError(head.decode(errors="replace")))
            self.transport.close()
            return False
        self._buffer, self._upgraded = rest, True
        self.open.set_result(None)
        return True
