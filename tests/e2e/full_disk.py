"""A NATS whose disk is full: what is said to a platform then, and what the log holds afterwards.

`survive` takes a way to fill the disk and to make room. `tmpfs` is a real small disk (Linux, as
root); `limited` is nats-server's own limit, which needs no right at all.
"""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import aiohttp
from msgspec import Struct
from tests.e2e.nats_server import NatsServer
from tests.e2e.processes import Account, Bot, Running, onebus, write_config
from tests.fakes.wechat_api import FakeWeChat
from tests.fakes.wechat_push import AES_KEY, WeChatPlatform

from onebus import subjects
from onebus.bus import Bus, StoreRefused
from onebus.event import MessageEvent
from onebus.log import Log
from onebus.segment import Text
from onebus.setup import Storage, wanted

BEFORE = 20
WHILE_FULL = 3
LONG = "x" * 6000
"""More than fits into what is left of the last page of a file: half of it would."""
DISK_MIB = 48
LIMIT_BYTES = 4 << 20
FILLER = {"name": "filler", "subjects": ["filler"], "storage": "file", "max_bytes": -1}


class Disk(Protocol):
    """Where NATS keeps its data. `restarts`: it takes nothing more until it is started anew."""

    folder: Path
    options: str
    restarts: bool

    async def fill(self, nats: NatsServer) -> None: ...

    async def make_room(self, nats: NatsServer) -> None: ...


class Report(Struct, frozen=True):
    """What came of it."""

    refused: list[int]
    """HTTP statuses of what was said while the disk was full."""
    refused_in_s: float
    back_in_s: float
    """From room (and a restart, where one is needed) to the first message that is taken."""
    accepted: list[str]
    logged: list[str]
    received: list[str]


class Tmpfs:
    """A file system of its own that a file fills to the last byte."""

    options = "max_file_store: 4GB"  # by default it is three quarters of the disk, and refuses us
    restarts = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filling = folder / "filling"

    async def fill(self, nats: NatsServer | None = None) -> None:
        command = ("dd", "if=/dev/zero", f"of={self._filling}", "bs=4k")
        await asyncio.to_thread(subprocess.run, command, check=False, stderr=subprocess.DEVNULL)

    async def make_room(self, nats: NatsServer) -> None:
        self.free()

    def free(self) -> None:
        self._filling.unlink()


@contextmanager
def tmpfs(folder: Path, size_mib: int = DISK_MIB) -> Iterator[Tmpfs]:
    """A small disk at a folder. Raises CalledProcessError where mounting is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder))
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield Tmpfs(folder)
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True)


def mounts() -> bool:
    """Whether a small disk can be had here; containers forbid it to root, too."""
    with TemporaryDirectory() as folder:
        try:
            with tmpfs(Path(folder)):
                return True
        except (subprocess.CalledProcessError, OSError):
            return False


class Limited:
    """A limit of nats-server for all its streams, used up by one of them."""

    options = f"max_file_store: {LIMIT_BYTES}"
    restarts = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def fill(self, nats: NatsServer) -> None:
        async with _bus(nats) as bus:
            await bus.api("STREAM.CREATE.filler", FILLER)
            for size in (100_000, 1_000, 1):
                try:
                    while True:
                        await bus.store("filler", bytes(size))
                except StoreRefused:
                    continue

    async def make_room(self, nats: NatsServer) -> None:
        async with _bus(nats) as bus:
            await bus.api("STREAM.DELETE.filler")


async def unreserved(bus: Bus) -> None:
    """Our streams without the room that is set aside for them: a small disk has not so much."""
    for stream in wanted(bus.prefix, Storage(), time.time()):
        await bus.api(f"STREAM.CREATE.{stream['name']}", stream | {"max_bytes": -1})


@asynccontextmanager
async def _bus(nats: NatsServer) -> AsyncIterator[Bus]:
    async with Bus(nats.options, "test") as bus:
        await bus.wait_ready(10)
        yield bus


async def survive(folder: Path, disk: Disk) -> Report:
    """Sandbox, WeChat and a bot, while the disk is full and when it has room again."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(FakeWeChat().serve())
        nats = NatsServer(disk.folder, disk.options)
        await nats.start()
        stack.push_async_callback(nats.kill)
        async with _bus(nats) as bus:
            await unreserved(bus)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        config = _config(folder, nats, api)

        async def start(*arguments: str) -> tuple[str, Running]:
            running = await stack.enter_async_context(onebus(*arguments, "-c", str(config)))
            line = await running.says("listening on")
            return f"http://127.0.0.1:{line.rpartition(':')[2]}", running

        sandbox, connector = await start("connector", "sandbox", "wechat")
        base, _ = await start("frontend", "http", "ws")
        account = Account(http, base, sandbox_base=sandbox)
        await account.online()
        return await _observe(nats, disk, account, connector)


