"""R13 across versions: streams are migrated and processes replaced while the old ones run."""

import asyncio
from typing import Any

import msgspec
from tests.e2e.faults.crowd import ROLES, Crowd, crowd
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import PLENTY
from tests.e2e.processes import BIN

from onebus.bus import Bus
from onebus.event import SCHEMA_VERSION
from onebus.log import Log
from onebus.setup import VERSION_KEY, set_up, wanted

RATE_PER_S = 200
BETWEEN_S = 1.0
OLDER = "older"
OLDER_WINDOW_NS = 5 * 10**9


class Versioned(msgspec.Struct):
    """Of a stored body, only the version of its schema."""

    v: int


async def upgrade(run: Run) -> list[Row]:
    """All is of the version before; the streams are migrated, and one process after another."""
    async with crowd(
        run.folder, rate_per_s=RATE_PER_S, planted=dict.fromkeys(ROLES, OLDER)
    ) as there:
        async with Bus(there.stage.nats.options, "upgrade") as bus:
            await bus.wait_ready(10)
            await _make_older(bus)
            async with asyncio.TaskGroup() as group:
                loading = group.create_task(there.load.run(3600))
                lines = await set_up(bus, PLENTY)
                for name in run.draw("order").sample(
                    list(there.stage.members), len(there.stage.members)
                ):
                    await asyncio.sleep(BETWEEN_S)  # versions beside each other, under load
                    await _replace(there, name)
                await asyncio.sleep(BETWEEN_S)
                there.load.stop()
                await loading
            await there.caught_up()
            versions = await _versions(bus)
        verdicts, log = there.verdicts(), await there.log_verdict()
    migrated = sum(not line.endswith("as it should be") for line in lines)
    none_twice = not log.repeated and not any(verdict.repeated for verdict in verdicts.values())
    clean = log.clean and all(verdict.clean for verdict in verdicts.values())
    both = set(versions) == {SCHEMA_VERSION - 1, SCHEMA_VERSION}
    return [
        run.row(
            f"from the version before to this one under {RATE_PER_S}/s, streams first and then each"
            " process: all migrated, both schemas in the log, 0 lost, 0 repeated, 0 doubled, 0"
            " inverted",
            f"{migrated} of {len(lines)} streams migrated; events by schema {versions};"
            f" {there.load.total} messages, log: {log}; "
            + "; ".join(f"{name}: {verdict}" for name, verdict in verdicts.items()),
            migrated == len(lines) and both and clean and none_twice,
        )
    ]


async def _make_older(bus: Bus) -> None:
    """Streams as a version before might have had them, with all that is in them."""
    for config in wanted(bus.prefix, PLENTY, 0):
        name: str = config["name"]
        existing: dict[str, Any] = (await bus.api(f"STREAM.INFO.{name}"))["config"]
        metadata = {VERSION_KEY: "0"}
        older = existing | {"duplicate_window": OLDER_WINDOW_NS, "metadata": metadata}
        await bus.api(f"STREAM.UPDATE.{name}", older)


async def _replace(there: Crowd, name: str) -> None:
    """The same process of this version, in place of the older one."""
    member = there.stage[name]
    await member.stop()
    planted = member.command.index(OLDER)
    member.command = (str(BIN / "onebus"), *member.command[planted + 1 :])
    await member.start()


async def _versions(bus: Bus) -> dict[int, int]:
    """How many events of the log have which version of the schema."""
    log, found = Log(bus), dict[int, int]()
    extent = await log.extent()
    for sequence in range(extent.first, extent.last + 1):
        if entry := await bus.at(log.stream, sequence):
            version = msgspec.json.decode(entry.body, type=Versioned).v
            found[version] = found.get(version, 0) + 1
    return found


SCENARIOS = [Scenario("R13-upgrade", upgrade)]
