"""R10: many actions while the connector is killed, stopped, slow and erring."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from tests.e2e.faults.planted import NOTES
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import Stage, stage
from tests.e2e.nats_server import NatsServer

from onebus import subjects
from onebus.bus import Bus
from onebus.event import MessageSent
from onebus.ids import Account, AccountId, Platform
from onebus.log import Log, Stored
from onebus.segment import Text

DEADLINE_S = 25.0
MARGIN_S = 0.5
UNKNOWN = (10006, 10010)
WORKERS = 16
PACE_S = 0.2
PATIENCE_S = 60.0
"""Longer than it takes another connector to be there."""
ENOUGH = 2
"""What is unknown a second time stays so."""
AGAIN_S = 0.3
ONLINE = "online as"
FAULTS = ("stopped", "killed")
NAMES = ("sandbox", "sandbox2")


class Asker(Protocol):
    """A transport: asks once and returns the retcode of the one answer."""

    async def ask(self, params: dict[str, Any]) -> int: ...


class HttpAsker:
    """By HTTP, the key in the header."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = f"{url}/send_group_msg"

    async def ask(self, params: dict[str, Any]) -> int:
        headers = {"Idempotency-Key": params["message"]}
        async with self._http.post(self._url, json=params, headers=headers) as response:
            return int((await response.json())["retcode"])


