"""Row 7: how soon `onebus up` answers, and what it and each role take of memory.

Memory is RSS: pages that several processes share, of Python's own files, count for each.
"""

import asyncio
import statistics
import time
from pathlib import Path

from msgspec import Struct
from tests.bench.group import Group, Run
from tests.bench.programs import nats_pid
from tests.bench.row import Row
from tests.e2e.faults.crowd import crowd
from tests.e2e.faults.stage import stable_port
from tests.e2e.faults.watch import Peaks, rss_kib
from tests.e2e.processes import BIN, READY_S, spawn, write_config

MOST_S, MOST_MIB = 2.0, 120
LOOK_S = 0.005
SETTLE_S = 3.0
RATE_PER_S = 200
REQUEST = b"GET /sandbox/demo/onebot/v11/get_login_info HTTP/1.0\r\nHost: localhost\r\n\r\n"


class Started(Struct, frozen=True):
    """One start: until an action was answered, and the memory of each process a while later."""

    seconds: float
    mib: dict[str, float]


async def start(folder: Path) -> Started:
    """Start `onebus up` on a directory, whatever it has of an earlier start, and stop it."""
    port = stable_port()
    config = write_config(folder / "config.yaml", port=port, log_level="info", bus={})
    began_at = time.monotonic()
    up = await spawn("up", str(BIN / "onebus"), "up", "-c", str(config), "--data-dir", str(folder))
    try:
        async with asyncio.timeout(READY_S):
            while not await answers(port):
                await asyncio.sleep(LOOK_S)
        seconds = time.monotonic() - began_at
        await asyncio.sleep(SETTLE_S)
        server = int((folder / "nats.pid").read_text())
        pids = {"onebus": up.process.pid, "nats": server}
        return Started(seconds, {name: rss_kib(pid) / 1024 for name, pid in pids.items()})
    finally:
        await up.stop()


async def answers(port: int) -> bool:
    """Whether an action is answered with who the account is."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        answer = await reader.read()
        writer.close()
    except OSError:
        return False
    return b'"retcode":0' in answer


async def measure_up(run: Run) -> list[Row]:
    """The first start, which makes all streams, and those after it."""
    first: list[Started] = []
    later: list[Started] = []
    for number in range(1 if run.quick else run.runs.count):
        folder = run.folder / str(number)
        folder.mkdir()
        first.append(await start(folder))
        later.append(await start(folder))
    mib = {n: statistics.median(s.mib[n] for s in first) for n in first[0].mib}
    whole = sum(mib.values())
    return [
        _start_row("onebus up, first start", first),
        _start_row("onebus up, later starts", later),
        Row(
            name="onebus up, idle, empty log",
            figures={"MiB": whole},
            rss_mib=mib,
            goal=f"≤ {MOST_MIB} MiB",
            met=whole <= MOST_MIB,
            runs=len(first),
        ),
    ]


def _start_row(name: str, starts: list[Started]) -> Row:
    seconds = [started.seconds for started in starts]
    figures = {"s": statistics.median(seconds), "slowest": max(seconds)}
    met = figures["s"] <= MOST_S
    return Row(name=name, figures=figures, goal=f"≤ {MOST_S:g} s", met=met, runs=len(starts))


async def measure_roles(run: Run) -> list[Row]:
    """Every role in a process of its own, each with one bot: before load, and at its worst."""
    load_s = 5.0 if run.quick else 20.0
    async with crowd(run.folder / "roles", replicas=1, rate_per_s=RATE_PER_S) as there:
        pids = {name: member.pid for name, member in there.stage.members.items()}
        peaks = Peaks(pids | {"nats": nats_pid(there.stage.nats)})
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(peaks.run())
            before = there.load.total
            await there.load.run(load_s)
            await there.caught_up()
            watching.cancel()
        rate = (there.load.total - before) / load_s
    return [
        Row(
            name=f"memory of {name}",
            figures={
                "MiB idle": peaks.first_kib[name] / 1024,
                f"at {rate:.0f} events/s": most / 1024,
            },
        )
        for name, most in peaks.most_kib.items()
    ]


GROUPS = [Group(7, "up", measure_up), Group(7, "roles", measure_roles)]
