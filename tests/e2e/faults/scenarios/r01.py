"""R1: `kill -9` of every role, again and again, under load."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from tests.e2e.faults.bots import Bot
from tests.e2e.faults.crowd import ROLES, SERVES, Crowd, crowd
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.verdict import Verdict, most_between, repeats

RATE_PER_S = 200
TAKEOVER_S = 8.0
RESTART_S = 5.0
WINDOW = 64
BOTS = {"ws": "ws", "http": "sse", "ws-reverse": "ws-reverse", "http-post": "http-post"}
"""Which bot a role serves; all of them see what the connector does."""


class Killer:
    """Kills one role's serving process at random moments, and sees how soon it serves again."""

    def __init__(self, there: Crowd, role: str) -> None:
        self._crowd = there
        self._role = role
        self.killed_at: list[float] = []
        self.back_s: list[float] = []
        self.started_s: list[float] = []
        """How long the killed process took to listen again: the machine's part of it."""

    async def run(self, kills: int, gap_s: Callable[[], float]) -> None:
        """So many kills, with these gaps before each."""
        for _ in range(kills):
            await asyncio.sleep(gap_s())
            member = self._crowd.stage[self._crowd.owner(self._role)]
            killed_at = await member.kill()
            self.killed_at.append(killed_at)
            back = self._taken_over if self._role in SERVES else self._restarted
            self.back_s.append(await back(member.name, killed_at))

    async def _taken_over(self, killed: str, killed_at: float) -> float:
        others = [name for name in self._crowd.replicas(self._role) if name != killed]
        taken_over = self._crowd.stage.taken_over(others, SERVES[self._role], killed_at)
        took_s, started_s = await asyncio.gather(taken_over, self._crowd.stage[killed].start())
        self.started_s.append(started_s)
        return took_s

    async def _restarted(self, killed: str, _: float) -> float:
        started_at = time.monotonic()
        self.started_s.append(await self._crowd.stage[killed].start())
        bot = self._crowd.bots[BOTS[self._role]]
        await asyncio.wait_for(connected_since(bot, started_at), 30)
        return time.monotonic() - started_at


async def connected_since(bot: Bot, since: float) -> None:
    """Wait until a bot has connected after this moment."""
    while not bot.connected_at or bot.connected_at[-1] < since:
        await asyncio.sleep(0.02)


async def r1(run: Run) -> list[Row]:
    """All roles are killed in one long load, each by itself, at moments of its own."""
    kills = 2 if run.quick else 20
    shortest_s, longest_s = (1.0, 4.0) if run.quick else (5.0, 45.0)
    async with crowd(run.folder, rate_per_s=RATE_PER_S) as there:
        killers = {role: Killer(there, role) for role in ROLES}
        began_at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(there.load.run(3600))
            async with asyncio.TaskGroup() as killing:
                for role, killer in killers.items():
                    gap_s = partial(run.draw(role).uniform, shortest_s, longest_s)
                    killing.create_task(killer.run(kills, gap_s))
            there.load.stop()
            await loading
        rate = (there.load.total - len(there.load.chats)) / (time.monotonic() - began_at)
        await there.caught_up()
        verdicts, log = there.verdicts(), await there.log_verdict()
    run.say(f"      R1: {there.load.total} messages at {rate:.0f}/s, {there.load.again} said again")
    rows = [_row(run, role, killer, there, verdicts) for role, killer in killers.items()]
    everything = "; ".join(f"{name}: {verdict}" for name, verdict in verdicts.items())
    clean = log.clean and not log.repeated and all(v.clean for v in verdicts.values())
    goal = (
        f"kill -9 of all roles at {RATE_PER_S}/s: 0 lost, 0 doubled, 0 inverted, 0 doubled in log"
    )
    measured = f"{there.load.total} messages at {rate:.0f}/s; log: {log}; {everything}"
    return [run.row(goal, measured, clean), *rows]


def _row(run: Run, role: str, killer: Killer, there: Crowd, verdicts: dict[str, Verdict]) -> Row:
    back_s = run.within_s(TAKEOVER_S if role in SERVES else RESTART_S)
    worst_s = max(killer.back_s)
    names = [BOTS[role]] if role in BOTS else list(BOTS.values())
    repeated = {name: repeats(there.bots[name].record) for name in names if role in BOTS}
    most = max((most_between(r, killer.killed_at) for r in repeated.values()), default=0)
    clean = all(verdicts[name].clean for name in names)
    kind = "owner back" if role in SERVES else "back after its restart"
    return run.row(
        f"{len(killer.killed_at)} x kill -9 of {' '.join(ROLES[role])}: {kind} <= {back_s:.0f} s,"
        f" repeats <= {WINDOW} a kill with known ids",
        f"back {sum(killer.back_s) / len(killer.back_s):.1f} s on average, {worst_s:.1f} s at most"
        f" (a process started in {max(killer.started_s):.1f} s at most);"
        f" at most {most} repeats after a kill",
        clean and worst_s <= back_s and most <= WINDOW,
    )


SCENARIOS = [Scenario("R1", r1)]
