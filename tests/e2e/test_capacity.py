"""No room: the platform is told to try again, nothing is stored by halves, and all goes on."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.full_disk import Disk, Limited, survive, tmpfs

# A real small disk needs the right to mount one; the fault harness, which runs as root, has it too.
DISKS = ["limit", *(["tmpfs"] if os.geteuid() == 0 else [])]


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
