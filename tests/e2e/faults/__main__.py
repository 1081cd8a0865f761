"""`make faults`: inject faults into real processes, and print what each came to.

ONLY=R1,R5 runs these; QUICK=1 the short forms, some minutes in all; SEED=… draws the same again.
The table is also written to build/faults.json, and what every process printed to build/faults.
"""

import asyncio
import os
import random
import shutil
import sys
import time
import traceback
from pathlib import Path

import uvloop
from tests.e2e.faults.report import Report, Row
from tests.e2e.faults.scenario import Run, Scenario, scenarios

BUILD = Path(__file__).parents[3] / "build"
AT_ONCE = 3
"""Scenarios beside each other, on a machine with two processors."""


async def run_all(chosen: list[Scenario], session: "Session", *, quick: bool) -> None:
    """Those that may run beside each other first, then the others one after the other.

    The short forms have limits that allow for other work: the others begin at once.
    """
    room = asyncio.Semaphore(AT_ONCE - quick)

    async def beside(scenario: Scenario) -> None:
        async with room:
            await session.one(scenario)

    async def in_turn() -> None:
        for scenario in (s for s in chosen if s.alone):
            await session.one(scenario)

    async with asyncio.TaskGroup() as group:
        for scenario in (s for s in chosen if not s.alone):
            group.create_task(beside(scenario))
        if quick:
            group.create_task(in_turn())
    if not quick:
        await in_turn()


class Session:
    """What all scenarios of one call have in common."""

    def __init__(self, report: Report, seed: int, *, quick: bool) -> None:
        self._report, self._seed, self._quick = report, seed, quick
        self._measuring = asyncio.Lock()

    async def one(self, scenario: Scenario) -> None:
        """Run it, and tell the report."""
        folder = BUILD / "faults" / scenario.id
        shutil.rmtree(folder, ignore_errors=True)
        say = self._report.say
        run = Run(scenario.id, folder, self._seed, self._quick, say, self._measuring)
        started_at = time.monotonic()
        say(f"----  {scenario.id}")
        for row in await outcome(scenario, run):
            self._report.add(row)
        say(f"----  {scenario.id} took {time.monotonic() - started_at:.0f} s")
        for stored in folder.rglob("jetstream"):
            shutil.rmtree(stored, ignore_errors=True)


async def outcome(scenario: Scenario, run: Run) -> list[Row]:
    """The rows of a scenario; one that fails to its end is a row that fails."""
    run.folder.mkdir(parents=True, exist_ok=True)
    try:
        return await scenario.run(run)
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        return [run.row("runs to its end", f"{type(error).__name__}: {error}"[:2000], False)]


def main() -> int:
    """Run what the environment asks for; 1 if any row misses its goal."""
    quick = bool(os.environ.get("QUICK"))
    only = [name for name in os.environ.get("ONLY", "").split(",") if name]
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 31))
    known = scenarios()
    if unknown := set(only) - {scenario.id for scenario in known}:
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))}")
    chosen = [s for s in known if (s.id in only if only else s.quick or not quick)]
    report = Report(BUILD / "faults.json")
    report.say(f"SEED={seed}")
    started_at = time.monotonic()
    uvloop.run(run_all(chosen, Session(report, seed, quick=quick), quick=quick))
    minutes = (time.monotonic() - started_at) / 60
    failed = report.failed
    said = f"missed: {', '.join(failed)}; SEED={seed} draws the same again" if failed else "all met"
    report.say(f"{len(report.rows)} rows in {minutes:.1f} minutes, {said}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
