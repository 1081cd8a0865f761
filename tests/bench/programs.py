"""What is compared: onebus as its roles on one nats-server, and the floor's programs on another."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.e2e.faults.stage import ROOT, Stage, stable_port, stage
from tests.e2e.nats_server import PASSWORD, USER, NatsServer
from tests.e2e.processes import Running, spawn

FLOOR = "tests.bench.floor"


@asynccontextmanager
async def onebus(
    folder: Path,
    *transports: str,
    sync: str = "2m",
    config: dict[str, Any] | None = None,
) -> AsyncIterator[Stage]:
    """A stage with `sandbox` and `frontend`, which has HTTP and these transports; both online.

    `sync` is when NATS writes to the disk, `config` as for `stage`.
    """
    async with stage(folder, sync=sync, **(config or {})) as made:
        made.add("sandbox", "connector", "sandbox")
        made.add("frontend", "frontend", *dict.fromkeys(("http", *transports)))
        await made.start()
        await made.account("frontend").online()
        yield made


class Floor:
    """The floor's programs by name, and where they are."""

    def __init__(self, nats: NatsServer) -> None:
        self.nats = nats
        self.running: dict[str, Running] = {}

    async def add(self, name: str, *arguments: str, program: str = "") -> None:
        """Start a program of `tests.bench.floor`, and wait until it says that it is ready."""
        nats = (self.nats.options.url, USER, PASSWORD)
        command = (sys.executable, "-m", f"{FLOOR}.{program or name}", *nats, *arguments)
        self.running[name] = await spawn(name, *command, env={"PYTHONPATH": str(ROOT)})
        await self.running[name].says("ready")

    @property
    def pids(self) -> dict[str, int]:
        """Of all of them, and of its nats-server."""
        found = {name: running.process.pid for name, running in self.running.items()}
        return found | {"nats": nats_pid(self.nats)}


@asynccontextmanager
async def floor(folder: Path, *, sync: str = "2m") -> AsyncIterator[Floor]:
    """A nats-server with the settings of onebus's, for programs that are added."""
    folder.mkdir(parents=True, exist_ok=True)
    server = NatsServer(folder, port=stable_port(), sync=sync)
    await server.start()
    made = Floor(server)
    try:
        yield made
    finally:
        for running in made.running.values():
            await running.kill()
        await server.kill()


def nats_pid(server: NatsServer) -> int:
    """The process of a server that runs."""
    assert server.running
    return server.running.process.pid


def pids(made: Stage) -> dict[str, int]:
    """The processes of a stage, its nats-server among them."""
    return {name: m.pid for name, m in made.members.items()} | {"nats": nats_pid(made.nats)}