class WsAsker:
    """By WebSocket, the key in the parameters; `spare` counts answers that nobody waits for."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._asked = 0
        self.spare = 0

    async def ask(self, params: dict[str, Any]) -> int:
        self._asked += 1
        echo, answer = self._asked, asyncio.get_running_loop().create_future()
        self._waiting[echo] = answer
        params = {**params, "idempotency_key": params["message"]}
        await self._ws.send_json({"action": "send_group_msg", "params": params, "echo": echo})
        return int(await asyncio.wait_for(answer, 2 * DEADLINE_S))

    async def listen(self) -> None:
        """Take answers, until the connection ends."""
        async for message in self._ws:
            frame = json.loads(message.data)
            if answer := self._waiting.pop(frame["echo"], None):
                answer.set_result(frame["retcode"])
            else:
                self.spare += 1

    async def close(self) -> None:
        """Hear what else comes within a second, and hang up."""
        await asyncio.sleep(1)
        await self._ws.close()


@dataclass
class Tally:
    """What became of the actions. `first` and `last`: the answer of the first and the last try.

    `doubt`: when the try was made, from when until when, whose outcome was the first unknown one.
    """

    first: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    doubt: dict[str, tuple[float, float]] = field(default_factory=dict)
    killed_at: list[float] = field(default_factory=list)
    slowest_s: float = 0
    faults: Counter[str] = field(default_factory=Counter)

    def in_dead_hands(self, text: str) -> bool:
        """Whether a connector was killed while it may have had this call."""
        since, until = self.doubt[text]
        return any(since <= at <= until for at in self.killed_at)

    async def act(self, asker: Asker, worker: int, number: int) -> None:
        """One message, asked for with one key until it is known to be there, or never will be."""
        text = f"w{worker}#{number}"
        give_up_at, unknown = time.monotonic() + PATIENCE_S, 0
        while time.monotonic() < give_up_at and unknown < ENOUGH:
            started_at = time.monotonic()
            retcode = await asker.ask({"group_id": f"g{worker}", "message": text})
            self.slowest_s = max(self.slowest_s, time.monotonic() - started_at)
            self.first.setdefault(text, retcode)
            self.last[text] = retcode
            if retcode in UNKNOWN:
                unknown += 1
                self.doubt.setdefault(text, (started_at, time.monotonic()))
            if retcode == 0:
                return
            await asyncio.sleep(AGAIN_S)


async def r10(run: Run) -> list[Row]:
    """Half of the bots by HTTP, half by WebSocket; two replicas of a moody connector."""
    count = 240 if run.quick else 10_000
    tally = Tally()
    async with stage(run.folder) as made:
        for name in NAMES:
            made.add(name, "connector", "sandbox", planted="moody")
        made.add("bots", "frontend", "http", "ws")
        await made.start()
        await made.account("bots").online()
        async with asyncio.TaskGroup() as group:
            breaking = group.create_task(_break(made, run, tally))
            spare = await _ask_all(made, tally, count)
            breaking.cancel()
        sent = await _sent(made.nats)
    return [_row(run, tally, sent, spare)]


async def _ask_all(made: Stage, tally: Tally, count: int) -> int:
    """All workers to their end; how many answers came that nobody had asked for."""
    base = f"{made['bots'].base}/sandbox/demo/onebot/v11"
    sockets: list[WsAsker] = []

    async def work(worker: int, asker: Asker) -> None:
        for number in range(count // WORKERS):
            await tally.act(asker, worker, number)
            await asyncio.sleep(PACE_S)

    async with asyncio.TaskGroup() as listening:
        async with asyncio.TaskGroup() as working:
            for worker in range(WORKERS):
                asker: Asker = HttpAsker(made.http, base)
                if worker % 2:
                    ws = await made.http.ws_connect(f"{base.replace('http', 'ws')}/api")
                    sockets.append(asker := WsAsker(ws))
                    listening.create_task(asker.listen())
                working.create_task(work(worker, asker))
        await asyncio.gather(*(socket.close() for socket in sockets))
    return sum(socket.spare for socket in sockets)


async def _break(made: Stage, run: Run, tally: Tally) -> None:
    """Stop the owner for a while, then kill it; again and again, or once."""
    draw = run.draw("faults")
    for fault in itertools.cycle(FAULTS) if not run.quick else FAULTS:
        await asyncio.sleep(draw.uniform(0.5, 1) if run.quick else draw.uniform(6, 12))
        owner = made[made.owner(NAMES, ONLINE)]
        if fault == "killed":
            tally.faults["killed"] += 1
            killed_at = await owner.kill()
            tally.killed_at.append(killed_at)
            others = [name for name in NAMES if name != owner.name]
            await made.taken_over(others, ONLINE, killed_at)
            await owner.start()
            continue
        tally.faults["stopped"] += 1
        owner.freeze()
        try:
            await asyncio.sleep(draw.uniform(0.5, 4))
        finally:
            owner.thaw()


async def _sent(nats: NatsServer) -> Counter[str]:
    """How often each text was really sent."""
    found: Counter[str] = Counter()

    def on_event(stored: Stored) -> None:
        if isinstance(stored.event, MessageSent) and isinstance(stored.event.segments[0], Text):
            found[stored.event.segments[0].text] += 1

    async with Bus(nats.options, "verdict") as bus:
        await bus.wait_ready(10)
        where = subjects.events_of(Account(Platform("sandbox"), AccountId("demo")))
        await Log(bus).scan([where], on_event, start=1)
    return found


def _row(run: Run, tally: Tally, sent: Counter[str], spare: int) -> Row:
    begun = set(Path(run.folder / NOTES).read_text().splitlines())
    double = sum(times > 1 for times in sent.values())
    missing = sum(not sent[text] for text, retcode in tally.last.items() if retcode == 0)
    unbegun = [text for text in tally.doubt if text not in begun]
    unfounded = sum(not tally.in_dead_hands(text) for text in unbegun)
    faults = ", ".join(f"{what} {times}×" for what, times in sorted(tally.faults.items()))
    return run.row(
        f"{len(tally.last):,} actions, their connector {faults}, slow and erring at random: exactly"
        f" 1 reply each ≤ {DEADLINE_S + MARGIN_S} s; unknown only if the platform call had begun"
        " or the connector was killed with the call in its hands; tried again with the same key: 0"
        " double sends",
        f"{len(tally.first):,} answered, {spare} answers too many, the slowest after"
        f" {tally.slowest_s:.1f} s; first {_told(tally.first)}; after trying again"
        f" {_told(tally.last)}; {len(tally.doubt)} ever unknown, {len(unbegun)} of them not begun,"
        f" {unfounded} of these not in the hands of one that was killed; {double} sent twice,"
        f" {missing} said to be sent and not there",
        not (spare or double or missing or unfounded)
        and tally.slowest_s <= DEADLINE_S + MARGIN_S
        and set(FAULTS) == set(tally.faults)
        and set(tally.last.values()) <= {0, *UNKNOWN},
    )


def _told(answers: Mapping[str, int]) -> str:
    counts = Counter(answers.values())
    return " ".join(f"{retcode}×{times}" for retcode, times in sorted(counts.items()))


SCENARIOS = [Scenario("R10", r10)]
