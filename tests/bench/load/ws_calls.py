"""Calls by WebSocket, one at a time on each connection; prints what came of it as JSON.

`python -m tests.bench.load.ws_calls URL CONNECTIONS SECONDS FILE`: the file's lines in turns.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path

import uvloop
from tests.bench.load.wire import WsClient, frame
from tests.bench.measure import Load

CONNECT_S = 10.0
OK = b'"retcode":0'


async def ws_load(url: str, bodies: Path, connections: int, seconds: float) -> Load:
    """Do it in a process of its own. Any answer but `retcode` 0 fails."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.load.ws_calls"),
        *(url, str(connections), str(seconds), str(bodies)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return Load(**json.loads(output))


class Caller:
    """All connections; `took_s` has the time of each call."""

    def __init__(self, calls: Iterable[bytes]) -> None:
        self._frames = cycle(map(frame, calls))
        self._sent_at: dict[WsClient, float] = {}
        self._ends_at = 0.0
        self.took_s: list[float] = []
        self.wrong = b""

    async def run(self, url: str, connections: int, seconds: float) -> float:
        """Call for so long; returns how long it was."""
        async with asyncio.timeout(CONNECT_S):
            clients = [await WsClient(url, self._on_text).connect() for _ in range(connections)]
        started_at = time.perf_counter()
        self._ends_at = started_at + seconds
        for client in clients:
            self._call(client, started_at)
        await asyncio.sleep(seconds)
        took_s = time.perf_counter() - started_at
        for client in clients:
            client.transport.abort()
        return took_s

    def _call(self, client: WsClient, now: float) -> None:
        self._sent_at[client] = now
        client.transport.write(next(self._frames))

    def _on_text(self, client: WsClient, payload: bytes) -> None:
        sent_at = self._sent_at.get(client)
        if sent_at is None or payload.startswith(b'{"time"'):  # an event: the greeting, a heartbeat
            return
        now = time.perf_counter()
        if now >= self._ends_at:
            return
        if OK not in payload:
            self.wrong = payload
        self.took_s.append(now - sent_at)
        self._call(client, now)


def main(url: str, connections: str, seconds: str, file: str) -> None:
    """See the module."""
    caller = Caller(Path(file).read_bytes().splitlines())
    took_s = uvloop.run(caller.run(url, int(connections), float(seconds)))
    assert not caller.wrong, caller.wrong
    times = sorted(caller.took_s)
    found = {
        "operations": len(times),
        "seconds": took_s,
        "p50_ms": times[len(times) // 2] * 1000,
        "p99_ms": times[len(times) * 99 // 100] * 1000,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
