"""A compose project on a real engine: started, asked, broken, and removed again.

Docker's commands block; a test that must not stand still meanwhile uses what is awaited.
"""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

ROOT = Path(__file__).parents[2]
LOG = ROOT / "build" / "compose.log"
CONFIG = ROOT / "deploy" / "compose" / "config.yaml"
IMAGE = "onebus-test"
ROLES = (
    "connector-sandbox",
    "frontend-http",
    "frontend-ws",
    "frontend-ws-reverse",
    "frontend-http-post",
)
SPEAKS_TO_NATS = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
s.settimeout(5)
s.sendall(b"CONNECT {}\\r\\nPING\\r\\n")
print(b"".join(iter(lambda: s.recv(4096), b"")).decode())
"""
"""What NATS says, at an address and port, to somebody who has no password."""
UP_S = 90.0
"""Within this everything must be healthy."""


class Stack(Struct, frozen=True):
    """The services of one project, behind their gateway on `port`."""

    project: str
    port: int
    environment: Mapping[str, str]
    files: tuple[str, ...] = ("docker-compose.yml",)

    @property
    def base(self) -> str:
        """What the gateway is called on this machine."""
        return f"http://127.0.0.1:{self.port}"

    def compose(self, *arguments: str) -> str:
        """Run docker compose on this project; what it printed, or a failure that shows it."""
        files = [part for file in self.files for part in ("--file", file)]
        # A developer's own .env must not decide what is tested.
        own = ["--project-name", self.project, "--env-file", os.devnull, *files]
        return docker("compose", *own, *arguments, environment=self.variables)

    @property
    def variables(self) -> dict[str, str]:
        """Those of the compose file."""
        return {"ONEBUS_IMAGE": IMAGE, "ONEBUS_PORT": str(self.port), **self.environment}

    async def later(self, *arguments: str) -> str:
        """`compose`, while others go on."""
        return await asyncio.to_thread(self.compose, *arguments)

    def start(self, *arguments: str) -> float:
        """`up` and wait until all is healthy; the seconds that it took."""
        started_at = time.monotonic()
        try:
            self.compose("up", "--detach", "--wait", "--wait-timeout", f"{UP_S:.0f}", *arguments)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.compose('logs', '--tail', '30')}") from failure
        return time.monotonic() - started_at

    def services(self, *services: str) -> list[dict[str, Any]]:
        """What compose says of the containers, those that ended included."""
        lines = self.compose("ps", "--all", "--format", "json", *services).splitlines()
        return [json.loads(line) for line in lines]

    def containers(self, service: str) -> list[str]:
        """Names of a service's containers that run, in the order of their numbers."""
        running = [c["Name"] for c in self.services(service) if c["State"] == "running"]
        return sorted(running, key=lambda name: int(name.rpartition("-")[2]))

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", container))
        return found[0]

    def down(self, *arguments: str) -> None:
        """Remove the containers; what they logged is added to build/compose.log."""
        LOG.parent.mkdir(exist_ok=True)
        with LOG.open("a") as log:
            log.write(self.compose("--profile", "*", "logs", "--no-color"))
        try:
            self.compose("--profile", "*", "down", "--timeout", "15", *arguments)
        except AssertionError as failure:
            # Engines of version 20.10 now and then keep the endpoint of a container that is gone,
            # until they are restarted (https://github.com/moby/moby/issues/43286): a network stays.
            left = self.compose("--profile", "*", "ps", "--all", "--quiet")
            if "has active endpoints" not in str(failure) or left:
                raise

    def remove(self) -> None:
        """Nothing of the project is left, its volumes included."""
        self.down("--volumes", "--remove-orphans")


def docker(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run docker; what it printed, or a failure that shows it."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}\n{done.stderr}"
    return done.stdout


def logged(container: str, since: datetime) -> list[str]:
    """What a container has said since a moment, each line behind its time."""
    command = ["docker", "logs", "--timestamps", "--since", since.isoformat(), container]
    said = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=True
    )
    return said.stdout.splitlines()


async def docker_later(*arguments: str) -> str:
    """`docker`, while others go on."""
    return await asyncio.to_thread(docker, *arguments)


def run_in(container: str, program: str, *arguments: str) -> str:
    """What a Python program prints in a container of our image."""
    return docker("exec", container, "python", "-c", program, *arguments)


def wait_for_line(container: str, text: str, timeout_s: float = 60) -> None:
    """Return when a container has logged a line with this text."""
    with subprocess.Popen(
        ["timeout", str(timeout_s), "docker", "logs", "--follow", container],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as logs:
        assert logs.stdout
        found = any(text in line for line in logs.stdout)
        os.killpg(logs.pid, signal.SIGKILL)
    assert found, f"{container} did not say {text!r}"


@contextmanager
def running(stack: Stack, *arguments: str) -> Iterator[Stack]:
    """A stack of this tree, on volumes of its own, until the block ends."""
    stack.remove()  # of a run that was killed
    try:
        stack.start(*arguments)
        yield stack
    finally:
        stack.remove()


def bridge_address() -> str:
    """Where containers reach this machine: what host.docker.internal is to them."""
    name = "host.docker.internal"
    begin = ("run", "--rm", "--add-host", f"{name}:host-gateway", "--entrypoint", "getent")
    return docker(*begin, IMAGE, "ahostsv4", name).split()[0]
