"""Row 3: an event from the sandbox by way of the log to bots on WebSockets.

A message is posted to the sandbox and appended, which its answer waits for; a frontend reads it,
and writes it to all bots of the account. The floor makes its frame once for all of them.
"""

from functools import partial

from msgspec import Struct
from tests.bench.group import Group, Run
from tests.bench.load.events import events_load
from tests.bench.measure import Side
from tests.bench.programs import Floor, floor, onebus, pids
from tests.bench.row import Bars, Row
from tests.e2e.faults.stage import Stage, stable_port

POSTS = "http://127.0.0.1:{}/sandbox/demo/api/messages"
BOTS = "ws://127.0.0.1:{}/sandbox/demo/onebot/v11"


class Shape(Struct, frozen=True):
    """How many bots, how many events a second (0: as many as possible), and the bars."""

    name: str
    sockets: int
    rate: float
    bars: Bars
    quick: bool = False


SHAPES = (
    Shape("1 client", 1, 0, Bars(ratio=0.7), quick=True),
    Shape("100 clients", 100, 0, Bars(ratio=0.9), quick=True),
    Shape("1 client at 200/s", 1, 200, Bars(p50=2, p99=3), quick=True),
    Shape("1 client at 1,000/s", 1, 1000, Bars()),
    Shape("100 clients at 200/s", 100, 200, Bars()),
)


async def measure(sync: str, run: Run) -> list[Row]:
    """All rows with one setting of when NATS writes to the disk."""
    rows: list[Row] = []
    async with (
        onebus(run.folder / "onebus", "ws", sync=sync) as ours,
        floor(run.folder / "floor", sync=sync) as below,
    ):
        floors = await _floor(below)
        for shape in SHAPES:
            if shape.quick or not run.quick:
                load = partial(events_load, sockets=shape.sockets, rate=shape.rate)
                mine = Side(pids(ours), partial(load, *_ours(ours), hello=1))
                theirs = Side(below.pids, partial(load, *floors, hello=0))
                name = f"events to {shape.name}, sync {sync}"
                rows += await run.compare(name, mine, theirs, shape.bars)
    return rows


async def _floor(below: Floor) -> tuple[str, str]:
    posts, bots = stable_port(), stable_port()
    await below.add("frontend", str(bots), program="event_frontend")
    await below.add("connector", str(posts), program="event_connector")
    return POSTS.format(posts), BOTS.format(bots)


def _ours(ours: Stage) -> tuple[str, str]:
    return POSTS.format(ours["sandbox"].port), BOTS.format(ours["frontend"].port)


GROUPS = [
    Group(3, "events", partial(measure, "2m"), quick=False),
    Group(3, "events-always", partial(measure, "always")),
]
