"""No room: the platform is told to try again, nothing is stored by halves, and all goes on."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.full_disk import LONG, Disk, Limited, mounts, survive, tmpfs, unreserved
from tests.fakes.outage import eventually

from onebus import embedded, metrics
from onebus.bus import Bus
from onebus.disk import Disk as DiskWatch
from onebus.embedded import EmbeddedNats
from onebus.errors import BusTimeout

# A real small disk needs the right to mount one. `make faults`, which runs as root, has it.
DISKS = ["limit", *(["tmpfs"] if mounts() else [])]


@pytest.fixture(params=DISKS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with ExitStack() as stack:
        folder = tmp_path / "disk"
        yield Limited(folder) if request.param == "limit" else stack.enter_context(tmpfs(folder))


async def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path, disk: Disk) -> None:
    report = await survive(tmp_path, disk)
    print(f"refused in {report.refused_in_s:.1f} s, back in {report.back_in_s:.2f} s")
    assert report.refused == [503] * 6
    assert report.refused_in_s < 15
    assert report.back_in_s < 15
    assert report.logged == report.accepted
    assert report.received == report.accepted


async def test_our_own_server_is_started_anew_once_its_disk_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root on a disk that is full; elsewhere the watch says so when it is asked."""
    config = embedded._CONFIG.replace("sync_interval: {", "max_file_store: 4GB, sync_interval: {")
    monkeypatch.setattr(embedded, "_CONFIG", config)
    monkeypatch.setattr(embedded, "DISK_S", 0.1)
    with ExitStack() as stack:
        folder = tmp_path / "data"
        real = stack.enter_context(tmpfs(folder)) if "tmpfs" in DISKS else None
        folder.mkdir(exist_ok=True)
        nats = EmbeddedNats(folder)
        await nats.start()
        async with Bus(nats.options(), "test") as bus, asyncio.TaskGroup() as group:
            await bus.wait_ready(5)
            await unreserved(bus)
            running = group.create_task(nats.run())
            before = nats.pid
            where = "onebus.events.00.sandbox.demo.message.c.{}"
            first = await bus.store(where.format(0), LONG.encode())
            if real:
                await real.fill()
                refused = _refused()
                with pytest.raises(BusTimeout):
                    await bus.store(where.format(1), LONG.encode(), timeout_s=1)
                assert _refused() == refused + 1
                real.free()
            else:
                monkeypatch.setattr(DiskWatch, "regained", lambda _: nats.pid == before)
            await eventually(lambda: nats.pid != before and bus.connected)
            assert await bus.store(where.format(2), LONG.encode()) == first + 1
            running.cancel()
        await nats.stop()


def _refused() -> float:
    labels = {"stream": "onebus.events"}
    return metrics.REGISTRY.get_sample_value("onebus_stores_refused_total", labels) or 0
