"""Row 6, second half: whether anything gets slower with what is stored and known.

What stands for the floor here is onebus itself on a log that has nothing but what the load writes,
in the same run. Messages and known ids are poured in by the bytes that onebus would write.
"""

import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from tests.bench.group import Group, Run
from tests.bench.load.http import http_load
from tests.bench.load.pour import fill
from tests.bench.measure import Load, Side
from tests.bench.programs import onebus, pids
from tests.bench.row import Bars, Row
from tests.bench.rows.actions import SEND, TEXT, check_answers
from tests.e2e.faults.stage import Stage

from onebus.bus import Bus
from onebus.idmap import fold

SIZES = (100_000, 1_000_000)
FEW = 1_000
"""What the other side has, where something must be read."""
READ = "get_msg"
READS = 10_000
CONNECTIONS = 16
BARS = Bars(ratio=0.9)
SEED = 7


class Shelf:
    """One side: a stage, and what was poured into it."""

    def __init__(self, folder: Path, made: Stage, bus: Bus) -> None:
        self._folder = folder
        self._bus = bus
        self._poured = 0
        self.made = made
        self.numbers: Sequence[int] = range(0)
        """The sequences of what was poured in last."""

    async def fill(self, size: int) -> None:
        """Pour in what it has less than that."""
        first, last = await fill(self._bus, self._poured, size)
        self._poured, self.numbers = size, range(first, last + 1)

    def sends(self) -> Side:
        """Each is answered when the log has it."""
        return self._side(SEND, [{"user_id": "visitor", "message": TEXT}])

    def reads(self) -> Side:
        """Of messages anywhere in the log."""
        draw = random.Random(SEED)
        count = min(READS, len(self.numbers))
        asked = [{"message_id": fold(n)} for n in draw.sample(self.numbers, count)]
        return self._side(READ, asked)

    def _side(self, action: str, calls: list[dict[str, Any]]) -> Side:
        body = self._folder / f"{action}.jsonl"
        body.write_bytes(b"\n".join(map(msgspec.json.encode, calls)))
        url = f"{self.made['frontend'].base}/sandbox/demo/onebot/v11/{action}"
        return Side(pids(self.made), partial(_load, url, body))


async def _load(url: str, body: Path, seconds: float) -> Load:
    return await http_load(url, body, CONNECTIONS, seconds)


async def measure(run: Run) -> list[Row]:
    """A row of sends and one of reads for each size."""
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        empty = await _shelf(stack, run.folder / "empty")
        full = await _shelf(stack, run.folder / "full")
        for size in SIZES[:1] if run.quick else SIZES:
            await full.fill(size)
            name = f"{SEND}, {size:,} messages and ids stored, beside none"
            rows += await run.compare(name, full.sends(), empty.sends(), BARS)
            if run.quick:
                break
            if not empty.numbers:
                await empty.fill(FEW)
            name = f"{READ} anywhere in {size:,} messages, beside {FEW:,}"
            rows += await run.compare(name, full.reads(), empty.reads(), BARS)
        for shelf in (empty, full):
            await check_answers(shelf.made)
    return rows


async def _shelf(stack: AsyncExitStack, folder: Path) -> Shelf:
    made = await stack.enter_async_context(onebus(folder))
    bus = await stack.enter_async_context(Bus(made.nats.options, "fill"))
    await bus.wait_ready(10)
    return Shelf(folder, made, bus)


GROUPS = [Group(6, "stored", measure)]
