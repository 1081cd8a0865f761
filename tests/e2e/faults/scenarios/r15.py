"""R15: large files both ways at once, while people and bots go on talking."""

import asyncio
import sys
import time
from dataclasses import dataclass
from statistics import quantiles

from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import ROOT, Stage, stage
from tests.e2e.faults.watch import Peaks
from tests.e2e.processes import spawn

MIB = 25
GROWN_MIB = 64
P99_MS = 100
QUICK_MS = 1_000
"""In the short form other tests run beside it, and 2 of 200 events decide: nobody is held up."""
PACE_S = 0.05
QUIET_S = 6.0
WARM = 10
"""The first events of a bot wait until its reader is there."""
CARRIED_S = 300.0
SECRET_KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Delays:
    """How long events took, without files and with them."""

    quiet_s: list[float]
    busy_s: list[float]

    @staticmethod
    def p99_ms(delays_s: list[float]) -> float:
        return quantiles(delays_s, n=100)[98] * 1000


@dataclass(frozen=True)
class Carried:
    count: int
    wrong: int
    took_s: float


async def r15(run: Run) -> list[Row]:
    """So many files in each direction at once, through one connector and one frontend."""
    count = 4 if run.quick else 20
    async with stage(run.folder, secret_key=SECRET_KEY) as made:
        made.add("sandbox", "connector", "sandbox")
        made.add("bots", "frontend", "http", "ws")
        await made.start()
        await made.account("bots").online()
        await _carry(made, 1, 1)  # what a first file makes a process load is no growth
        peaks = Peaks({name: made[name].pid for name in ("sandbox", "bots")})
        delays_s: list[float] = []
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(peaks.run(0.05))
            talking = group.create_task(_talk(made, delays_s))
            await asyncio.sleep(QUIET_S)
            quiet = len(delays_s)
            started_at = time.monotonic()
            wrong = await _carry(made, count, MIB)
            took_s = time.monotonic() - started_at
            talking.cancel()
            watching.cancel()
    delays = Delays(delays_s[WARM:quiet], delays_s[quiet:])
    return [_row(run, Carried(count, wrong, took_s), peaks, delays)]


async def _carry(made: Stage, count: int, mib: int) -> int:
    """How many of the files did not arrive as they were."""
    account = made.account("bots")
    # Elsewhere it would have a processor of its own.
    command = ("nice", "-n", "10", sys.executable, "-m", "tests.e2e.faults.carrier")
    where = (account.base, account.sandbox, str(count), str(mib))
    carrier = await spawn("carrier", *command, *where, env={"PYTHONPATH": str(ROOT)})
    try:
        line = await carrier.says("wrong ", CARRIED_S)
    finally:
        await carrier.kill()
    return int(line.split()[1])


async def _talk(made: Stage, delays_s: list[float]) -> None:
    """A message every PACE_S, and how long after it was said the bot has it."""
    account = made.account("bots")
    bot = await account.ws()
    said_at: dict[str, float] = {}

    async def listen() -> None:
        while True:
            event = await bot.event(timeout_s=60)
            if at := said_at.pop(event["raw_message"], None):
                delays_s.append(time.monotonic() - at)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(listen())
            number = 0
            while True:
                text = f"talk {number}"
                said_at[text] = time.monotonic()
                await account.say(text, user="tess")
                number += 1
                await asyncio.sleep(PACE_S)
    finally:
        await bot.close()


def _row(run: Run, carried: Carried, peaks: Peaks, delays: Delays) -> Row:
    quiet_ms, busy_ms = delays.p99_ms(delays.quiet_s), delays.p99_ms(delays.busy_s)
    most_ms = QUICK_MS if run.quick else P99_MS
    grown = peaks.grown_mib
    shown = ", ".join(f"{name} {mib:.0f} MiB" for name, mib in grown.items())
    return run.row(
        f"{carried.count} files of {MIB} MiB in each direction at once: all arrive as they were;"
        f" memory of frontend and connector grows by ≤ {GROWN_MIB} MiB each; events meanwhile"
        f" within {most_ms} ms (p99)",
        f"{2 * carried.count} in {carried.took_s:.1f} s, {carried.wrong} wrong; grown: {shown};"
        f" {len(delays.busy_s)} events, p99 {busy_ms:.0f} ms (before: {quiet_ms:.0f} ms)",
        not carried.wrong
        and max(grown.values()) <= GROWN_MIB
        and busy_ms <= most_ms
        and len(delays.busy_s) > 10,
    )


SCENARIOS = [Scenario("R15", r15)]
