"""Files across the accounts that services have at NATS: who may keep and read which."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.e2e.guarded import GuardedNats, guarded_nats

from onebus.bus import Bus
from onebus.errors import BusError
from onebus.ids import Account, AccountId, Platform
from onebus.objects import Objects
from onebus.setup import Storage, set_up

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = Account(Platform("sandbox"), AccountId("demo"))
THERE = Account(Platform("wechat"), AccountId("mp"))
DATA = bytes(range(256)) * 4000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GuardedNats]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    async with guarded_nats(folder) as server:
        async with Bus(server.options_of("setup"), "setup") as bus:
            await bus.wait_ready(10)
            await set_up(bus, Storage())
        yield server


async def pieces() -> AsyncIterator[bytes]:
    yield DATA


async def read(objects: Objects, account: Account, name: str) -> bytes:
    info = await objects.get(account, name)
    return b"".join([chunk async for chunk in objects.read(info)])


async def test_connectors_and_frontends_give_each_other_files(nats: GuardedNats) -> None:
    services = ("connector-sandbox", "frontend-http", "frontend-ws", "frontend-ws-reverse")
    for writer in services:
        async with Bus(nats.options_of(writer), writer) as bus:
            await bus.wait_ready(10)
            info = await Objects(bus).put(HERE, pieces(), max_bytes=len(DATA))
            await Objects(bus).name(HERE, "of-x", info)
        for reader in services:
            async with Bus(nats.options_of(reader), reader) as bus:
                await bus.wait_ready(10)
                assert await read(Objects(bus), HERE, info.id) == DATA
                assert await read(Objects(bus), HERE, "of-x") == DATA


async def test_a_connector_neither_reads_nor_writes_those_of_another_platform(
    nats: GuardedNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ATTEMPT_S", "READ_S", "WRITE_S"):
        monkeypatch.setattr(f"onebus.chunks.{name}", 0.5)
    async with Bus(nats.options_of("connector-wechat"), "wechat") as bus:
        await bus.wait_ready(10)
        info = await Objects(bus).put(THERE, pieces(), max_bytes=len(DATA))
    async with Bus(nats.options_of("connector-sandbox"), "sandbox") as bus:
        await bus.wait_ready(10)
        objects = Objects(bus)
        with pytest.raises(BusError):
            await objects.put(THERE, pieces(), max_bytes=len(DATA))
        with pytest.raises(BusError):
            await read(objects, THERE, info.id)
