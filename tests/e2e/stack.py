"""NATS and the sandbox as processes, for tests whose frontends come and go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from tests.e2e.nats_server import NatsServer, nats_server
from tests.e2e.processes import (
    BIN,
    READY_S,
    Account,
    Running,
    free_port,
    onebus,
    spawn,
    write_config,
)

from onebus.bucket import Bucket
from onebus.bus import Bus


class Up:
    """NATS and the platform, which outlive the frontends of the tests."""

    def __init__(self, folder: Path, nats: NatsServer, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.nats = nats
        self.http = http
        self.base = ""

    def account(self, name: str) -> Account:
        return Account(self.http, self.base, name)

    async def open(self, name: str) -> None:
        """Wait until the platform serves an account."""
        async with asyncio.timeout(READY_S):
            while True:
                async with self.http.get(f"{self.account(name).sandbox}/api/state") as response:
                    if response.status == 200:
                        return
                await asyncio.sleep(0.05)

    def config(self, name: str, **block: Any) -> Path:
        changes = {f"sandbox__{name}": {"onebot.v11": block}, "bus": self.nats.settings}
        path = self.folder / f"{name}-{free_port()}.yaml"
        return write_config(path, general={"onebot.v11": {"use_http": False}}, **changes)

    @asynccontextmanager
    async def frontend(self, role: str, name: str, **block: Any) -> AsyncIterator[Running]:
        """One frontend for one account's bots."""
        async with onebus("frontend", role, "-c", str(self.config(name, **block))) as running:
            yield running

    async def cursors(self) -> dict[str, str]:
        """The places of all targets."""
        async with Bus(self.nats.options, "test") as bus:
            await bus.wait_ready(10)
            entries = await Bucket(bus, "cursors").entries("target")
        return {entry.key: entry.value.decode() for entry in entries}

    async def put_cursor(self, key: str, place: str) -> None:
        async with Bus(self.nats.options, "test") as bus:
            await bus.wait_ready(10)
            await Bucket(bus, "cursors").put(key, place.encode())

    async def forget(self) -> None:
        """Remove all that is stored, as a log does that has become too large."""
        async with Bus(self.nats.options, "test") as bus:
            await bus.wait_ready(10)
            await bus.api(f"STREAM.PURGE.{bus.prefix}_events")

    async def dead_letters(self, account: str) -> list[str]:
        """What the command says of an account."""
        config = self.config(account)
        running = await spawn(
            "dead-letters", str(BIN / "onebus"), "dead-letters", "-c", str(config)
        )
        assert await running.ended() == 0, running.output
        return [line for line in running.lines if f"  sandbox.{account}  " in line]


@asynccontextmanager
async def stack(folder: Path, *names: str) -> AsyncIterator[Up]:
    """What serves these accounts, without a frontend."""
    accounts: dict[str, Any] = {f"sandbox__{name}": {} for name in names}
    async with nats_server(folder / "nats") as nats, aiohttp.ClientSession() as http:
        config = write_config(folder / "config.yaml", bus=nats.settings, **accounts)
        there = Up(folder, nats, http)
        async with onebus("connector", "sandbox", "-c", str(config)) as connector:
            line = await connector.says("listening on")
            there.base = f"http://{line.rsplit(maxsplit=1)[1]}"
            for name in names:
                await there.open(name)
            yield there
