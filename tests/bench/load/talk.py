"""Posts messages to a sandbox: N calls in flight, or so many a second; lean, so not what is slow.

Each text holds the moment at which it was posted, for who measures how long it takes.

`python -m tests.bench.load.talk URL --connections 64 --seconds 2 [--rate 200]`.
"""

import argparse
import asyncio
import json
import time
from collections import deque
from typing import cast
from urllib.parse import urlsplit

import uvloop

_HEAD = (
    "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    "Content-Length: %d\r\n\r\n"
)
USERS = 100
PATIENCE_S = 30


class Talk:
    """What is to be said, and what came back."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.head = _HEAD.format(path=parts.path, host=parts.netloc)
        self.ends_at_s = 0.0
        self.said = 0
        self.answered = 0
        self.failed: dict[str, int] = {}
        self.took_s: list[float] = []
        self.idle: deque[Connection] = deque()
        self.over = asyncio.Event()

    @property
    def going_on(self) -> bool:
        """Whether more is to be said."""
        return time.monotonic() < self.ends_at_s

    def next(self) -> bytes:
        """The next request, whose text begins with the moment in ns."""
        self.said += 1
        user = f"u{self.said % USERS}"
        body = b'{"user":"%b","message":"t=%020d= hello, how are you today?"}' % (
            user.encode(),
            time.monotonic_ns(),
        )
        return (self.head % len(body)).encode() + body


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request on its way."""

    def __init__(self, talk: Talk, *, paced: bool) -> None:
        self.talk = talk
        self.paced = paced
        self.begun_at = 0.0
        self.got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin at once, or wait for one's turn."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self.talk.idle.append(self)

    def begin(self) -> None:
        """Post one."""
        self.begun_at = time.monotonic()
        self.transport.write(self.talk.next())

    def data_received(self, data: bytes) -> None:
        """Answers are short: they come with head and body in one or two pieces."""
        self.got += data
        head, end, body = self.got.partition(b"\r\n\r\n")
        if not end or not body:
            return
        self.got = b""
        talk = self.talk
        talk.answered += 1
        talk.took_s.append(time.monotonic() - self.begun_at)
        status = head[9:12].decode()
        if status != "200":
            talk.failed[status] = talk.failed.get(status, 0) + 1
        if talk.going_on and not self.paced:
            self.begin()
            return
        talk.idle.append(self)
        if not talk.going_on and talk.answered == talk.said:
            talk.over.set()


async def _pace(talk: Talk, rate: float) -> None:
    """Post at an even rate, however long the answers take."""
    begun_at, due = time.monotonic(), 0
    while talk.going_on:
        while time.monotonic() >= begun_at + due / rate:
            due += 1
            if talk.idle:
                talk.idle.popleft().begin()
        await asyncio.sleep(max(begun_at + due / rate - time.monotonic(), 0))
    if talk.answered == talk.said:
        talk.over.set()


async def main(options: argparse.Namespace) -> None:
    """Say all, and print what became of it."""
    talk = Talk(options.url)
    where = urlsplit(options.url)
    loop = asyncio.get_running_loop()
    for _ in range(options.connections):
        await loop.create_connection(
            lambda: Connection(talk, paced=bool(options.rate)), where.hostname, where.port
        )
    begun_at_s = time.monotonic()
    talk.ends_at_s = begun_at_s + options.seconds
    if options.rate:
        await _pace(talk, options.rate)
    else:
        for connection in [talk.idle.popleft() for _ in range(len(talk.idle))]:
            connection.begin()
    async with asyncio.timeout(options.seconds + PATIENCE_S):
        await talk.over.wait()
    times = sorted(talk.took_s)
    result = {
        "count": talk.answered,
        "failed": talk.failed,
        "begun_at_s": begun_at_s,
        "seconds": time.monotonic() - begun_at_s,
        "p50_ms": times[len(times) // 2] * 1000,
        "p99_ms": times[len(times) * 99 // 100] * 1000,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rate", type=float, default=0)
    uvloop.run(main(parser.parse_args()))
