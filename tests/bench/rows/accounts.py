"""Row 6, first half: many accounts in one connector and one frontend.

What stands for the floor here is onebus itself with one account, in the same run. Then the bots of
all accounts come back at once, while people write.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from tests.bench.group import Group, Run
from tests.bench.load.http import http_load
from tests.bench.load.idle import idle
from tests.bench.measure import Load, Side, cpu_s
from tests.bench.programs import onebus, pids
from tests.bench.row import Bars, Row
from tests.bench.rows.actions import SEND, TEXT, check_answers
from tests.e2e.faults.stage import Stage
from tests.e2e.faults.watch import rss_kib

COUNTS = (100, 1_000)
BARS = Bars(ratio=0.9)
CONNECTIONS = 16
SPEAKERS = 2
STORM_S = 5.0
WATCH_S = 5.0
PATIENCE_S = 120.0
CHATS = 100

Loader = Callable[[float], Coroutine[Any, Any, Load]]


class House(Struct, frozen=True):
    """A stage, and the names of its accounts."""

    folder: Path
    made: Stage
    accounts: list[str]

    def talk(self, path: str, whom: str, connections: int, member: str) -> Loader:
        """Messages to or from (`whom`) people of each account in turn, CHATS or more in all.

        One chat takes one after the other, whoever serves it.
        """
        lines = []
        for account, user in self._people():
            body = msgspec.json.encode({whom: user, "message": TEXT}).decode()
            lines.append(f"{path.format(account)}\t{body}\n")
        file = self.folder / f"{member}.jsonl"
        file.write_text("".join(lines))
        return partial(http_load, self.made[member].base, file, connections)

    def sends(self) -> Side:
        """Messages of the bots of all accounts, each answered when the log has it."""
        path = f"/sandbox/{{}}/onebot/v11/{SEND}"
        return Side(pids(self.made), self.talk(path, "user_id", CONNECTIONS, "frontend"))

    async def online(self) -> None:
        """Wait until all accounts are, and each has its people."""
        for name, user in self._people():
            account = self.made.account("frontend", account=name)
            await account.online(PATIENCE_S)
            await account.ok(SEND, user_id=user, message=TEXT)

    def _people(self) -> Iterator[tuple[str, str]]:
        for number in range(max(CHATS, len(self.accounts))):
            yield self.accounts[number % len(self.accounts)], f"u{number // len(self.accounts)}"


async def measure(run: Run) -> list[Row]:
    """Rates, memory, and the storm, for each number of accounts."""
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        one = await _house(stack, run.folder / "one", 1)
        for count in COUNTS[:1] if run.quick else COUNTS:
            async with AsyncExitStack() as inner:
                many = await _house(inner, run.folder / str(count), count)
                rows += await _rows(run, many, one, count)
    return rows


async def _rows(run: Run, many: House, one: House, count: int) -> list[Row]:
    rows: list[Row] = []
    name = f"{count:,} accounts, idle"
    if run.wants(name) and not run.quick:
        rows.append(await _idle(name, many, one, count))
    name = f"{SEND} of {count:,} accounts in turn, beside one"
    rows += await run.compare(name, many.sends(), one.sends(), BARS)
    await check_answers(many.made)
    name = f"bots of {count:,} accounts come back at once"
    if run.wants(name) and not run.quick:
        rows.append(await _storm(name, many))
    return rows


async def _house(stack: AsyncExitStack, folder: Path, count: int) -> House:
    accounts = [f"a{number}" for number in range(count)]
    config: dict[str, Any] = {f"sandbox__{name}": {} for name in accounts}
    made = await stack.enter_async_context(onebus(folder, "ws", config=config))
    house = House(folder, made, accounts)
    await house.online()
    return house


async def _idle(name: str, many: House, one: House, count: int) -> Row:
    """What each account beyond the first takes of memory and of a processor, while nothing is."""
    names = ("sandbox", "frontend", "nats")
    mine, theirs = pids(many.made), pids(one.made)
    before = {n: (cpu_s(mine[n]), cpu_s(theirs[n])) for n in names}
    await asyncio.sleep(WATCH_S)
    figures: dict[str, float] = {}
    for n in names:
        kib = (rss_kib(mine[n]) - rss_kib(theirs[n])) / count
        busy_s = cpu_s(mine[n]) - before[n][0] - (cpu_s(theirs[n]) - before[n][1])
        figures[f"{n} KiB each"] = kib
        figures[f"{n} % of a core"] = 100 * busy_s / WATCH_S
    return Row(name=name, figures=figures)


async def _storm(name: str, many: House) -> Row:
    """Their connections, and what it means for who writes meanwhile."""
    write = many.talk("/sandbox/{}/api/messages", "user", SPEAKERS, "sandbox")
    base = f"ws{many.made['frontend'].base.removeprefix('http')}"
    urls = [f"{base}/sandbox/{account}/onebot/v11" for account in many.accounts]
    loop = asyncio.get_running_loop()
    async with idle(len(urls), *urls):
        quiet: Load = await write(STORM_S)
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write(STORM_S))
        began_at = loop.time()
        async with idle(len(urls), *urls):
            back_s = loop.time() - began_at
            busy: Load = await writing
    figures = {"all back after s": back_s, "append p99 ms before": quiet.p99_ms or 0}
    return Row(name=name, rate=busy.rate, p50_ms=busy.p50_ms, p99_ms=busy.p99_ms, figures=figures)


GROUPS = [Group(6, "accounts", measure)]
