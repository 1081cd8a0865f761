"""R13: SIGTERM and a rolling restart of every role, under load."""

import asyncio

from tests.e2e.faults.crowd import ROLES, Crowd, crowd
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario

RATE_PER_S = 200
DRAIN_S = 10.0


async def r13(run: Run) -> list[Row]:
    """Every process of every role ends in order and starts again, one after the other."""
    rounds = 1 if run.quick else 5
    ends: list[tuple[str, int, float]] = []
    async with crowd(run.folder, rate_per_s=RATE_PER_S) as there:
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(there.load.run(3600))
            for _ in range(rounds):
                for role in run.draw("roles").sample(list(ROLES), len(ROLES)):
                    ends += await _roll(there, role)
            there.load.stop()
            await loading
        await there.caught_up()
        verdicts, log = there.verdicts(), await there.log_verdict()
    codes, longest_s = {code for _, code, _ in ends}, max(took for _, _, took in ends)
    none_twice = not log.repeated and not any(verdict.repeated for verdict in verdicts.values())
    clean = log.clean and all(verdict.clean for verdict in verdicts.values())
    slowest = max(ends, key=lambda end: end[2])[0]
    return [
        run.row(
            f"SIGTERM of each process under {RATE_PER_S}/s, {len(ends)} times: drained in"
            f" <= {run.within_s(DRAIN_S):.0f} s, exit 0, 0 lost, 0 repeated, 0 doubled, 0 inverted",
            f"ended with {sorted(codes)} in {longest_s:.1f} s at most ({slowest});"
            f" {there.load.total} messages, log: {log}; "
            + "; ".join(f"{name}: {verdict}" for name, verdict in verdicts.items()),
            clean and none_twice and codes == {0} and longest_s <= run.within_s(DRAIN_S),
        )
    ]


async def _roll(there: Crowd, role: str) -> list[tuple[str, int, float]]:
    """All replicas of a role, the serving one first; each is back before the next goes."""
    first = there.owner(role)
    names = [first, *(name for name in there.replicas(role) if name != first)]
    ends = []
    for name in names:
        member = there.stage[name]
        code, took_s = await member.stop()
        await member.start()
        ends.append((name, code, took_s))
        await asyncio.sleep(1)  # under load on the new one
    return ends


SCENARIOS = [Scenario("R13", r13)]
