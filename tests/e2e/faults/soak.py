"""`make soak`: R14, an hour of ordinary life with a bot that flaps; what grows is a leak.

`python -m tests.e2e.faults.soak [MINUTES]`: 50 events a second, an action a second, every bot away
for a while twelve times in all. Memory, descriptors and tasks of each role are looked at every ten
seconds. Prints a table, and writes build/soak.json.
"""

import asyncio
import json
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import aiohttp
import uvloop
from tests.e2e.faults.__main__ import BUILD
from tests.e2e.faults.bots import come_back, leave
from tests.e2e.faults.crowd import Crowd, crowd
from tests.e2e.faults.watch import open_files, rss_kib

RATE_PER_S = 50
FLAPS = 12
SAMPLE_S = 10.0
MOST_MIB_AN_HOUR = 1.0
MOST_MORE = 5
TASKS = "onebus_tasks"


class Sample(NamedTuple):
    """One look at a process; `tasks` is -1 where it does not say."""

    at_s: float
    rss_mib: float
    files: int
    tasks: int


class Finding(NamedTuple):
    """What a process did over the second half, against the quarter before it."""

    name: str
    first_mib: float
    last_mib: float
    slope_mib_h: float
    more_files: float
    more_tasks: float
    each_minute_mib: list[float]

    @property
    def passed(self) -> bool:
        flat = abs(self.more_files) <= MOST_MORE and abs(self.more_tasks) <= MOST_MORE
        return flat and self.slope_mib_h < MOST_MIB_AN_HOUR


async def soak(duration_s: float) -> tuple[list[Finding], dict[str, str], int]:
    """Live so long; what was found of each process, the bots' verdicts, and unanswered actions."""
    folder = BUILD / "soak"
    shutil.rmtree(folder, ignore_errors=True)
    async with crowd(folder, replicas=1, rate_per_s=RATE_PER_S, connections=4) as there:
        samples: dict[str, list[Sample]] = {name: [] for name in there.stage.members}
        failed: list[str] = []
        async with asyncio.TaskGroup() as group:
            works = [sample(there, samples), act(there, failed), flap(there, duration_s)]
            tasks = [group.create_task(work) for work in works]
            await there.load.run(duration_s)
            for task in tasks:
                task.cancel()
        for bot in there.bots.values():
            await come_back(bot)
        await there.caught_up()
        verdicts = {name: str(verdict) for name, verdict in there.verdicts().items()}
        verdicts["log"] = str(await there.log_verdict())
        given_up = await there.given_up()
        lost = sum(verdict.lost for verdict in there.verdicts().values()) - given_up
        verdicts["dead letters"] = f"{given_up}: the bot hung up before it answered a post"
        verdicts["actions"] = f"{len(failed)} failed {failed[:3]}"
    return [find(name, taken) for name, taken in samples.items()], verdicts, lost + len(failed)


async def sample(there: Crowd, samples: dict[str, list[Sample]]) -> None:
    """Look at every process, again and again."""
    began_at = time.monotonic()
    while True:
        for name, taken in samples.items():
            member = there.stage[name]
            tasks = await tasks_of(there.stage.http, member.base)
            files, rss_mib = open_files(member.pid), rss_kib(member.pid) / 1024
            taken.append(Sample(time.monotonic() - began_at, rss_mib, files, tasks))
        await asyncio.sleep(SAMPLE_S)


async def tasks_of(http: aiohttp.ClientSession, base: str) -> int:
    """How many tasks a process says that it has, by its metrics; -1 where it has none."""
    async with http.get(f"{base}/metrics") as response:
        lines = (await response.text()).splitlines()
    found = [line for line in lines if line.startswith((TASKS + " ", TASKS + "{"))]
    return int(float(found[0].rpartition(" ")[2])) if found else -1


async def act(there: Crowd, failed: list[str]) -> None:
    """An action a second, which must be done."""
    account = there.stage.account("http")
    while True:
        answer = await account.call("send_private_msg", user_id="visitor", message="still here")
        if answer["status"] != "ok":
            failed.append(str(answer))
        await asyncio.sleep(1)


async def flap(there: Crowd, duration_s: float) -> None:
    """Every bot is away for a tenth of a twelfth of the time, one after the other."""
    period_s = duration_s / FLAPS
    while True:
        for bot in there.bots.values():
            await asyncio.sleep(period_s / len(there.bots) * 0.9)
            await leave(bot)
            await asyncio.sleep(period_s / len(there.bots) * 0.1)
            await come_back(bot)


def find(name: str, samples: list[Sample]) -> Finding:
    """The slope by least squares over the second half; counts against the quarter before it."""
    half, quarter = len(samples) // 2, len(samples) // 4
    before, late, last = samples[quarter:half], samples[half:], samples[-quarter:]
    slope, _ = statistics.linear_regression(
        [s.at_s / 3600 for s in late], [s.rss_mib for s in late]
    )
    return Finding(
        name,
        statistics.median(s.rss_mib for s in before),
        statistics.median(s.rss_mib for s in last),
        slope,
        statistics.median(s.files for s in last) - statistics.median(s.files for s in before),
        statistics.median(s.tasks for s in last) - statistics.median(s.tasks for s in before),
        [round(s.rss_mib, 2) for s in samples[:: round(60 / SAMPLE_S)]],
    )


def table(findings: list[Finding]) -> Iterator[str]:
    """For people."""
    yield f"      {'process':12} {'MiB':>14} {'MiB/h':>8} {'files':>6} {'tasks':>6}"
    for f in findings:
        mib = f"{f.first_mib:.1f} -> {f.last_mib:.1f}"
        mark = "pass" if f.passed else "FAIL"
        row = (
            f"{f.name:12} {mib:>14} {f.slope_mib_h:8.2f} {f.more_files:+6.0f} {f.more_tasks:+6.0f}"
        )
        yield f"{mark}  {row}"


def main() -> int:
    """Run it; 1 when something grows or was lost."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    findings, verdicts, bad = uvloop.run(soak(minutes * 60))
    for line in table(findings):
        print(line)
    for name, verdict in verdicts.items():
        print(f"      {name:12} {verdict}")
    print(f"      {minutes:g} minutes; {bad} lost or failed")
    passed = not bad and all(finding.passed for finding in findings)
    rows = [finding._asdict() | {"pass": finding.passed} for finding in findings]
    told = {"minutes": minutes, "pass": passed, "bad": bad, "bots": verdicts, "processes": rows}
    (BUILD / "soak.json").write_text(json.dumps(told, indent=2) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