def _config(folder: Path, nats: NatsServer, api: FakeWeChat) -> Path:
    wechat: dict[str, Any] = {
        "app_id": api.app_id,
        "app_secret": api.secret,
        "token": "webhook-token-canary",
        "encoding_aes_key": AES_KEY,
        "api_base": api.base,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    return write_config(path, bus=nats.settings, wechat__my_mp=wechat, port=0)


async def _observe(nats: NatsServer, disk: Disk, account: Account, connector: Running) -> Report:
    bot = await account.ws("/event")
    async with asyncio.TaskGroup() as group:
        # It reads all the time: a bot that answers no pings is taken for dead.
        reading = group.create_task(_collect(bot, 2 * BEFORE))
        accepted = [f"before {number}" for number in range(BEFORE)]
        for text in accepted:
            assert await _say(account, text) == 200
        await disk.fill(nats)
        began = time.monotonic()
        refused = await _refused(account)
        refused_in_s = time.monotonic() - began
        await connector.says("NATS stores nothing at")
        await disk.make_room(nats)
        if disk.restarts:
            await nats.kill()
            await nats.start()
        accepted += [f"after {number}" for number in range(BEFORE)]
        back_in_s = await _until_taken(account, accepted[BEFORE])
        for text in accepted[BEFORE + 1 :]:
            assert await _say(account, text) == 200
    logged = await _logged(nats)
    return Report(refused, refused_in_s, back_in_s, accepted, logged, reading.result())


async def _refused(account: Account) -> list[int]:
    """People write, and WeChat pushes; what each is answered."""
    platform = WeChatPlatform(aes_key=AES_KEY)
    return await asyncio.gather(
        *(_say(account, f"full {number} {LONG}", f"user{number}") for number in range(WHILE_FULL)),
        *(_push(account, platform, number) for number in range(WHILE_FULL)),
    )


async def _collect(bot: Bot, count: int) -> list[str]:
    return [(await bot.event(timeout_s=60))["raw_message"] for _ in range(count)]


async def _logged(nats: NatsServer) -> list[str]:
    async with _bus(nats) as bus:
        stored = await Log(bus).read(subjects.EVENTS)
    return [_text(entry.event) for entry in stored if isinstance(entry.event, MessageEvent)]


async def _until_taken(account: Account, text: str) -> float:
    began = time.monotonic()
    async with asyncio.timeout(30):
        while await _say(account, text) != 200:
            await asyncio.sleep(0.05)
    return time.monotonic() - began


async def _say(account: Account, text: str, user: str = "alice") -> int:
    body = {"user": user, "message": text}
    async with account.http.post(f"{account.sandbox}/api/messages", json=body) as response:
        return response.status


async def _push(account: Account, platform: WeChatPlatform, number: int) -> int:
    push = platform.push(platform.text(f"full {number} {LONG}", f"user{number}", number + 1))
    base = account.sandbox.partition("/sandbox/")[0]
    url = f"{base}/wechat/my_mp/webhook"
    async with account.http.post(url, params=push.query, data=push.body) as response:
        return response.status


def _text(event: MessageEvent) -> str:
    return "".join(part.text for part in event.segments if isinstance(part, Text))
