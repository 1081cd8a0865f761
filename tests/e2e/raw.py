"""HTTP and WebSocket byte by byte, for what a proper client would never send."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

READ_S = 20.0


class Reply(NamedTuple):
    """An answer; header names in lower case. Status 0: the connection was cut, as is usual for
    what is refused while it is still being sent.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    port: int,
    target: str,
    *headers: str,
    body: bytes | None = None,
    method: str = "",
    host: str = "",
    source: str = "127.0.0.1",
) -> Reply:
    """One request on a connection of its own, its lines exactly as given.

    `source` is the address to come from; all of 127.0.0.0/8 is this machine.
    """
    method = method or ("GET" if body is None else "POST")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host or f'localhost:{port}'}", *headers]
    lines.append("Connection: close")
    if body is not None and not any(line.startswith("Transfer-Encoding") for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
    async with asyncio.timeout(READ_S):
        return await _exchange(port, head + (body or b""), source)


async def _exchange(port: int, request: bytes, source: str) -> Reply:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode().strip().split("\r\n")
        pairs = (line.partition(": ") for line in rest)
        headers = {name.lower(): value for name, _, value in pairs}
        size = 0 if request.startswith(b"HEAD") else int(headers.get("content-length", 0))
        body = await reader.readexactly(size)
    except (ConnectionError, asyncio.IncompleteReadError):
        return Reply(0, {}, b"")
    finally:
        writer.close()
    return Reply(int(first.split()[1]), headers, body)


async def break_off(port: int, target: str, *headers: str, body: bytes) -> None:
    """The beginning of a POST, and then nobody there any more."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"POST {target} HTTP/1.1", f"Host: localhost:{port}", *headers]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
    await writer.drain()
    writer.transport.abort()


class RawSocket:
    """An open WebSocket whose frames are written by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def close_code(self) -> int:
        """Wait for the server's close frame, which must be the next; returns its code."""
        async with asyncio.timeout(READ_S):
            kind, size = await self._reader.readexactly(2)
            assert kind == 0x88, f"expected a close frame, got {kind:#x}"
            body = await self._reader.readexactly(size)
        return int(struct.unpack("!H", body[:2])[0])


@asynccontextmanager
async def raw_socket(port: int, target: str) -> AsyncIterator[RawSocket]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_S)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        yield RawSocket(reader, writer)
    finally:
        writer.close()


def masked(kind: int, payload: bytes, *, size: int | None = None) -> bytes:
    """A frame as clients send it, with a mask of zeros; `size` to announce another length."""
    size = len(payload) if size is None else size
    if size < 126:
        head = bytes([kind, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([kind, 0x80 | 126]) + struct.pack("!H", size)
    else:
        head = bytes([kind, 0x80 | 127]) + struct.pack("!Q", size)
    return head + bytes(4) + payload
