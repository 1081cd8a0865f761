"""R18: two connectors for one account."""

import asyncio

from tests.e2e.faults.crowd import SERVES, crowd
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario

TAKEOVER_S = 8.0


async def r18(run: Run) -> list[Row]:
    """The owner is killed a few times under load; the other takes over, the killed one is back."""
    kills = 2 if run.quick else 10
    draw = run.draw()
    takeovers: list[float] = []
    active: list[int] = []
    async with crowd(run.folder, bots=("ws", "ws-reverse"), rate_per_s=50) as there:
        names = there.replicas("sandbox")
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(there.load.run(600))
            for _ in range(kills):
                await asyncio.sleep(draw.uniform(0.5, 2.0))
                owner = there.owner("sandbox")
                active.append(sum(there.stage[n].last_said(SERVES["sandbox"]) > 0 for n in names))
                killed_at = await there.stage[owner].kill()
                others = [name for name in names if name != owner]
                takeovers.append(await there.stage.taken_over(others, SERVES["sandbox"], killed_at))
                await there.stage[owner].start()
            there.load.stop()
            await loading
        await there.caught_up()
        verdicts, log = there.verdicts(), await there.log_verdict()
    worst, takeover_s = max(takeovers), run.within_s(TAKEOVER_S)
    clean = all(v.clean and not v.repeated for v in verdicts.values())
    good = clean and log.clean and worst <= takeover_s and set(active) == {1}
    return [
        run.row(
            f"two connectors of one account, {kills} kills of the owner: one active,"
            f" takeover <= {takeover_s:.0f} s, 0 lost, 0 doubled in the log",
            f"active at each kill: {sorted(set(active))}; takeover at most {worst:.1f} s;"
            f" {there.load.total} messages, log: {log}; "
            + "; ".join(f"{name}: {v}" for name, v in verdicts.items()),
            good,
        )
    ]


SCENARIOS = [Scenario("R18", r18, alone=False)]
