"""The disk of NATS is full: a small file system of its own, filled to the last byte."""

from collections import Counter

from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.full_disk import DISK_MIB, survive, tmpfs

REFUSED_S = 15.0
BACK_S = 15.0


async def disk(run: Run) -> list[Row]:
    """People and WeChat speak before, while it is full, and after there is room."""
    with tmpfs(run.folder / "disk") as small:
        report = await survive(run.folder, small)
    unlogged = len(set(report.accepted).difference(report.logged))
    unasked = len(set(report.logged).difference(report.accepted))
    statuses = Counter(report.refused)
    same = report.logged == report.accepted == report.received
    return [
        run.row(
            f"disk full (tmpfs of {DISK_MIB} MiB): the platform is told to come again, never 200"
            " for what is not in the log; all goes on once there is room",
            f"while full {_told(statuses)} within {report.refused_in_s:.1f} s; {unlogged} of"
            f" {len(report.accepted)} accepted not in the log, {unasked} in the log not accepted,"
            f" the bot got {'all in order' if same else 'OTHERS'}; back {report.back_in_s:.1f} s"
            " after there was room",
            same
            and set(statuses) == {503}
            and report.refused_in_s <= REFUSED_S
            and report.back_in_s <= BACK_S,
        )
    ]


def _told(statuses: Counter[int]) -> str:
    return " ".join(f"{status}×{count}" for status, count in sorted(statuses.items()))


SCENARIOS = [Scenario("disk", disk, alone=False, root=True)]
