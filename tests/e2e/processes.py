"""Real processes for end-to-end tests: onebus in any of its roles, and bots."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

BIN = Path(sys.executable).parent
READY_S = 30.0


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """A process and what it printed so far; `heard_at` has the moment of each line."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.process = process
        self.lines: list[str] = []
        self.heard_at: list[float] = []
        self._grew = asyncio.Condition()
        self._reading = asyncio.ensure_future(self._read())

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            async with self._grew:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.heard_at.append(time.monotonic())
                self._grew.notify_all()
        async with self._grew:
            self._grew.notify_all()

    async def says(self, text: str, timeout_s: float = READY_S, *, after: int = 0) -> str:
        """Wait for a line that contains a text; fails with the whole output if none comes."""
        try:
            async with asyncio.timeout(timeout_s), self._grew:
                while True:
                    for line in self.lines[after:]:
                        if text in line:
                            return line
                    if self._reading.done() or self.process.returncode is not None:
                        raise AssertionError(f"{self.name} ended:\n{self.output}")
                    await self._grew.wait()
        except TimeoutError:
            raise AssertionError(f"{self.name} never said {text!r}:\n{self.output}") from None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, timeout_s: float = 20) -> int:
        code = await asyncio.wait_for(self.process.wait(), timeout_s)
        await self._reading
        return code

    async def kill(self) -> None:
        """`kill -9`."""
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()

    async def stop(self) -> int:
        """SIGTERM, and an orderly end."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            return await self.ended()
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"{self.name} did not end:\n{self.output}") from None


async def spawn(name: str, *command: str, env: dict[str, str] | None = None) -> Running:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
    )
    return Running(name, process)


@asynccontextmanager
async def onebus(*arguments: str, env: dict[str, str] | None = None) -> AsyncIterator[Running]:
    """`onebus ARGUMENTS` until the block ends."""
    running = await spawn(" ".join(arguments[:2]), str(BIN / "onebus"), *arguments, env=env)
    try:
        yield running
    finally:
        await running.stop()


def write_config(path: Path, **changes: Any) -> Path:
    """A configuration with one sandbox account, a free port, and these changes on top."""
    config: dict[str, Any] = {
        "port": free_port(),
        "log_level": "debug",
        "bus": {"sync_interval": "2m"},
        "general": {"onebot.v11": {"use_http": True, "use_ws": True}},
        "sandbox.demo": {},
    }
    config.update({key.replace("__", "."): value for key, value in changes.items()})
    path.write_text(yaml.safe_dump(config))
    return path


class Account:
    """An account's OneBot endpoint and its sandbox, over HTTP."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base: str,
        account: str = "demo",
        *,
        sandbox_base: str = "",
        platform: str = "sandbox",
        token: str = "",
    ) -> None:
        self.http = http
        self.base = f"{base}/{platform}/{account}"
        self.sandbox = f"{sandbox_base or base}/{platform}/{account}"
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def call(self, action: str, **params: Any) -> dict[str, Any]:
        url = f"{self.base}/onebot/v11/{action}"
        async with self.http.post(url, json=params, headers=self.headers) as response:
            body = await response.read()
            assert response.status in (200, 404), (response.status, body)
            answer: dict[str, Any] = json.loads(body)
            return answer

    async def ok(self, action: str, **params: Any) -> Any:
        answer = await self.call(action, **params)
        assert (answer["status"], answer["retcode"]) == ("ok", 0), answer
        return answer["data"]

    async def online(self, timeout_s: float = READY_S) -> None:
        """Wait until somebody serves the account."""
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    answer = await self.call("get_status")
                    if (answer.get("data") or {}).get("good"):
                        return
                except (aiohttp.ClientError, AssertionError):
                    pass
                await asyncio.sleep(0.05)

    async def say(self, message: Any, user: str = "alice", group: str | None = None) -> str:
        """Somebody writes in the sandbox; returns the native message id."""
        body = {"user": user, "message": message} | ({"group": group} if group else {})
        async with self.http.post(f"{self.sandbox}/api/messages", json=body) as response:
            assert response.status == 200, (response.status, await response.text())
            return str((await response.json())["message_id"])

    async def messages(self, **where: str) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.sandbox}/api/messages", params=where) as response:
            assert response.status == 200, (response.status, await response.text())
            found: list[dict[str, Any]] = (await response.json())["messages"]
            return found

    async def wait_for_messages(
        self, count: int, timeout_s: float = 15, **where: str
    ) -> list[dict[str, Any]]:
        async with asyncio.timeout(timeout_s):
            while len(found := await self.messages(**where)) < count:
                await asyncio.sleep(0.05)
        return found

    async def ws(self, path: str = "") -> "Bot":
        """Connect as a bot does: a frontend that has just started says 503, try again."""
        url = f"ws{self.base.removeprefix('http')}/onebot/v11{path}"
        async with asyncio.timeout(READY_S):
            while True:
                try:
                    return Bot(await self.http.ws_connect(url, headers=self.headers))
                except aiohttp.WSServerHandshakeError as refused:
                    if refused.status != 503:
                        raise
                await asyncio.sleep(0.1)


class Bot:
    """A raw OneBot WebSocket client."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.events: list[dict[str, Any]] = []
        self._echo = 0

    async def frame(self, timeout_s: float = 15) -> dict[str, Any]:
        frame: dict[str, Any] = await self.ws.receive_json(timeout=timeout_s)
        return frame

    async def event(self, timeout_s: float = 15) -> dict[str, Any]:
        """The next event that is no meta event."""
        if self.events:
            return self.events.pop(0)
        while True:
            frame = await self.frame(timeout_s)
            if "post_type" in frame and frame["post_type"] != "meta_event":
                return frame

    async def call(self, action: str, **params: Any) -> dict[str, Any]:
        self._echo += 1
        await self.ws.send_json({"action": action, "params": params, "echo": self._echo})
        while True:
            frame = await self.frame()
            if frame.get("echo") == self._echo:
                return frame
            if frame.get("post_type") not in (None, "meta_event"):
                self.events.append(frame)

    async def close(self) -> None:
        await self.ws.close()
