"""`make bench`: onebus beside the floor of its stack, and what each row came to.

ONLY=http,ws-always measures these groups, ROWS=16 those rows of them with 16 in their name; QUICK=1
is the short form, four minutes at most for all; the full one takes 35 at most. Rows are kept in
build/bench.json; those of the full form are also written to docs/benchmarks.md. What every process
printed is in build/bench.
Needs wrk (Debian: `apt-get install wrk`).
"""

import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from tests.bench.group import Group, Run, groups
from tests.bench.report import Report

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
FULL_S, QUICK_S = 35 * 60, 4 * 60
"""How long all groups may take on two processors."""


def listed(variable: str) -> list[str]:
    """The parts of a variable of the environment."""
    return [part for part in os.environ.get(variable, "").split(",") if part]


async def measure(chosen: Sequence[Group], report: Report, *, quick: bool) -> None:
    """One group after the other; a row is told as soon as its group is done."""
    for group in chosen:
        folder = BUILD / "bench" / group.id
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        started_at = time.monotonic()
        report.add(group.id, await group.run(Run(folder, quick, listed("ROWS"), report.say)))
        report.say(f"----  {group.id} took {time.monotonic() - started_at:.0f} s")
        for stored in folder.rglob("jetstream"):
            shutil.rmtree(stored, ignore_errors=True)


def main() -> int:
    """Measure what the environment asks for; 1 if any row misses its bar."""
    if not shutil.which("wrk"):
        sys.exit("make bench needs wrk, which loads HTTP: apt-get install wrk")
    quick, only = bool(os.environ.get("QUICK")), listed("ONLY")
    known = groups()
    names = [group.id for group in known]
    if unknown := set(only) - set(names):
        sys.exit(f"no such group: {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    chosen = [g for g in known if (g.id in only if only else g.quick or not quick)]
    report = Report(BUILD / "bench.json", ROOT, names, quick=quick, keep=bool(only))
    started_at = time.monotonic()
    uvloop.run(measure(chosen, report, quick=quick))
    page = None if quick else ROOT / "docs" / "benchmarks.md"
    report.end(page, time.monotonic() - started_at, QUICK_S if quick else FULL_S)
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
