"""R2: `kill -9` of nats-server under load, away for a second, half a minute, five minutes."""

import asyncio
import time
from functools import partial
from typing import NamedTuple

from tests.e2e.faults.bots import Bot
from tests.e2e.faults.crowd import Crowd, crowd
from tests.e2e.faults.probe import Answer, Probe
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.verdict import most_between, repeats
from tests.e2e.faults.watch import Peaks

RATE_PER_S = 200
WINDOW = 64
FIRST_S = 2.0
ANSWER_S = 1.0
GROWTH_MIB = 32.0
REFUSED = {10006, 10008, 10009, 10010}
"""What an action is answered without NATS: docs/onebot_v11.md."""


class Outage(NamedTuple):
    """NATS was killed, and ready again; how long after that each bot had an event."""

    killed_at: float
    ready_at: float
    first_s: dict[str, float]


async def r2(run: Run) -> list[Row]:
    """The same load through all outages; actions are asked for all the time."""
    async with crowd(run.folder, rate_per_s=RATE_PER_S) as there:
        peaks = Peaks({name: member.pid for name, member in there.stage.members.items()})
        probe = Probe(there.stage.account("http"), there.stage.account("ws"))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in (peaks.run(), probe.run())]
            loading = group.create_task(there.load.run(3600))
            lengths_s = (1, 8) if run.quick else (1, 30, 300)
            busy_s = 2 if run.quick else 10
            outages = [await _outage(there, busy_s, away_s) for away_s in lengths_s]
            await asyncio.sleep(busy_s)
            there.load.stop()
            await loading
            await there.caught_up()
            for task in tasks:
                task.cancel()
        log = await there.log_verdict()
        run.say(f"      R2: bots' connections lost: {_hung_up(there)}")
        worst = max(peaks.grown_mib.items(), key=lambda item: item[1])
    return [
        _events(run, there, outages, log_clean=log.clean and not log.repeated),
        _answers(run, outages, probe.answers),
        run.row(
            f"NATS away: memory of each process bounded (+ <= {GROWTH_MIB:.0f} MiB)",
            f"+{worst[1]:.1f} MiB at most ({worst[0]})",
            worst[1] <= GROWTH_MIB,
        ),
    ]


async def _outage(there: Crowd, busy_s: float, away_s: float) -> Outage:
    """Some load, then kill it, wait, start it, and wait for every bot's next event."""
    await asyncio.sleep(busy_s)
    killed_at = time.monotonic()
    await there.stage.nats.kill()
    await asyncio.sleep(away_s)
    await there.stage.nats.start()
    ready_at = time.monotonic()
    await asyncio.gather(*(_had_one_since(bot, ready_at) for bot in there.bots.values()))
    first_s = {n: b.record.first_since(ready_at) - ready_at for n, b in there.bots.items()}
    return Outage(killed_at, ready_at, first_s)


async def _had_one_since(bot: Bot, moment: float) -> None:
    assert await bot.until(partial(_later, bot, moment)), f"{bot.record.name}: no event any more"


def _later(bot: Bot, moment: float) -> bool:
    return bot.record.last_at > moment


def _hung_up(there: Crowd) -> dict[str, int]:
    return {name: len(bot.lost_at) for name, bot in there.bots.items()}


def _events(run: Run, there: Crowd, outages: list[Outage], *, log_clean: bool) -> Row:
    verdicts = there.verdicts()
    kills = [outage.killed_at for outage in outages]
    most = max(most_between(repeats(bot.record), kills) for bot in there.bots.values())
    slowest = {name: max(outage.first_s[name] for outage in outages) for name in there.bots}
    first = ", ".join(f"{name} {slowest[name]:.2f}" for name in slowest)
    away = ", ".join(f"{outage.ready_at - outage.killed_at:.0f}" for outage in outages)
    clean = log_clean and all(verdict.clean for verdict in verdicts.values())
    return run.row(
        f"kill -9 of NATS under {RATE_PER_S}/s, away {away} s: 0 lost, 0 doubled (the log too),"
        f" 0 inverted, first event <= {run.within_s(FIRST_S):.0f} s after it is ready",
        f"{there.load.total} messages, first event after s: {first}; log clean: {log_clean}; "
        + "; ".join(f"{name}: {verdict}" for name, verdict in verdicts.items()),
        clean and most <= WINDOW and max(slowest.values()) <= run.within_s(FIRST_S),
    )


def _answers(run: Run, outages: list[Outage], answers: list[Answer]) -> Row:
    """Those that were asked for without NATS, and all others, which must not hang."""
    down = [a for a in answers if any(o.killed_at <= a.asked_at < o.ready_at for o in outages)]
    away = [a for a in down if any(a.asked_at + a.took_s <= o.ready_at for o in outages)]
    slowest_s, longest_s = max(a.took_s for a in down), max(a.took_s for a in answers)
    codes = {answer.retcode for answer in away if answer.retcode}
    return run.row(
        f"actions without NATS: each answered <= {run.within_s(ANSWER_S):.0f} s, with a documented"
        " retcode; none hangs",
        f"{len(down)} asked for meanwhile, answered in {slowest_s:.2f} s at most with"
        f" {sorted(codes)}; longest of all {len(answers)}: {longest_s:.2f} s",
        bool(down)
        and slowest_s <= run.within_s(ANSWER_S)
        and codes <= REFUSED
        and longest_s <= 25.5,
    )


SCENARIOS = [Scenario("R2", r2)]
