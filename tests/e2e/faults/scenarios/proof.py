"""The harness proves itself: three planted bugs must each be reported."""

import asyncio
from pathlib import Path

from tests.e2e.faults.crowd import crowd
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.scenarios.stopped import QUICK_FROZEN_S, freeze_owners
from tests.e2e.faults.verdict import Verdict

RATE_PER_S = 150
BUSY_PER_S = 2_000
JITTER_S = 0.03


async def proof(run: Run) -> list[Row]:
    """Each bug by the fault that brings it out; the same without the bug finds nothing."""
    anyway = freeze_owners(run.folder / "anyway", QUICK_FROZEN_S, "pause,appended_anyway")
    lanes, lane = run.folder / "lanes", run.folder / "lane"
    doubled, inverted, none_inverted = await asyncio.gather(
        anyway, uneven_bot(lanes, "two_lanes"), uneven_bot(lane, "")
    )
    lost = await busy_connectors_killed(run.folder / "unacked", "unacked")
    none_lost = await busy_connectors_killed(run.folder / "acked", "")
    return [
        run.row(
            "planted: platform acknowledged before the append; must be reported as lost",
            f"{lost.lost} lost in the log; without the bug {none_lost.lost}",
            lost.lost > 0 and none_lost.clean,
        ),
        run.row(
            "planted: no append-if-absent; must be reported as doubled in the log",
            f"{doubled.log.doubled} doubled in the log; without the bug see SIGSTOP",
            doubled.log.doubled > 0,
        ),
        run.row(
            "planted: two lanes for one chat; must be reported as inverted",
            f"{inverted.inverted} inverted at the bot; without the bug {none_inverted.inverted}",
            inverted.inverted > 0 and none_inverted.clean,
        ),
    ]


async def busy_connectors_killed(folder: Path, planted: str) -> Verdict:
    """What the log lacks when connectors die in the middle of more than they can take."""
    plants = {"sandbox": planted} if planted else {}
    async with crowd(folder, bots=(), rate_per_s=BUSY_PER_S, planted=plants) as there:
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(there.load.run(60))
            for name in there.replicas("sandbox"):
                await asyncio.sleep(0.7)
                await there.stage[name].kill()
                await there.stage[name].start()
            there.load.stop()
            await loading
        return await there.log_verdict()


async def uneven_bot(folder: Path, planted: str) -> Verdict:
    """What a bot gets that takes its time for one event and none for the next; chats are busy."""
    plants = {"http-post": planted} if planted else {}
    crowded = crowd(
        folder, replicas=1, chats=5, rate_per_s=RATE_PER_S, bots=["http-post"], planted=plants
    )
    async with crowded as there:
        there.bots["http-post"].delay_s = JITTER_S
        await there.load.run(3)
        await there.caught_up()
        return there.verdicts()["http-post"]


SCENARIOS = [Scenario("planted", proof, alone=False)]
