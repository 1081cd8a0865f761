"""SIGSTOP of owners, an event between decode and append; SIGCONT when others are owners."""

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

from tests.e2e.faults.bots import ReverseBot
from tests.e2e.faults.crowd import SERVES, Crowd, crowd
from tests.e2e.faults.planted import PAUSED, PAUSES
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import Member
from tests.e2e.faults.verdict import Verdict

RATE_PER_S = 50
FROZEN_S = 20.0
QUICK_FROZEN_S = 10.0
TAKEOVER_S = 8.0
WINDOW = 64
PAUSED_CHAT = "s000"


class Outcome(NamedTuple):
    """`late`: frames on the old socket after SIGCONT; `strange`: those whose id the log lacks."""

    takeover_s: dict[str, float]
    log: Verdict
    bots: dict[str, Verdict]
    late: int
    most_repeated: int


async def freeze_owners(folder: Path, frozen_s: float, plants: str = "pause") -> Outcome:
    """All three owners stop at once, and go on when others have taken over."""
    planted = {"sandbox": plants}
    async with crowd(folder, rate_per_s=RATE_PER_S, planted=planted) as there:
        owners = {role: there.stage[there.owner(role)] for role in SERVES}
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(there.load.run(3600))
            saying = group.create_task(_say_paused(there, owners["sandbox"]))
            await owners["sandbox"].now.says(PAUSED)
            frozen_at = time.monotonic()
            for member in owners.values():
                member.freeze()
            takeover_s = {
                role: await there.stage.taken_over(_others(there, member), SERVES[role], frozen_at)
                for role, member in owners.items()
            }
            await asyncio.sleep(max(frozen_at + frozen_s - time.monotonic(), 0))
            reverse = there.bots["ws-reverse"]
            assert isinstance(reverse, ReverseBot)
            old = len(reverse.by_socket) - 2
            had = len(reverse.by_socket[old])
            await asyncio.gather(*(_thaw(member) for member in owners.values()))
            await saying
            await asyncio.sleep(2)  # for what a stale owner might still do
            there.load.stop()
            await loading
        await there.caught_up()
        late = len(reverse.by_socket[old]) - had
        repeated = max(verdict.repeated for verdict in there.verdicts().values())
        log = await there.log_verdict()
        return Outcome(takeover_s, log, there.verdicts(), late, repeated)


def _others(there: Crowd, member: Member) -> list[str]:
    role = member.name.rstrip("0123456789")
    return [name for name in there.replicas(role) if name != member.name]


async def _thaw(member: Member) -> None:
    """SIGCONT; it has NATS again."""
    before = len(member.now.lines)
    member.thaw()
    await member.now.says("connected to NATS", after=before)


async def _say_paused(there: Crowd, owner: Member) -> None:
    """A message that its connector holds up; no answer comes, so it is said to the other."""
    other = there.stage[_others(there, owner)[0]]
    body = {"user": "u", "group": PAUSED_CHAT, "message": f"{PAUSED_CHAT}#1"}
    body |= {"message_id": f"{PAUSES}-1"}
    async with asyncio.TaskGroup() as group:
        first = group.create_task(there.load.say_to(owner.base, body, timeout_s=60))
        await owner.now.says(PAUSED)
        assert await there.load.say_to(other.base, body)
        there.load.acked[PAUSED_CHAT] = 1
    print(f"      the first answer: {first.result()}")


async def stopped(run: Run) -> list[Row]:
    """What the frozen ones did when they went on."""
    frozen_s = QUICK_FROZEN_S if run.quick else FROZEN_S
    found = await freeze_owners(run.folder, frozen_s)
    clean = found.log.clean and not found.log.repeated
    took_s, most_s = max(found.takeover_s.values()), run.within_s(TAKEOVER_S)
    taken = ", ".join(f"{role} {after_s:.1f}" for role, after_s in found.takeover_s.items())
    return [
        run.row(
            f"SIGSTOP of all owners for {frozen_s:.0f} s, an event between decode and append: no"
            f" second copy in the log, takeover <= {most_s:.0f} s",
            f"log: {found.log}; taken over after s: {taken}",
            clean and took_s <= most_s,
        ),
        run.row(
            f"after SIGCONT at most {WINDOW} frames with known ids on the old socket, 0 lost,"
            " 0 doubled, 0 inverted",
            f"{found.late} frames on it; "
            + "; ".join(f"{name}: {verdict}" for name, verdict in found.bots.items()),
            found.late <= WINDOW
            and found.most_repeated <= 2 * WINDOW
            and all(verdict.clean for verdict in found.bots.values()),
        ),
    ]


SCENARIOS = [Scenario("SIGSTOP", stopped, alone=False)]
