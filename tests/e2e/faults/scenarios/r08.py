"""R8: one bot that does not read among a hundred that do, on each transport."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median

from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import Stage, stage
from tests.e2e.faults.stalling import Forward, Pushed, Reader, moment
from tests.e2e.faults.tally import p99_ms
from tests.e2e.faults.watch import Peaks, cpu_s
from tests.e2e.processes import Account

CLIENTS = 100
CHATS = 20
RATE_PER_S = 20
CHANGE = 0.20
QUICK_MS = 1_000.0
"""In the short form other tests run beside it: a p99 says no more than that nobody was held up."""
RSS_MIB = 32
SETTLE_S = 2.0
KINDS = 3
CAUGHT_UP_S = 60.0
LONG_S = 600.0


@dataclass
class Cast:
    """Healthy bots, and one of each transport that stalls when it is told to."""

    made: Stage
    account: Account
    others: list[Forward] = field(default_factory=lambda: [Forward() for _ in range(CLIENTS - 1)])
    healthy: Pushed = field(default_factory=Pushed)
    forward: Forward = field(default_factory=Forward)
    pushed: Pushed = field(default_factory=Pushed)
    said: list[float] = field(default_factory=list)
    phases: list[tuple[float, float]] = field(default_factory=list)
    """From when until when: without stalled ones, with one that came to us, with two others."""
    work_s: list[float] = field(default_factory=list)
    """Processor time that the frontends took in each phase."""

    @property
    def stalling(self) -> list[Reader]:
        return [self.forward, self.pushed.ws, self.pushed.post]

    async def speak(self) -> None:
        """People say what time it is, in every chat in turn, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for chat in range(CHATS):
                group.create_task(self._speak(chat))

    async def _speak(self, chat: int) -> None:
        await asyncio.sleep(chat / RATE_PER_S)
        due = time.monotonic()
        while True:
            text = moment()
            await self.account.say(text, user=f"u{chat}", group=f"g{chat}")
            self.said.append(float(text.partition(" ")[0]))
            due += CHATS / RATE_PER_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def phase(self, length_s: float, *stalled: Reader) -> None:
        """A while in which these stall."""
        for reader in self.stalling:
            (reader.reads.clear if reader in stalled else reader.reads.set)()
        await self.caught_up([r for r in (self.forward, self.pushed.ws) if r not in stalled])
        await asyncio.sleep(SETTLE_S)
        began_at, pid = time.monotonic(), self.made["bots"].pid
        work_s = cpu_s(pid)
        await asyncio.sleep(length_s)
        self.phases.append((began_at, time.monotonic()))
        self.work_s.append(cpu_s(pid) - work_s)

    async def long_stall(self, length_s: float) -> None:
        """All of them stall, and read again."""
        for reader in self.stalling:
            reader.reads.clear()
        await asyncio.sleep(length_s)
        for reader in self.stalling:
            reader.reads.set()

    async def caught_up(self, readers: Sequence[Reader]) -> None:
        """Wait until they have what was said up to now, or no longer."""
        last = self.said[-1] if self.said else 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CAUGHT_UP_S):
                while not all(max(r.late_s, default=0.0) >= last for r in readers):
                    await asyncio.sleep(0.05)

    def p99s_ms(self, kind: int, readers: Iterable[Reader]) -> list[tuple[float, float]]:
        """How late events came in each phase without stalled ones, and in the one of this kind."""
        late = [item for reader in readers for item in reader.late_s.items()]
        p99s = [
            p99_ms([late_s for at, late_s in late if since <= at < until])
            for since, until in self.phases
        ]
        return list(zip(p99s[::KINDS], p99s[kind::KINDS], strict=True))


