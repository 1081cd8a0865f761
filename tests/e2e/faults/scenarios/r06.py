"""R6: connections that only look alive: a cut network, a bot that was stopped, one that is busy."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
from tests.e2e.faults.far_bots import Far
from tests.e2e.faults.load import Load
from tests.e2e.faults.network import Namespace, established, namespace
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import ROOT, Stage, stable_port, stage
from tests.e2e.faults.verdict import Record, Verdict, judge
from tests.e2e.processes import Account, Running, spawn

from onebus.bus import Bus
from onebus.dead import DeadLetters

TOKEN = "T0ken-of-the-bots"
NOTICED_S = 30.0
WATCH_S = 40.0
BUSY_S, LONG_BUSY_S = 20.0, 45.0
"""The longer one is more than a bot may be silent whose machine is gone."""
BUSY_AT = "think about it"
CHATS = 5
RATE_PER_S = 10
CAUGHT_UP_S = 40.0
HEALED_AFTER_S = 28.0
POST_TIMEOUT_S = 5.0
TIMEOUTS = 1 + int(HEALED_AFTER_S / POST_TIMEOUT_S)
"""How many posts of one chat have no answer while their bot is stopped."""
WS = ("forward", "reverse")


class Machine:
    """Bots of one account, in a namespace of their own."""

    def __init__(self, name: str, there: Namespace, made: Stage) -> None:
        self.name = name
        self.there = there
        self.ws_port, self.post_port = stable_port(), stable_port()
        self.load = Load(
            made.http,
            [made["sandbox"].base],
            chats=CHATS,
            rate_per_s=RATE_PER_S,
            account=name,
            prefix=name[:1],
        )
        self.noticed_s: dict[str, float] = {}
        self._made = made
        self._running: Running | None = None

    @property
    def process(self) -> Running:
        assert self._running
        return self._running

    async def start(self, **busy: Any) -> None:
        """Start the bots, and wait until both WebSockets are there."""
        forward = f"ws://{self.there.ours}:{self._made['ws'].port}/sandbox/{self.name}/onebot/v11"
        far = Far(self.there.there, self.ws_port, self.post_port, f"{forward}/event", TOKEN, **busy)
        module = (sys.executable, "-m", "tests.e2e.faults.far_bots")
        command = self.there.command(*module, msgspec.json.encode(far).decode())
        self._running = await spawn(self.name, *command, env={"PYTHONPATH": str(ROOT)})
        for bot in WS:
            await self.process.says(json.dumps({"bot": bot, "up": True}))

    def open(self, kind: str) -> int:
        """How many connections of a kind this side believes to have."""
        address = self.there.there
        if kind == "forward":
            return established(address, port=self._made["ws"].port, local=True)
        return established(address, port=self.ws_port if kind == "reverse" else self.post_port)

    async def watch(self, *kinds: str) -> None:
        """See how long it takes from now until each kind's connection is given up."""
        began_at = time.monotonic()
        self.noticed_s = dict.fromkeys(kinds, WATCH_S)
        waiting = set(kinds)
        while waiting and time.monotonic() - began_at < WATCH_S:
            for kind in [kind for kind in waiting if not self.open(kind)]:
                self.noticed_s[kind] = time.monotonic() - began_at
                waiting.discard(kind)
            await asyncio.sleep(0.05)

    async def hear(self, *kinds: str) -> None:
        """See how long it takes until it is said of each kind that nothing comes from there."""
        began_at = time.monotonic()
        self.noticed_s = dict.fromkeys(kinds, WATCH_S)
        await asyncio.sleep(HEALED_AFTER_S)
        for kind in kinds:
            running = self._made["ws" if kind == "forward" else "push"].now
            for line, at in zip(running.lines, running.heard_at, strict=True):
                if "no sign of life" in line and self.name in line and at > began_at:
                    self.noticed_s[kind] = min(self.noticed_s[kind], at - began_at)

    def record(self, bot: str) -> Record:
        """What a bot got."""
        record = Record(bot)
        for line in self.process.lines:
            if line.startswith("{") and (said := json.loads(line))["bot"] == bot:
                record.note(said.get("event", {}))
        return record

    def connections(self, bot: str) -> int:
        """How often a bot was connected."""
        return self.process.lines.count(json.dumps({"bot": bot, "up": True}))

    async def caught_up(self, bots: tuple[str, ...]) -> dict[str, Verdict]:
        """Wait until they have everything, or no longer; the verdict on each."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CAUGHT_UP_S):
                while not all(self.record(bot).has(self.load.acked) for bot in bots):
                    await asyncio.sleep(0.2)
        return {bot: judge(self.record(bot), self.load.acked) for bot in bots}


async def r6(run: Run) -> list[Row]:
    """All at once: cut, stopped and busy bots, each of an account of its own."""
    async with _machines(run) as (made, dropped, stopped, busy):
        async with asyncio.TaskGroup() as group:
            loads = [group.create_task(m.load.run(600)) for m in (dropped, stopped, busy)]
            await asyncio.sleep(2)
            at_once = made.account("ws", account="busy")
            await at_once.say(BUSY_AT, user="alice", group="busy")
            broken_at = time.monotonic()
            await dropped.there.cut()
            stopped.process.signal(signal.SIGSTOP)
            watching = asyncio.gather(dropped.watch(*WS), stopped.hear(*WS))
            await watching
            await asyncio.sleep(max(0.0, broken_at + HEALED_AFTER_S - time.monotonic()))
            await dropped.there.heal()
            stopped.process.signal(signal.SIGCONT)
            await asyncio.sleep(1 if run.quick else 20)
            for machine in (dropped, stopped, busy):
                machine.load.stop()
            await asyncio.gather(*loads)
        return [
            await _noticed(run, dropped, "network cut (iptables DROP both ways)"),
            await _noticed(run, stopped, "bot stopped (SIGSTOP, its system answers for it)"),
            # Nobody answered for the bot's machine: what was on its way is posted again.
            await _posted(run, made, dropped, "network cut", 0),
            # The system of a stopped bot takes each post for it, and none has an answer.
            await _posted(run, made, stopped, "bot stopped", CHATS * TIMEOUTS),
            await _busy(run, busy),
        ]


async def _noticed(run: Run, machine: Machine, fault: str) -> Row:
    verdicts = await machine.caught_up(WS)
    noticed = {kind: machine.noticed_s[kind] for kind in WS}
    good = all(v.clean for v in verdicts.values()) and max(noticed.values()) <= NOTICED_S
    return run.row(
        f"{fault}: forward and reverse WS noticed ≤ {NOTICED_S:.0f} s, 0 lost",
        "; ".join(f"{k}: noticed after {noticed[k]:.1f} s, {verdicts[k]}" for k in WS)
        + f"; of {machine.load.total}",
        good,
    )


async def _posted(run: Run, made: Stage, machine: Machine, fault: str, most: int) -> Row:
    """An event that was on its way to a machine that answers may have been taken: a dead letter."""
    await machine.caught_up(("post",))
    got = machine.record("post")
    had = {f"{chat}#{one.number}" for chat, all_got in got.chats.items() for one in all_got}
    said = {f"{c}#{n}" for c, last in machine.load.acked.items() for n in range(1, last + 1)}
    async with Bus(made.nats.options, "verdict") as bus:
        await bus.wait_ready(10)
        letters = [x for x in await DeadLetters(bus).all() if machine.name in x.account]
    given_up = {str(json.loads(bytes(letter.event))["raw_message"]) for letter in letters}
    lost = len(said - had - given_up)
    verdict = judge(got, machine.load.acked)
    return run.row(
        f"{fault}: HTTP POST, 0 lost: each posted, or a dead letter if it was on its way"
        f" (at most {most})"
        if most
        else f"{fault}: HTTP POST, 0 lost, and no dead letters",
        f"{lost} lost, {len(given_up)} dead letters of {len(said)}, {verdict.inverted} inverted",
        not lost and len(given_up) <= most and not verdict.inverted,
    )


async def _busy(run: Run, machine: Machine) -> Row:
    busy_s = BUSY_S if run.quick else LONG_BUSY_S
    verdicts = await machine.caught_up(WS)
    connections = {bot: machine.connections(bot) for bot in WS}
    clean = all(v.clean and not v.repeated for v in verdicts.values())
    return run.row(
        f"a bot that is busy for {busy_s:.0f} s in its reading loop is not cut",
        "; ".join(f"{bot}: {connections[bot]} connection, {verdicts[bot]}" for bot in WS)
        + f"; of {machine.load.total}",
        clean and set(connections.values()) == {1},
    )


@asynccontextmanager
async def _machines(run: Run) -> AsyncIterator[tuple[Stage, Machine, Machine, Machine]]:
    """Frontends here, the bots of three accounts elsewhere."""
    names = ("dropped", "stopped", "busy")
    general = {
        "use_http": True,
        "use_ws": True,
        "access_token": TOKEN,
        "replay_window": 900_000,
        "ws_reverse_reconnect_interval": 500,
    }
    config: dict[str, Any] = {f"sandbox__{name}": {} for name in names}
    config["general"] = {"onebot.v11": general}
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(stage(run.folder, **config))
        made.add("sandbox", "connector", "sandbox")
        spaces = [await stack.enter_async_context(namespace()) for _ in names]
        machines = [Machine(n, space, made) for n, space in zip(names, spaces, strict=True)]
        targets: dict[str, Any] = {}
        for machine in machines:
            at = machine.there.there
            targets[f"sandbox__{machine.name}"] = {
                "onebot.v11": {
                    "ws_reverse": [f"ws://{at}:{machine.ws_port}/ws"],
                    "http_reverse": [f"http://{at}:{machine.post_port}/post"],
                    "post_timeout": int(1000 * (60 if machine.name == "busy" else POST_TIMEOUT_S)),
                }
            }
        made.add("ws", "frontend", "http", "ws", host="0.0.0.0", **targets)
        made.add("push", "frontend", "ws-reverse", "http-post", **targets)
        await made.start()
        for machine in machines:
            account = Account(made.http, made["ws"].base, machine.name, token=TOKEN)
            await account.online()
            busy_s = BUSY_S if run.quick else LONG_BUSY_S
            thinks = {"busy_at": BUSY_AT, "busy_s": busy_s} if machine.name == "busy" else {}
            await machine.start(**thinks)
            stack.push_async_callback(machine.process.kill)
            await machine.load.warm_up()
        dropped, stopped, busy = machines
        yield made, dropped, stopped, busy


SCENARIOS = [Scenario("R6", r6, alone=False, root=True)]
