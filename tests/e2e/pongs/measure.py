"""Measures how long real clients take to answer a ping while they are busy.

Arguments are commands of further clients, as `a-program {url}`: they connect to the URL, and print
"begins N" when they begin with message N.
"""

import asyncio
import shlex
import sys
from contextlib import AbstractAsyncContextManager
from functools import partial

from tests.e2e.pongs.busy import CLIENTS, Busy, Client, forward
from tests.e2e.processes import Running, spawn

BUSY_S = 10
MANY = 1_000
CASES = ("idle", f"await {BUSY_S}", f"block {BUSY_S}")


async def main() -> None:
    print("| client | idle | handler awaits 10 s | handler blocks 10 s | 1,000 events ahead |")
    print("| --- | --- | --- | --- | --- |")
    others: dict[str, Client] = {command: partial(_other, command) for command in sys.argv[1:]}
    clients = {**CLIENTS, **others}
    for name, client in clients.items():
        took = []
        for case in CASES:
            async with client() as busy:
                took.append(await _while(busy, case))
        async with client() as busy:
            took.append(await _behind(busy))
        print(f"| {name} | {' | '.join(f'{seconds:.3f} s' for seconds in took)} |", flush=True)


def _other(command: str) -> AbstractAsyncContextManager[Busy]:
    async def start(port: int) -> Running:
        words = shlex.split(command.format(url=f"ws://127.0.0.1:{port}/"))
        return await spawn(words[0], *words)

    return forward(start)


async def _while(busy: Busy, case: str) -> float:
    await busy.began(await busy.event(case))
    return await busy.ping()


async def _behind(busy: Busy) -> float:
    for _ in range(MANY):
        await busy.event("idle")
    return await busy.ping()


if __name__ == "__main__":
    asyncio.run(main())
