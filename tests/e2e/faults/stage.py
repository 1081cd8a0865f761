"""A stage: a real nats-server, and onebus in processes that can be killed and started by name.

Every process has a port of its own for ever, outside the range of ports that the system gives
away, so that a bot or a load generator finds it again. Nothing is evicted from the log.
"""

import asyncio
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from tests.e2e.nats_server import NatsServer, nats_server
from tests.e2e.processes import BIN, READY_S, Account, Running, spawn, write_config

from onebus.setup import Storage

ROOT = Path(__file__).parents[3]
PLENTY = Storage(max_messages=10_000_000, max_bytes=16 << 30)
"""Retention under which nothing is evicted while we look."""
LOWEST_PORT, HIGHEST_PORT = 10_240, 32_000

_taken: set[int] = set()


def stable_port() -> int:
    """A port that no outgoing connection can take while its server is down."""
    draw = random.Random(os.urandom(8))  # not of the seed: runs beside each other must differ
    while True:
        port = draw.randrange(LOWEST_PORT, HIGHEST_PORT)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _taken:
            _taken.add(port)
            return port


class Member:
    """One process by name: the same command, configuration and port each time it is started."""

    def __init__(self, name: str, command: tuple[str, ...], port: int) -> None:
        self.name = name
        self.command = command
        self.port = port
        self.running: Running | None = None
        self.past: list[Running] = []
        self.killed = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.now.process.pid

    @property
    def alive(self) -> bool:
        return self.running is not None and self.running.process.returncode is None

    @property
    def now(self) -> Running:
        """The process that runs."""
        assert self.running, f"{self.name} does not run"
        return self.running

    async def start(self, *, ready: bool = True) -> float:
        """Start it, again perhaps; returns the seconds until it listened and had NATS."""
        assert not self.alive, f"{self.name} runs already"
        started_at = time.monotonic()
        self.running = await spawn(self.name, *self.command, env={"PYTHONPATH": str(ROOT)})
        self.past.append(self.running)
        if ready:
            await self.running.says("listening on")
            await self.running.says("connected to NATS")
        return time.monotonic() - started_at

    async def kill(self) -> float:
        """`kill -9`; returns the moment."""
        killed_at = time.monotonic()
        self.killed += 1
        await self.now.kill()
        return killed_at

    async def stop(self, timeout_s: float = 20) -> tuple[int, float]:
        """SIGTERM; the exit code, and how many seconds it took."""
        started_at = time.monotonic()
        self.now.signal(signal.SIGTERM)
        code = await self.now.ended(timeout_s)
        return code, time.monotonic() - started_at

    def freeze(self) -> None:
        """SIGSTOP: it does nothing, and its sockets stay open."""
        self.now.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.now.signal(signal.SIGCONT)

    def last_said(self, text: str) -> float:
        """When the process that runs last printed a line with this text; 0 for never."""
        if not self.alive:
            return 0.0
        heard = zip(self.now.lines, self.now.heard_at, strict=True)
        return max((at for line, at in heard if text in line), default=0.0)

    async def end(self) -> None:
        """Whatever state it is in, it ends."""
        if self.running and self.alive:
            self.thaw()
            await self.running.stop()

    @property
    def faults(self) -> list[str]:
        """What no process may ever print."""
        marks = ("Traceback", "fault in", "was never awaited", "never retrieved")
        lines = [line for running in self.past for line in running.lines]
        return [f"{self.name}: {line}" for line in lines if any(mark in line for mark in marks)]


class Stage:
    """The members, and how to reach them; use `stage`."""

    def __init__(
        self, folder: Path, nats: NatsServer, http: aiohttp.ClientSession, config: dict[str, Any]
    ) -> None:
        self.folder = folder
        self.nats = nats
        self.http = http
        self.members: dict[str, Member] = {}
        self._config = config

    def add(self, name: str, *arguments: str, planted: str = "", **changes: Any) -> Member:
        """A process to be, `onebus ARGUMENTS`; `planted` names a fault of `planted.py` in it."""
        port = stable_port()
        settings = {"log_level": "info", "bus": self.nats.settings, **self._config, **changes}
        config = write_config(self.folder / f"{name}.yaml", port=port, **settings)
        config.chmod(0o600)
        start: tuple[str, ...] = (str(BIN / "onebus"),)
        if planted:
            start = (sys.executable, "-m", "tests.e2e.faults.planted", planted)
        self.members[name] = Member(name, (*start, *arguments, "-c", str(config)), port)
        return self.members[name]

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    async def start(self, *names: str) -> None:
        """Start these side by side, or all that do not run."""
        wanted = names or [name for name, member in self.members.items() if not member.alive]
        async with asyncio.TaskGroup() as group:
            for name in wanted:
                group.create_task(self.members[name].start())

    def account(self, frontend: str, sandbox: str = "sandbox", account: str = "demo") -> Account:
        """The account's OneBot endpoint at one member, and its sandbox at another."""
        at = self.members[sandbox].base
        return Account(self.http, self.members[frontend].base, account, sandbox_base=at)

    def owner(self, names: Collection[str], says: str) -> str:
        """Which of these replicas was the last to say that it serves: `online as`, `connected`…"""
        return max(names, key=lambda name: self.members[name].last_said(says))

    async def taken_over(self, names: Collection[str], says: str, since: float) -> float:
        """Wait until one of these says that it serves; the seconds from `since` until then."""
        async with asyncio.timeout(READY_S):
            while (at := max(self.members[name].last_said(says) for name in names)) <= since:
                await asyncio.sleep(0.02)
        return at - since

    async def close(self) -> None:
        """End all, keep what they printed, and fail on what none may print."""
        async with asyncio.TaskGroup() as group:
            for member in self.members.values():
                group.create_task(member.end())
        for member in self.members.values():
            output = "\n--- started again ---\n".join(r.output for r in member.past)
            (self.folder / f"{member.name}.log").write_text(output)
        if self.nats.running:
            (self.folder / "nats.log").write_text(self.nats.running.output)

    @property
    def faults(self) -> list[str]:
        """Tracebacks and their like, of all members."""
        return [line for member in self.members.values() for line in member.faults]


@asynccontextmanager
async def stage(folder: Path, *, sync: str = "always", **config: Any) -> AsyncIterator[Stage]:
    """NATS, and a configuration for whoever is added; a traceback of any of them fails.

    `sync` is when NATS writes to the disk. `config` is as for `write_config`:
    `sandbox__demo={"onebot.v11": {…}}` is an account.
    """
    folder.mkdir(parents=True, exist_ok=True)
    async with (
        nats_server(folder / "nats", port=stable_port(), storage=PLENTY, sync=sync) as nats,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        made = Stage(folder, nats, http, config)
        try:
            yield made
        finally:
            await made.close()
    assert not made.faults, "\n".join(made.faults[:20])
