"""Two programs under the same load in turns: floor, onebus, floor, onebus…

Other work on the machine comes and goes. What is compared ran right after each other, and it is
compared pair by pair; the processor time of an operation is the figure to trust most.
"""

import statistics
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from tests.bench.row import Bars, Row
from tests.e2e.faults.watch import rss_kib

US = 1_000_000


class Load(Struct, frozen=True):
    """What a load generator did: how much, in how long, and how long each took."""

    operations: int
    seconds: float
    p50_ms: float | None = None
    p99_ms: float | None = None

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds


class Side(Struct, frozen=True):
    """One of the two: its processes by name, and the load put on it for some seconds.

    A load fails (AssertionError) when an answer is wrong: a fast refusal is no figure.
    """

    pids: Mapping[str, int]
    load: Callable[[float], Awaitable[Load]]


class Window(Struct, frozen=True):
    """One run of one side."""

    load: Load
    cpu_us: dict[str, float]

    @property
    def all_cpu_us(self) -> float:
        """Of all its processes, for one operation."""
        return sum(self.cpu_us.values())


class Runs(Struct, frozen=True):
    """How often and how long: `count` pairs of `window_s`, after `warm_up_s` of each side."""

    count: int
    window_s: float
    warm_up_s: float


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, of all its threads, to the nanosecond."""
    used = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        used += int((task / "schedstat").read_text().split()[0])
    return used / 1e9


async def window(side: Side, seconds: float) -> Window:
    """Load one side for so long."""
    before = {name: cpu_s(pid) for name, pid in side.pids.items()}
    load = await side.load(seconds)
    each = {
        name: (cpu_s(pid) - before[name]) / load.operations * US for name, pid in side.pids.items()
    }
    return Window(load, each)


async def compare(name: str, ours: Side, floor: Side, runs: Runs, bars: Bars) -> Row:
    """Both sides in turns, and what came of it."""
    for side in (floor, ours):
        await side.load(runs.warm_up_s)
    pairs: list[tuple[Window, Window]] = []
    for _ in range(runs.count):
        below = await window(floor, runs.window_s)
        pairs.append((await window(ours, runs.window_s), below))
    mine, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    row = Row(
        name=name,
        rate=middle([w.load.rate for w in mine]),
        floor_rate=middle([w.load.rate for w in theirs]),
        ratio=middle([m.load.rate / f.load.rate for m, f in pairs]),
        cpu_us=middle([w.all_cpu_us for w in mine]),
        floor_cpu_us=middle([w.all_cpu_us for w in theirs]),
        p50_ms=middle([w.load.p50_ms for w in mine]),
        p99_ms=middle([w.load.p99_ms for w in mine]),
        floor_p50_ms=middle([w.load.p50_ms for w in theirs]),
        floor_p99_ms=middle([w.load.p99_ms for w in theirs]),
        spread=spread([w.load.rate for w in mine]),
        cpu_us_each=each(mine),
        floor_cpu_us_each=each(theirs),
        rss_mib={name: rss_kib(pid) / 1024 for name, pid in ours.pids.items()},
        runs=runs.count,
    )
    goal, met = bars.judged(row)
    return replace(row, goal=goal, met=met)


def middle(values: list[float | None] | list[float]) -> float | None:
    """The median of those that there are."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def spread(values: list[float]) -> float:
    """How far apart they lie: highest less lowest, as a part of the median."""
    return (max(values) - min(values)) / statistics.median(values)


def each(windows: list[Window]) -> dict[str, float]:
    """The median of each process's processor time for one operation."""
    return {
        name: statistics.median([window.cpu_us[name] for window in windows])
        for name in windows[0].cpu_us
    }
