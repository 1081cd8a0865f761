"""The table of rows: printed, kept as JSON, and written into the documentation."""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec.structs import replace
from tests.bench.row import Row
from tests.e2e.processes import BIN

_PART = re.compile(r"(<!-- measured -->\n)(.*?)(<!-- /measured -->)", re.DOTALL)
HEAD = (
    "row",
    "onebus /s",
    "floor /s",
    "ratio",
    "spread",
    "CPU µs",
    "floor µs",
    "p50 ms",
    "floor",
    "p99 ms",
    "floor",
    "bar",
    "met",
)
LIBRARIES = ("nats-py", "aiohttp", "msgspec", "uvloop")


class Report:
    """All rows of a call. `keep`: those that an earlier call left in the file stay in it."""

    def __init__(self, file: Path, root: Path, *, keep: bool) -> None:
        self._file = file
        self._commit = commit(root)
        self._rows: dict[str, Row] = {}
        self._new: list[Row] = []
        if keep and file.exists():
            rows = msgspec.json.decode(file.read_bytes(), type=list[Row])
            self._rows = {row.name: row for row in rows}

    def say(self, text: str) -> None:
        """A line for who looks on."""
        print(text, file=sys.stdout, flush=True)

    def add(self, rows: Iterable[Row]) -> None:
        """More rows; the file is whole after each call."""
        for made in rows:
            row = replace(made, commit=self._commit)
            self._rows[row.name] = row
            self._new.append(row)
            self.say(line(row))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        built = msgspec.to_builtins(list(self._rows.values()))
        self._file.write_text(json.dumps(built, indent=2, ensure_ascii=False) + "\n")

    def end(self, page: Path | None) -> None:
        """Print the table of what was measured now, and write all rows into the page."""
        self.say("\n" + machine() + "\n\n" + table(self._new))
        missed = ", ".join(row.name for row in self.missed)
        self.say(f"missed: {missed}" if missed else "all bars met")
        if page:
            text = f"\n{machine()}\n\n{table(self._rows.values())}\n\n"
            made = _PART.sub(lambda part: part[1] + text + part[3], page.read_text())
            page.write_text(made)

    @property
    def missed(self) -> list[Row]:
        """Rows of this call below their bars."""
        return [row for row in self._new if row.met is False]


def commit(root: Path) -> str:
    """The commit that is checked out, with a `+` when the tree has changes."""
    described = _output("git", "-C", str(root), "rev-parse", "--short=10", "HEAD")
    changed = _output("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    return described + "+" * bool(changed)


def machine() -> str:
    """On what it was measured, and with what."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    nats = _output(str(BIN / "nats-server"), "--version").removeprefix("nats-server: v")
    used = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{os.cpu_count()} × {cpu[1] if cpu else platform.machine()}, Linux {platform.release()}; "
        f"Python {platform.python_version()}, {used}, nats-server {nats}"
    )


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    lines = [HEAD, tuple("---" for _ in HEAD), *(_cells(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(row: Row) -> tuple[str, ...]:
    extra = "; ".join(f"{name} {value:,.4g}" for name, value in row.figures.items())
    name = ": ".join(filter(None, (row.name, extra)))
    met = {True: "yes", False: "**no**", None: ""}[row.met]
    return (
        name,
        number(row.rate, 0),
        number(row.floor_rate, 0),
        f"{row.ratio:.0%}" if row.ratio is not None else "",
        f"{row.spread:.0%}" if row.spread is not None else "",
        number(row.cpu_us, 1),
        number(row.floor_cpu_us, 1),
        number(row.p50_ms, 2),
        number(row.floor_p50_ms, 2),
        number(row.p99_ms, 2),
        number(row.floor_p99_ms, 2),
        row.goal or "",
        met,
    )


def line(row: Row) -> str:
    """A row for who looks on, with the processor time of each process."""
    mark = {True: "met ", False: "MISS", None: "    "}[row.met]
    parts = [f"{mark}  {row.name}: {number(row.rate, 0)}/s of {number(row.floor_rate, 0)}/s"]
    if row.ratio is not None:
        parts.append(f"= {row.ratio:.1%}")
    parts.append(f"p50 {number(row.p50_ms, 3)} ({number(row.floor_p50_ms, 3)}) ms")
    if row.cpu_us and row.floor_cpu_us:
        added = row.cpu_us / row.floor_cpu_us - 1
        parts.append(f"CPU {row.cpu_us:.1f} ({row.floor_cpu_us:.1f}) µs, {added:+.0%}")
    each = ", ".join(f"{n} {v:.1f}" for n, v in row.cpu_us_each.items())
    floor = ", ".join(f"{n} {v:.1f}" for n, v in row.floor_cpu_us_each.items())
    memory = ", ".join(f"{n} {v:.0f}" for n, v in row.rss_mib.items())
    figures = ", ".join(f"{n} {v:.4g}" for n, v in row.figures.items())
    more = [
        f"\n        CPU µs: {each} (floor: {floor})" if each else "",
        f"\n        MiB: {memory}" if memory else "",
        f"\n        {figures}" if figures else "",
        f"\n        bar: {row.goal}" if row.goal else "",
    ]
    return " ".join(parts) + "".join(more)


def number(value: float | None, digits: int) -> str:
    """A figure with so many digits after the point; empty for none."""
    return "" if value is None else f"{value:,.{digits}f}"


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()
