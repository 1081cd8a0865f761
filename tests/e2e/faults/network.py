"""A network that can be cut and delayed: namespaces with a firewall of their own, and a relay.

Needs root, `ip` (iproute2) and `iptables`. Without them whoever asks fails; nothing is skipped.
"""

import asyncio
import contextlib
import os
import random
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

COMMAND_S = 10.0
CLOSED_S = 2.0
ESTABLISHED = "01"
CHUNK = 1 << 16


async def system(*command: str) -> None:
    """Run a command of the system; raises RuntimeError with what it said when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), COMMAND_S)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {said.decode().strip()}")


class Namespace:
    """Another machine, so to speak: one address there, and one of ours that it sees."""

    def __init__(self) -> None:
        draw = random.Random(os.urandom(8))
        number = draw.randrange(1 << 14)
        self.name = f"onebus-{number:04x}"
        self.ours = f"10.{192 + (number >> 8)}.{number & 255}.1"
        self.there = f"10.{192 + (number >> 8)}.{number & 255}.2"
        self._link = f"ob{number:04x}"

    def command(self, *command: str) -> tuple[str, ...]:
        """How to run a command there; the process is the command's own."""
        return ("ip", "netns", "exec", self.name, *command)

    async def create(self) -> None:
        """Make it, with a link to us."""
        inner = f"{self._link}p"
        await system("ip", "netns", "add", self.name)
        await system(
            *("ip", "link", "add", self._link, "type", "veth", "peer", "name", inner),
            *("netns", self.name),
        )
        await system("ip", "addr", "add", f"{self.ours}/30", "dev", self._link)
        await system("ip", "link", "set", self._link, "up")
        await system(*self.command("ip", "addr", "add", f"{self.there}/30", "dev", inner))
        await system(*self.command("ip", "link", "set", inner, "up"))
        await system(*self.command("ip", "link", "set", "lo", "up"))
        await self.heal()  # fails here, not later, where there is no iptables

    async def destroy(self) -> None:
        """Remove it; the link goes with it."""
        await system("ip", "netns", "del", self.name)

    async def cut(self, port: int = 0) -> None:
        """Drop what goes either way over the link: all, or what goes to one of our ports."""
        for chain, side, direction in (("INPUT", "--sport", "-i"), ("OUTPUT", "--dport", "-o")):
            only = ("-p", "tcp", side, str(port)) if port else ()
            rule = ("-A", chain, direction, f"{self._link}p", *only, "-j", "DROP")
            await system(*self.command("iptables", "-w", *rule))

    async def heal(self) -> None:
        """Let all through again."""
        await system(*self.command("iptables", "-w", "-F"))


@asynccontextmanager
async def namespace() -> AsyncIterator[Namespace]:
    """One until the block ends."""
    made = Namespace()
    await made.create()
    try:
        yield made
    finally:
        await made.destroy()


def established(address: str, *, port: int, local: bool = False) -> int:
    """How many connections of this machine are open to an address; `port` is theirs, or ours."""
    wanted = f"{struct.unpack('<I', socket.inet_aton(address))[0]:08X}"
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, ours, theirs, state, *_ = line.split()
        at = (ours if local else theirs).rpartition(":")[2]
        count += theirs.startswith(wanted) and state == ESTABLISHED and int(at, 16) == port
    return count


class Relay:
    """Passes TCP on, late: `delay_s` each way and up to `jitter_s` more or less, in order."""

    def __init__(self, port: int, *, delay_s: float = 0, jitter_s: float = 0) -> None:
        self.connections = 0
        self._port = port
        self._delay_s = delay_s
        self._jitter_s = jitter_s
        self._draw = random.Random(port)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        self.connections += 1
        with contextlib.suppress(ConnectionError):
            back, forth = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                await asyncio.gather(self._pump(reader, forth), self._pump(back, writer))
            finally:
                await asyncio.gather(_closed(forth), _closed(writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read on while what was read waits: a delay is no loss of throughput."""
        waiting: deque[tuple[float, bytes]] = deque()
        more = asyncio.Event()
        writing = asyncio.ensure_future(self._write(waiting, more, writer))
        loop, due_s = asyncio.get_running_loop(), 0.0
        try:
            while chunk := await reader.read(CHUNK):
                jitter_s = self._draw.uniform(-self._jitter_s, self._jitter_s)
                due_s = max(due_s, loop.time() + self._delay_s + jitter_s)
                waiting.append((due_s, chunk))
                more.set()
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            writer.close()

    async def _write(
        self,
        waiting: deque[tuple[float, bytes]],
        more: asyncio.Event,
        writer: asyncio.StreamWriter,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while waiting:
                due_s, chunk = waiting.popleft()
                if (left_s := due_s - loop.time()) > 0:
                    await asyncio.sleep(left_s)
                writer.write(chunk)
                await writer.drain()
            more.clear()
            await more.wait()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), CLOSED_S)


@asynccontextmanager
async def relay(host: str, port: int, to: int, **lag: float) -> AsyncIterator[Relay]:
    """From an address to a port of this machine, until the block ends."""
    made = Relay(to, **lag)
    server = await asyncio.start_server(made.serve, host, port)
    try:
        yield made
    finally:
        server.close()