async def r8(run: Run) -> list[Row]:
    """Phases without and with the stalled ones in turn, so that other load is in both.

    At the end all of them stall at once, and for long: that is for memory and loss.
    """
    length_s, rounds, long_s = (4.0, 1, 0.0) if run.quick else (28.0, 5, LONG_S)
    async with _cast(run) as cast, asyncio.TaskGroup() as group:
        peaks = Peaks({"frontends": cast.made["bots"].pid})
        tasks = [group.create_task(cast.speak()), group.create_task(peaks.run())]
        for _ in range(rounds):
            await cast.phase(length_s)
            await cast.phase(length_s, cast.forward)
            await cast.phase(length_s, cast.pushed.ws, cast.pushed.post)
        await cast.long_stall(long_s)
        for task in tasks:
            task.cancel()
        await cast.caught_up([cast.forward, cast.pushed.ws, *cast.others])
    lost = {
        "forward": len(set(cast.said).difference(cast.forward.late_s)),
        "reverse": len(set(cast.said).difference(cast.pushed.ws.late_s)),
        "others": sum(len(set(cast.said).difference(other.late_s)) for other in cast.others),
    }
    grown = peaks.grown_mib["frontends"]
    stalled_s = rounds * (length_s + SETTLE_S)
    stalled = f"{stalled_s:.0f} s each and then {long_s:.0f} s together"
    return [
        _memory(run, cast, lost, grown, stalled),
        _neighbours(run, cast, f"the {CLIENTS - 1} others", (1, cast.others)),
        _neighbours(run, cast, "reverse WS beside stalled bots", (2, [cast.healthy.ws])),
        _neighbours(run, cast, "HTTP POST beside stalled bots", (2, [cast.healthy.post])),
    ]


def _memory(run: Run, cast: Cast, lost: dict[str, int], grown: float, stalled: str) -> Row:
    return run.row(
        f"one stalled reader among {CLIENTS} WebSockets, and a stalled bot of each push transport,"
        f" {stalled}: RSS + ≤ {RSS_MIB} MiB, the stalled resume without loss",
        f"frontends + {grown:.1f} MiB; of {len(cast.said)} events lost: "
        + ", ".join(f"{name} {count}" for name, count in lost.items())
        + f"; the stalled were connected {cast.forward.connected}× and {cast.pushed.ws.connected}×;"
        f" processor {sum(cast.work_s[::KINDS]):.1f} s without, {sum(cast.work_s[1::KINDS]):.1f} s"
        f" and {sum(cast.work_s[2::KINDS]):.1f} s with",
        grown <= RSS_MIB and not any(lost.values()),
    )


def _neighbours(run: Run, cast: Cast, who: str, where: tuple[int, Sequence[Reader]]) -> Row:
    """Phases beside each other are compared: what else this machine does is in both."""
    pairs = cast.p99s_ms(*where)
    without_ms, beside_ms = (median(p99s) for p99s in zip(*pairs, strict=True))
    change = median((beside - without) / without for without, beside in pairs)
    measured = (
        f"p99 {without_ms:.1f} ms without, {beside_ms:.1f} ms with; changed by {change:+.0%}"
        f" (median of {len(pairs)} pairs)"
    )
    if run.quick:
        goal = f"{who}: p99 latency changes by less than {QUICK_MS:.0f} ms (short form)"
        return run.row(goal, measured, beside_ms - without_ms < QUICK_MS)
    return run.row(f"{who}: p99 latency changes < {CHANGE:.0%}", measured, change < CHANGE)


@asynccontextmanager
async def _cast(run: Run) -> AsyncIterator[Cast]:
    """All transports in one process, where a stall of one would be felt by all."""
    stalling, healthy = Pushed(), Pushed()
    block = {
        "use_http": True,
        "use_ws": True,
        "replay_window": 900_000,
        "ws_reverse_reconnect_interval": 200,
        "ws_reverse": [f"ws://127.0.0.1:{bot.port}/ws" for bot in (stalling, healthy)],
        "http_reverse": [f"http://127.0.0.1:{bot.port}/post" for bot in (stalling, healthy)],
    }
    async with stage(run.folder, sandbox__demo={"onebot.v11": block}) as made:
        made.add("sandbox", "connector", "sandbox")
        made.add("bots", "frontend", "http", "ws", "ws-reverse", "http-post")
        for bot in (stalling, healthy):
            await bot.open()
        try:
            await made.start()
            account = made.account("bots")
            await account.online()
            cast = Cast(made, account, healthy=healthy, pushed=stalling)
            url = f"{made['bots'].base.replace('http', 'ws')}/sandbox/demo/onebot/v11/event"
            async with asyncio.TaskGroup() as group:
                clients = [*cast.others, cast.forward]
                tasks = [group.create_task(client.run(made.http, url)) for client in clients]
                await _connected([*clients, stalling.ws, healthy.ws])
                yield cast
                for task in tasks:
                    task.cancel()
        finally:
            for bot in (stalling, healthy):
                await bot.close()


async def _connected(readers: Sequence[Reader]) -> None:
    async with asyncio.timeout(CAUGHT_UP_S):
        while not all(reader.connected for reader in readers):
            await asyncio.sleep(0.05)


SCENARIOS = [Scenario("R8", r8)]
