"""R17: integers for a million native ids, in two processes and through the real bucket."""

import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import NamedTuple, TypeVar

from tests.e2e.faults.native_ids import NativeId, fingerprint, native_ids
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.nats_server import NatsServer, nats_server

from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.errors import BusTimeout
from onebus.idmap import AT_ONCE, IdMap, Kind

T = TypeVar("T")

SAFE = (1 << 53) - 1
OTHER_PROCESS_S = 120
BATCH = 5_000
TRIES = 5
NOT_POWER = "2m"
"""A killed process takes nothing from the disk's cache with it, and a million syncs take long."""


class Trip(NamedTuple):
    """How many ids were stored and found again, of how many, at which rate."""

    back: int
    agreed: int
    rate: float


async def r17(run: Run) -> list[Row]:
    """Numbers are computed, stored, and asked for again; the short form stores a part."""
    count, stored = (20_000, 4_000) if run.quick else (1_000_000, 1_000_000)
    seed = run.draw().getrandbits(32)
    ids = list(native_ids(seed, count))
    numbers = [native.number for native in ids]
    distinct = len({(native.scope, native.kind, native.number) for native in ids})
    in_range = sum(0 < number <= SAFE for number in numbers)
    same = await _elsewhere(seed, count) == fingerprint(iter(numbers))
    async with nats_server(run.folder / "nats", sync=NOT_POWER) as server:
        trip = await _there_and_back(server, ids[:stored])
    good = distinct == in_range == count and same and trip.back == trip.agreed == stored
    return [
        run.row(
            f"{count:,} native ids: unique, 1 to 2^53 - 1, reversible, the same after a restart"
            " and at every replica",
            f"computed: {distinct:,} unique, {in_range:,} in range,"
            f" {'the same' if same else 'OTHERS'} in a second process;"
            f" {stored:,} of them through the bucket ({trip.rate:,.0f}/s):"
            f" after kill -9 of NATS {trip.agreed:,} the same at a new replica, {trip.back:,} back",
            good,
        )
    ]


async def _elsewhere(seed: int, count: int) -> str:
    """The fingerprint that a new process comes to."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.e2e.faults.native_ids", str(seed), str(count)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    printed, _ = await asyncio.wait_for(process.communicate(), OTHER_PROCESS_S)
    return printed.decode().strip()


async def _there_and_back(server: NatsServer, ids: list[NativeId]) -> Trip:
    """Give numbers at one replica; kill NATS; ask another both ways."""
    started_at = time.monotonic()
    async with Bus(server.options, "first") as bus:
        await bus.wait_ready(10)
        given = await _numbers(IdMap(Bucket(bus, "ids")), ids)
    rate = len(ids) / (time.monotonic() - started_at)
    await server.kill()
    await server.start()
    async with Bus(server.options, "second") as bus:
        await bus.wait_ready(10)
        # Back first: asked for the number, a replica would remember whose it is.
        back = await _led_back(IdMap(Bucket(bus, "ids")), given)
        again = await _numbers(IdMap(Bucket(bus, "ids")), ids)
    return Trip(back, sum(again[native] == number for native, number in given.items()), rate)


async def _numbers(ids: IdMap, natives: Iterable[NativeId]) -> dict[NativeId, int]:
    found: dict[NativeId, int] = {}
    for (scope, kind), names in _by_scope(natives).items():
        for first in range(0, len(names), BATCH):
            batch = await _patiently(
                partial(ids.numbers, scope, kind, names[first : first + BATCH])
            )
            found |= {NativeId(scope, kind, name): number for name, number in batch.items()}
    return found


async def _led_back(ids: IdMap, given: dict[NativeId, int]) -> int:
    """How many numbers lead to the id that they were given for."""
    pairs = list(given.items())
    count = 0
    for first in range(0, len(pairs), AT_ONCE):
        batch = pairs[first : first + AT_ONCE]
        asks = (partial(ids.native, n.scope, n.kind, number) for n, number in batch)
        found = await asyncio.gather(*(_patiently(ask) for ask in asks))
        count += sum(name == n.id for name, (n, _) in zip(found, batch, strict=True))
    return count


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again, as every caller does, when NATS takes too long: with a million keys it may."""
    for _ in range(TRIES):
        try:
            return await ask()
        except BusTimeout:
            continue
    return await ask()


def _by_scope(natives: Iterable[NativeId]) -> dict[tuple[str, Kind], list[str]]:
    names: defaultdict[tuple[str, Kind], list[str]] = defaultdict(list)
    for native in natives:
        names[native.scope, native.kind].append(native.id)
    return names


SCENARIOS = [Scenario("R17", r17)]
