"""Row 5, second half: what WebSockets cost that only wait, in memory and processor time.

The floor is bare aiohttp with its heartbeat; both ping every ten seconds.
"""

import asyncio
import time

from msgspec import Struct
from tests.bench.group import Group, Run
from tests.bench.load.idle import idle
from tests.bench.measure import US, cpu_s
from tests.bench.programs import floor, onebus
from tests.bench.row import Row
from tests.e2e.faults.stage import stable_port
from tests.e2e.faults.watch import rss_kib

COUNTS = (1_000, 10_000)
MOST_KIB = 40
PINGS_S = 10.0
SETTLE_S = 2.0


class Held(Struct, frozen=True):
    """What so many idle sockets cost one process. `busy` is a part of one processor."""

    kib_each: float
    connect_us: float
    busy: float


async def hold(pid: int, url: str, count: int, watch_s: float) -> Held:
    """Open them, and watch the process for a while, in which each is pinged at least once."""
    async with idle(100, url):
        pass  # what is loaded and kept once is no cost of a socket
    before_kib, before_s = rss_kib(pid), cpu_s(pid)
    async with idle(count, url):
        connect_s = cpu_s(pid) - before_s
        await asyncio.sleep(SETTLE_S)
        grown_kib = rss_kib(pid) - before_kib
        begun_at, begun_s = time.monotonic(), cpu_s(pid)
        await asyncio.sleep(watch_s)
        busy = (cpu_s(pid) - begun_s) / (time.monotonic() - begun_at)
    return Held(grown_kib / count, connect_s / count * US, busy)


async def measure(run: Run) -> list[Row]:
    """A row for each count, each with processes of its own: memory is not given back at once."""
    rows = []
    for count in COUNTS[:1] if run.quick else COUNTS:
        name = f"{count:,} idle WebSockets"
        if run.wants(name):
            rows.append(await _row(name, count, run))
    return rows


async def _row(name: str, count: int, run: Run) -> Row:
    """Both sides at the same time: nothing here is a rate."""
    folder, watch_s = run.folder / str(count), PINGS_S * (1 if run.quick else 2)
    async with onebus(folder / "onebus", "ws") as ours, floor(folder / "floor") as below:
        port = stable_port()
        await below.add("sockets", str(port))
        at = f"ws://127.0.0.1:{ours['frontend'].port}/sandbox/demo/onebot/v11"
        mine, theirs = await asyncio.gather(
            hold(ours["frontend"].pid, at, count, watch_s),
            hold(below.pids["sockets"], f"ws://127.0.0.1:{port}/ws", count, watch_s),
        )
    figures = {
        "KiB each": mine.kib_each,
        "KiB floor": theirs.kib_each,
        "% of a core": mine.busy * 100,
        "% floor": theirs.busy * 100,
        "µs to connect": mine.connect_us,
        "µs floor": theirs.connect_us,
    }
    goal, met = f"≤ {MOST_KIB} KiB each", mine.kib_each <= MOST_KIB
    return Row(name=name, figures=figures, goal=goal, met=met)


GROUPS = [Group(5, "sockets", measure)]
