"""What the system says of a process: memory, open files, processor time."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
TICKS = os.sysconf("SC_CLK_TCK")


def rss_kib(pid: int) -> int:
    """Memory that it has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB


def open_files(pid: int) -> int:
    """Descriptors that it has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def cpu_s(pid: int) -> float:
    """Processor time that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Peaks:
    """The most memory that each process had since `run` began; for those that live meanwhile."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self.first_kib = {name: rss_kib(pid) for name, pid in pids.items()}
        self.most_kib = dict(self.first_kib)

    async def run(self, every_s: float = 0.25) -> None:
        """Look again and again, until cancelled."""
        while True:
            for name, pid in self._pids.items():
                try:
                    self.most_kib[name] = max(self.most_kib[name], rss_kib(pid))
                except (FileNotFoundError, ProcessLookupError):
                    continue
            await asyncio.sleep(every_s)

    @property
    def grown_mib(self) -> dict[str, float]:
        """By how much each grew at most."""
        return {n: (self.most_kib[n] - self.first_kib[n]) / 1024 for n in self._pids}
