"""R5: bots that were away, for less than the window and for more."""

import asyncio
import math
import re
import time
from functools import partial
from typing import NamedTuple

from tests.e2e.faults.bots import Bot, come_back, leave
from tests.e2e.faults.crowd import Crowd, crowd
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.verdict import Verdict, judge
from tests.e2e.faults.watch import Peaks

from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.log import Log

RATE_PER_S = 20
AWAY_S = 600.0
QUICK_RATE_PER_S, QUICK_AWAY_S = 150, 12.0
CHATS = 20
CATCH_UP_PER_S, QUICK_CATCH_UP_PER_S = 1_000, 100
"""The short form runs beside other tests."""
GROWTH_MIB = 64.0
SHORT_WINDOW_S = 8.0
ON_RECORD_S = 30.0
SHORT_RATE_PER_S = 50
FOUND_AGAIN_S = 7.0
"""How late a bot may be noticed to be back: what grows older than the window meanwhile is lost."""
MAY_REPEAT = {"ws-reverse": 64, "http-post": 64}
"""What these bots had when they left, and may not have acknowledged yet."""
PROCESSES = {"ws-reverse": "ws-reverse", "http-post": "http-post", "ws": "ws", "sse": "http"}
"""Which process serves each bot."""
_SKIPPED = re.compile(r": (\d+) events were not sent: older than its replay_window")


class Return(NamedTuple):
    """A bot's backlog, how long it took to get it, and what its process grew by."""

    backlog: int
    took_s: float
    grown_mib: float
    verdict: Verdict

    @property
    def rate(self) -> float:
        return self.backlog / self.took_s if self.took_s else math.inf


async def r5(run: Run) -> list[Row]:
    """All bots leave and miss the same; they come back one after the other, while people talk."""
    rate_per_s, away_s = (QUICK_RATE_PER_S, QUICK_AWAY_S) if run.quick else (RATE_PER_S, AWAY_S)
    returns: dict[str, Return] = {}
    async with crowd(run.folder, replicas=1, chats=CHATS, rate_per_s=rate_per_s) as there:
        for bot in there.bots.values():
            await leave(bot)
        await there.load.run(away_s)
        async with run.measuring, asyncio.TaskGroup() as group:
            loading = group.create_task(there.load.run(3600))
            for name, bot in there.bots.items():
                returns[name] = await _come_back(there, name, bot)
            there.load.stop()
            await loading
        await there.caught_up()
        verdicts = there.verdicts()
    away = f"away {away_s:.0f} s at {rate_per_s:.0f}/s"
    rows = [
        _row(run, name, away, back._replace(verdict=verdicts[name]))
        for name, back in returns.items()
    ]
    return [*rows, await _too_long(run)]


def _row(run: Run, name: str, away: str, back: Return) -> Row:
    at_least = QUICK_CATCH_UP_PER_S if run.quick else CATCH_UP_PER_S
    good = back.rate >= at_least and back.grown_mib <= GROWTH_MIB
    return run.row(
        f"{name} bot {away}: all in order at >= {at_least}/s, memory + <= {GROWTH_MIB:.0f} MiB",
        f"{back.backlog} events in {back.took_s:.1f} s, {back.rate:.0f}/s, +{back.grown_mib:.1f}"
        f" MiB; {back.verdict}",
        good and back.verdict.clean and back.verdict.repeated <= MAY_REPEAT.get(name, 0),
    )


async def _come_back(there: Crowd, name: str, bot: Bot) -> Return:
    """Until it has what it missed; live events of its chats must come behind that."""
    process = there.stage[PROCESSES[name]]
    peaks = Peaks({name: process.pid})
    watching = asyncio.ensure_future(peaks.run(0.1))
    missed, had = dict(there.load.acked), bot.record.count
    returned_at = time.monotonic()
    await come_back(bot)
    assert await bot.until(partial(bot.record.has, missed), 120), f"{name} never caught up"
    began_at = bot.record.first_since(returned_at)
    took_s = time.monotonic() - began_at
    watching.cancel()
    backlog = sum(missed.values()) - had
    return Return(backlog, took_s, peaks.grown_mib[name], judge(bot.record, missed))


async def _too_long(run: Run) -> Row:
    """Away for longer than the window: what is left out is counted exactly."""
    window_s = SHORT_WINDOW_S
    away_s = window_s + (4 if run.quick else 30)
    crowded = crowd(
        run.folder / "too_long",
        replicas=1,
        chats=CHATS,
        rate_per_s=SHORT_RATE_PER_S,
        bots=("ws-reverse", "http-post"),
        replay_window=int(window_s * 1000),
    )
    async with crowded as there:
        await _on_record(there)
        for bot in there.bots.values():
            await leave(bot)
        await there.load.run(away_s)
        for bot in there.bots.values():
            await come_back(bot)
        await there.caught_up()
        verdicts = there.verdicts()
        told = {name: _told(there.stage[name].now.lines) for name in verdicts}
    in_order = all(not (v.inverted or v.doubled or v.repeated) for v in verdicts.values())
    exact = all(told[name] == verdicts[name].lost > 0 for name in verdicts)
    most = (away_s - window_s + FOUND_AGAIN_S) * SHORT_RATE_PER_S
    no_more = all(verdict.lost <= most for verdict in verdicts.values())
    return run.row(
        f"away {away_s:.0f} s with a window of {window_s:.0f} s: at most {most:.0f} events left"
        " out, and the exact number is told",
        "; ".join(f"{n}: {v.lost} left out, {told[n]} told" for n, v in verdicts.items()),
        exact and no_more and in_order,
    )


async def _on_record(there: Crowd) -> None:
    """Wait until it is saved that the bots have all: what is not would be counted as left out."""
    async with Bus(there.stage.nats.options, "r5") as bus:
        await bus.wait_ready(10)
        cursors, end = Bucket(bus, "cursors"), await Log(bus).end()
        async with asyncio.timeout(ON_RECORD_S):
            while not all(
                int(entry.value.partition(b"+")[0]) >= end
                for entry in await cursors.entries("target")
            ):
                await asyncio.sleep(0.1)


def _told(lines: list[str]) -> int:
    """How many events a process says that it left out."""
    return sum(int(match[1]) for line in lines if (match := _SKIPPED.search(line)))


SCENARIOS = [Scenario("R5", r5, alone=False)]
