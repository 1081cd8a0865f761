"""Malformed frames on a WebSocket, whoever opened it: each has one answer or one close code."""

import asyncio
import json
import struct
import time
from typing import NamedTuple

from tests.e2e.faults.malformed import Malformed
from tests.e2e.faults.tally import Tally, documented

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
ANSWER_S = 10.0
CLOSE_CODES = ("1000", "1002", "1003", "1007", "1009")
HUGE = 65 << 20


class Hung(Exception):
    """Nothing came in time."""


class Frame(NamedTuple):
    """What came from the other side."""

    kind: int
    payload: bytes


class RawFrames:
    """A WebSocket below its library; `mask` as clients must."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, mask: bool
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._mask = 0x80 if mask else 0

    def frame(self, kind: int, payload: bytes, *, size: int | None = None) -> bytes:
        """A frame with a mask of zeros, if any; `size` to announce another length."""
        size = len(payload) if size is None else size
        if size < 126:
            head = bytes([kind, self._mask | size])
        elif size < 1 << 16:
            head = bytes([kind, self._mask | 126]) + struct.pack("!H", size)
        else:
            head = bytes([kind, self._mask | 127]) + struct.pack("!Q", size)
        return head + (bytes(4) if self._mask else b"") + payload

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def next(self) -> Frame:
        """The next frame that is no ping. Raises IncompleteReadError, ConnectionError, Hung."""
        try:
            async with asyncio.timeout(ANSWER_S):
                while (frame := await self._read()).kind == PING:
                    self.write(self.frame(PONG, frame.payload))
                return frame
        except TimeoutError:
            raise Hung from None

    async def _read(self) -> Frame:
        kind, head = await self._reader.readexactly(2)
        size = head & 0x7F
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
        key = await self._reader.readexactly(4) if head & 0x80 else bytes(4)
        payload = await self._reader.readexactly(size)
        keys = (key * (size // 4 + 1))[:size]
        return Frame(kind, bytes(a ^ b for a, b in zip(payload, keys, strict=True)))

    def close(self) -> None:
        self._writer.close()


class FrameFuzz:
    """Sends malformed frames over connections that it is given one after the other."""

    def __init__(self, make: Malformed) -> None:
        self.tally = Tally(("answered", *CLOSE_CODES))
        self._make = make

    async def until_closed(self, frames: RawFrames, count: int) -> None:
        """Until so many were sent in all, or the other side has had enough of this connection."""
        while self.tally.outcomes.total() < count:
            sent = self._draw(frames)
            started_at = time.monotonic()
            frames.write(sent)
            outcome = await self._outcome(frames)
            self.tally.add(outcome, time.monotonic() - started_at, sent)
            if outcome != "answered":
                return

    def _draw(self, frames: RawFrames) -> bytes:
        draw = self._make.draw
        if draw.random() < 0.97:
            return frames.frame(draw.choice((TEXT, TEXT, BINARY)), self._make.frame())
        return draw.choice(
            (
                frames.frame(0x83 + draw.randrange(5), b"reserved kind"),
                frames.frame(0xC1, b"a reserved bit"),
                frames.frame(0x80, b"a continuation of nothing"),
                frames.frame(0x09, b"a ping in parts"),
                frames.frame(PING, b"p" * 126),
                frames.frame(TEXT, b"", size=HUGE),
                frames.frame(CLOSE, b"\x03"),
                frames.frame(CLOSE, struct.pack("!H", 1005)),
                frames.frame(CLOSE, struct.pack("!H", 1000) + b"\xff"),
                frames.frame(0x01, b"{") + frames.frame(TEXT, b"}"),
                frames.frame(TEXT, b"\xff\xfe"),
            )
        )

    async def _outcome(self, frames: RawFrames) -> str:
        try:
            kind, payload = await frames.next()
        except (asyncio.IncompleteReadError, ConnectionError):
            return "cut"
        except Hung:
            return "hung"
        if kind == CLOSE:
            return str(int.from_bytes(payload[:2]))
        return "answered" if documented(json.loads(payload)) else f"answered {payload[:80]!r}"
