"""Row 5, first half: what more frontend processes carry, each with the bots of its own accounts.

One process stands for the floor here. All of them, NATS, the sandbox and the load share the
machine, so that the rate can grow only until its processors are used up. What holds wherever there
are more of them is *carries*: as many times the load of one as the processes can take together, by
what an operation costs one and what it costs all of them.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from tests.bench.group import Group, Run
from tests.bench.load.http import http_load
from tests.bench.load.idle import Idle, idle
from tests.bench.measure import Load, Side
from tests.bench.programs import nats_pid
from tests.bench.row import Bars, Row
from tests.bench.rows.actions import SEND, TEXT
from tests.e2e.faults.stage import Stage, stage

ACCOUNTS = 4
COUNTS = (2, 4)
CARRIES = {2: 1.7}
"""How many times the load of one so many must carry."""
CALLERS = 2
"""Connections of the load for each process: so few that it does one thing after the other, however
many there are. What doing several at once saves is less on a busy machine, and would be counted.
"""
SOCKETS = 100
ALONE = "alone"
"""The process that the others are compared with. It has accounts of its own."""
LOOK_S = 0.01
CAUGHT_UP_S = 30.0
READ = "get_stranger_info"


class Share(Struct, frozen=True):
    """What one process of some has: the accounts whose bots are here."""

    name: str
    base: str
    accounts: Sequence[str]


class Cast:
    """A sandbox, a frontend alone, and so many others. `one` and `many` are who has what."""

    def __init__(self, folder: Path, made: Stage, count: int) -> None:
        self._folder = folder
        self._made = made
        for name in (ALONE, *(f"frontend{number}" for number in range(count))):
            made.add(name, "frontend", "http", "ws")
        made.add("sandbox", "connector", "sandbox")

    async def start(self) -> None:
        """All of them, every account online, and someone known to each."""
        await self._made.start()
        for account in (
            a for share in (*self.many(COUNTS[-1]), *self.one()) for a in share.accounts
        ):
            await self._made.account(ALONE, account=account).online()
            await self._made.account(ALONE, account=account).ok(SEND, user_id="alice", message=TEXT)

    def one(self) -> list[Share]:
        """One process has the bots of as many accounts as all others together."""
        return [Share(ALONE, self._made[ALONE].base, [f"a{n}" for n in range(ACCOUNTS)])]

    def many(self, count: int) -> list[Share]:
        """So many processes, each with its part."""
        accounts = [f"b{number}" for number in range(ACCOUNTS)]
        names = [name for name in self._made.members if name.startswith("frontend")][:count]
        return [
            Share(name, self._made[name].base, accounts[number::count])
            for number, name in enumerate(names)
        ]

    def actions(self, name: str, params: dict[str, Any], shares: list[Share]) -> Side:
        """Calls of the bots of all accounts."""
        works = []
        for share in shares:
            paths = [f"/sandbox/{account}/onebot/v11/{name}" for account in share.accounts]
            body = self._lines(f"{name}-{len(shares)}-{share.name}", paths, params)
            works.append(partial(http_load, share.base, body, CALLERS))
        return Side(self._pids(shares), partial(_together, works))

    async def events(self, stack: AsyncExitStack, shares: list[Share]) -> Side:
        """People write to all accounts, each of which has as many bots that listen."""
        accounts = [(share, account) for share in shares for account in share.accounts]
        urls = [
            f"ws{share.base.removeprefix('http')}/sandbox/{account}/onebot/v11/event"
            for share, account in accounts
        ]
        bots = await stack.enter_async_context(idle(SOCKETS, *urls))
        paths = [f"/sandbox/{account}/api/messages" for _, account in accounts]
        body = self._lines(f"events-{len(shares)}", paths, {"user": "alice", "message": TEXT})
        load = partial(http_load, self._made["sandbox"].base, body, CALLERS * len(shares))
        return Side(self._pids(shares), partial(_until_all_have_it, load, bots))

    def _pids(self, shares: list[Share]) -> dict[str, int]:
        used = ["sandbox", *(share.name for share in shares)]
        return {name: self._made[name].pid for name in used} | {"nats": nats_pid(self._made.nats)}

    def _lines(self, name: str, paths: list[str], body: dict[str, Any]) -> Path:
        file = self._folder / f"{name}.jsonl"
        text = msgspec.json.encode(body).decode()
        file.write_text("".join(f"{path}\t{text}\n" for path in paths))
        return file


async def _together(works: Sequence[Any], seconds: float) -> Load:
    """Loads at the same time as one; the latencies are those of the slowest."""
    loads = await asyncio.gather(*(work(seconds) for work in works))
    return Load(
        operations=sum(load.operations for load in loads),
        seconds=max(load.seconds for load in loads),
        p50_ms=max(load.p50_ms for load in loads),
        p99_ms=max(load.p99_ms for load in loads),
    )


async def _until_all_have_it(load: Any, bots: Idle, seconds: float) -> Load:
    """An event is done when every bot of its account has it."""
    loop = asyncio.get_running_loop()
    before, began_at = await bots.frames(), loop.time()
    done: Load = await load(seconds)
    each = SOCKETS // ACCOUNTS
    async with asyncio.timeout(CAUGHT_UP_S):
        while await bots.frames() < before + done.operations * each:
            await asyncio.sleep(LOOK_S)
    return Load(done.operations, loop.time() - began_at)


async def measure(run: Run) -> list[Row]:
    """Rows of calls that read and that send, and of events, for each number of processes."""
    accounts: dict[str, Any] = {
        f"sandbox__{kind}{number}": {} for kind in "ab" for number in range(ACCOUNTS)
    }
    counts = COUNTS[:1] if run.quick else COUNTS
    rows: list[Row] = []
    async with stage(run.folder / "onebus", sync="2m", **accounts) as made:
        cast = Cast(run.folder, made, counts[-1])
        await cast.start()
        for count in counts:
            rows += await _rows(run, cast, count)
    return rows


async def _rows(run: Run, cast: Cast, count: int) -> list[Row]:
    one, many = cast.one(), cast.many(count)
    calls = {READ: {"user_id": "alice"}, SEND: {"user_id": "alice", "message": TEXT}}
    if run.quick:
        del calls[SEND]
    rows: list[Row] = []
    for action, params in calls.items():
        name = f"{action} by {count} frontends, beside one"
        ours, below = (cast.actions(action, params, shares) for shares in (many, one))
        rows += _judged(await run.compare(name, ours, below, Bars()), count)
    async with AsyncExitStack() as stack:
        name = f"events to {SOCKETS} sockets by {count} frontends, beside one"
        below, ours = await cast.events(stack, one), await cast.events(stack, many)
        rows += _judged(await run.compare(name, ours, below, Bars()), count)
    return rows


def _judged(rows: list[Row], count: int) -> list[Row]:
    """With what they carry, by the processor time of frontends alone."""
    bar = CARRIES.get(count)
    return [
        replace(
            row,
            figures={"carries": (carries := count * _cost(row.floor_cpu_us_each) / cost)},
            goal=f"carries ≥ {bar:g} ×" if bar else None,
            met=carries >= bar if bar else None,
        )
        for row in rows
        if (cost := _cost(row.cpu_us_each))
    ]


def _cost(each: dict[str, float]) -> float:
    return sum(cpu for name, cpu in each.items() if name.startswith(("frontend", ALONE)))


GROUPS = [Group(5, "processes", measure)]
