"""Malformed answers to events that were posted: HTTP that is none, and operations that are none."""

import asyncio
import json
import time
from typing import Any

from tests.e2e.faults.malformed import Malformed
from tests.e2e.faults.tally import Tally

STATUSES = (
    "200 OK",
    "200 OK",
    "200 OK",
    "204 No Content",
    "302 Found",
    "400 Bad",
    "500 Oops",
    "999 ?",
)
NO_HTTP = (
    b"",
    b"\0\0\0\0",
    b"HTTP/1.1\r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\n{}",
    b"SSH-2.0-OpenSSH_9.2\r\n",
)


class OddBot:
    """Answers each post with something malformed, and sees when the next of its chat comes."""

    def __init__(self, make: Malformed) -> None:
        self.tally = Tally(("went on",))
        self.seen: set[int] = set()
        self._make = make
        self._answered: dict[object, tuple[float, bytes]] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One post; each has a connection of its own."""
        try:
            event = await _event(reader)
            message = event["post_type"] == "message"
            writer.write(self._answer(event) if message else b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # they hung up, which is theirs to do
        finally:
            writer.close()

    def _answer(self, event: dict[str, Any]) -> bytes:
        self.seen.add(event["message_id"])
        chat = event.get("group_id") or event["user_id"]
        if chat in self._answered:
            at, sent = self._answered[chat]
            self.tally.add("went on", time.monotonic() - at, sent)
        answer = self._draw()
        self._answered[chat] = (time.monotonic(), answer)
        return answer

    def _draw(self) -> bytes:
        draw = self._make.draw
        if draw.random() < 0.1:
            return draw.choice((*NO_HTTP, self._make.noise()))
        body = self._make.reply()
        kind = draw.choice(("application/json", "text/html", "", "x/\xff"))
        head = f"HTTP/1.1 {draw.choice(STATUSES)}\r\nContent-Type: {kind}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


async def _event(reader: asyncio.StreamReader) -> dict[str, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    size = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    event: dict[str, Any] = json.loads(await reader.readexactly(size))
    return event
