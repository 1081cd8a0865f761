"""Bots that only listen: counts the events of N WebSockets in one process, without decoding them.

Reads with epoll and looks at frame headers alone; pings are answered. On a few sockets it looks for
the moment that `talk` put into each text. Says `ready`, is told on its input how many events there
are, and prints one JSON line once each socket has had them.

`python -m tests.bench.load.listen ws://127.0.0.1:6727/sandbox/demo/onebot/v11 --sockets 100`.
"""

import argparse
import base64
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

SAMPLED = 4
BULK_PAUSE_S = 0.002
"""Where only the rate matters, reading seldom leaves the processor to those who are measured."""
PATIENCE_S = 60
MARK = b'"raw_message":"t='
TEXT, PING = 1, 9


class Bot:
    """One socket; `events` counts text frames but for the first `skip`."""

    def __init__(self, url: str, *, sampled: bool, skip: int) -> None:
        where = urlsplit(url)
        self.socket = socket.create_connection((str(where.hostname), int(where.port or 80)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {where.path} HTTP/1.1",
            f"Host: {where.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        )
        self.socket.sendall("\r\n".join((*lines, "", "")).encode())
        self.sampled = sampled
        self.events = -skip
        self.took_ns: list[int] = []
        got = b""
        while b"\r\n\r\n" not in got:
            got += self.socket.recv(1 << 16)
        head, _, rest = got.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            sys.exit(head.decode())
        self._rest = self._count(rest)
        self.socket.setblocking(False)

    def read(self) -> None:
        """Count what has come."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        if not data:
            sys.exit("a socket was closed")
        if self.sampled:
            self._sample(data)
        self._rest = self._count(self._rest + data if self._rest else data)

    def _sample(self, data: bytes) -> None:
        """How long the events took that stand whole in what came."""
        now_ns = time.monotonic_ns()
        at = data.find(MARK)
        while at >= 0 and at + len(MARK) + 20 <= len(data):
            start = at + len(MARK)
            self.took_ns.append(now_ns - int(data[start : start + 20]))
            at = data.find(MARK, start)

    def _count(self, data: bytes) -> bytes:
        """Count whole frames; returns the piece of one that is left."""
        at, end = 0, len(data)
        while at + 2 <= end:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if start + size > end:
                break
            kind = data[at] & 15
            self.events += kind == TEXT
            if kind == PING:  # its pong, masked with zeros
                head = struct.pack("!BBI", 0x8A, 0x80 | size, 0)
                self.socket.send(head + data[start : start + size])
            at = start + size
        return data[at:]


def reading(bots: list[Bot], *, paced: bool) -> Iterator[int | None]:
    """Read, and read again: how many events there are, once that was said, else None."""
    poll = select.epoll()
    by_number = {bot.socket.fileno(): bot for bot in bots}
    for number in (*by_number, sys.stdin.fileno()):
        poll.register(number, select.EPOLLIN)
    count: int | None = None
    while True:
        for number, _ in poll.poll(0.2, len(bots) + 1):
            if number in by_number:
                by_number[number].read()
            else:
                count = int(sys.stdin.readline())
                poll.unregister(number)
        yield count
        if not paced:
            time.sleep(BULK_PAUSE_S)


def main() -> None:
    """Connect, say `ready`, count, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--sockets", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0, help="frames before the first event")
    parser.add_argument("--paced", action="store_true", help="look at once, for latencies")
    options = parser.parse_args()
    step = max(options.sockets // SAMPLED, 1)
    bots = [
        Bot(options.url, sampled=number % step == 0, skip=options.skip)
        for number in range(options.sockets)
    ]
    print("ready", flush=True)
    deadline_s = time.monotonic() + PATIENCE_S
    for count in reading(bots, paced=options.paced):
        if count is not None and min(bot.events for bot in bots) >= count:
            break
        if time.monotonic() > deadline_s:
            break
    times = sorted(took for bot in bots for took in bot.took_ns)
    result = {
        "events": min(bot.events for bot in bots),
        "ended_at_s": time.monotonic(),
        "p50_ms": times[len(times) // 2] / 1e6 if times else None,
        "p99_ms": times[len(times) * 99 // 100] / 1e6 if times else None,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
