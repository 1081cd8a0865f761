"""The tables of rows: printed, kept as JSON, and written into the documentation."""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
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
FIGURES_HEAD = ("row", "figures", "bar", "met")
MET = {True: "yes", False: "**no**", None: ""}
LIBRARIES = ("nats-py", "aiohttp", "msgspec", "uvloop")


class Report:
    """All rows of a call. `keep`: those that an earlier call left in the file stay in it.

    `groups`: the names of all, in the order in which their rows are shown. Those of the short form
    (`quick`) go into no page.
    """

    def __init__(
        self, file: Path, root: Path, groups: Sequence[str], *, quick: bool, keep: bool
    ) -> None:
        self._file = file
        self._quick = quick
        self._commit = commit(root)
        self._places = {group: place for place, group in enumerate(groups)}
        self._rows: dict[str, Row] = {}
        self._new: dict[str, Row] = {}
        if keep and file.exists():
            rows = msgspec.json.decode(file.read_bytes(), type=list[Row])
            self._rows = {row.name: row for row in rows if row.group in self._places}

    def say(self, text: str) -> None:
        """A line for who looks on."""
        print(text, file=sys.stdout, flush=True)

    def add(self, group: str, rows: Iterable[Row]) -> None:
        """More rows; the file is whole after each call."""
        for made in rows:
            row = replace(made, group=group, quick=self._quick, commit=self._commit)
            self._rows[row.name] = self._new[row.name] = row
            self.say(line(row))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        built = msgspec.to_builtins(self._sorted(self._rows))
        self._file.write_text(json.dumps(built, indent=2, ensure_ascii=False) + "\n")

    def end(self, page: Path | None, took_s: float, most_s: float) -> None:
        """Print the tables of what was measured now, and write all rows into the page.

        `took_s`: all of this call; `most_s`: how long it may take.
        """
        head = f"{machine()}; commit {self._commit}"
        self.say(f"\n{head}\n\n{tables(self._sorted(self._new), self._commit)}\n")
        missed = ", ".join(row.name for row in self.missed)
        self.say(f"missed: {missed}" if missed else "all bars met")
        too_long = "" if took_s <= most_s else ": TOO LONG"
        self.say(f"took {minutes(took_s)} of at most {minutes(most_s)}{too_long}")
        if page:
            rows = [row for row in self._sorted(self._rows) if not row.quick]
            text = f"\n{head}\n\n{tables(rows, self._commit)}\n\n"
            made = _PART.sub(lambda part: part[1] + text + part[3], page.read_text())
            page.write_text(made)

    @property
    def missed(self) -> list[Row]:
        """Rows of this call below their bars."""
        return [row for row in self._new.values() if row.met is False]

    def _sorted(self, rows: Mapping[str, Row]) -> list[Row]:
        return sorted(rows.values(), key=lambda row: self._places[row.group])


def commit(root: Path) -> str:
    """The commit that is checked out, with a `+` when the tree has changes, but for the page."""
    git = ("git", "-C", str(root))
    tree = ("--untracked-files=no", "--", ".", ":!docs/benchmarks.md")
    changed = _output(*git, "status", "--porcelain", *tree)
    return _output(*git, "rev-parse", "--short=10", "HEAD") + "+" * bool(changed)


def machine() -> str:
    """On what it was measured, and with what."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    nats = _output(str(BIN / "nats-server"), "--version").removeprefix("nats-server: v")
    used = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{os.cpu_count()} × {cpu[1] if cpu else platform.machine()}, Linux {platform.release()}; "
        f"Python {platform.python_version()}, {used}, nats-server {nats}"
    )


def tables(rows: Sequence[Row], commit: str) -> str:
    """In Markdown: what has a floor, and below it what is a figure alone.

    A row that was measured on another commit than this one says on which.
    """
    beside = [_rate_cells(row, commit) for row in rows if row.floor_rate is not None]
    alone = [_figure_cells(row, commit) for row in rows if row.floor_rate is None]
    made = [(HEAD, beside), (FIGURES_HEAD, alone)]
    return "\n\n".join(_table(head, cells) for head, cells in made if cells)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _rate_cells(row: Row, commit: str) -> tuple[str, ...]:
    return (
        ": ".join(filter(None, (_name(row, commit), _figures(row.figures)))),
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
        MET[row.met],
    )


def _figure_cells(row: Row, commit: str) -> tuple[str, ...]:
    return _name(row, commit), _figures(_all_figures(row)), row.goal or "", MET[row.met]


def _name(row: Row, commit: str) -> str:
    return row.name if row.commit == commit else f"{row.name} (at {row.commit})"


def _all_figures(row: Row) -> dict[str, float]:
    """Of a row without a floor: its rate and times are figures like others."""
    own = {"/s": row.rate, "p50 ms": row.p50_ms, "p99 ms": row.p99_ms}
    return {name: value for name, value in own.items() if value is not None} | row.figures


def _figures(figures: Mapping[str, float]) -> str:
    return "; ".join(
        f"{_figure(value)}/s" if name == "/s" else f"{name} {_figure(value)}"
        for name, value in figures.items()
    )


def _figure(value: float) -> str:
    """Three digits or more; never in powers of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def line(row: Row) -> str:
    """A row for who looks on, with the processor time of each process."""
    mark = {True: "met ", False: "MISS", None: "    "}[row.met]
    said = _beside_floor(row) if row.floor_rate is not None else _figures(_all_figures(row))
    each = ", ".join(f"{n} {v:.1f}" for n, v in row.cpu_us_each.items())
    floor = ", ".join(f"{n} {v:.1f}" for n, v in row.floor_cpu_us_each.items())
    memory = ", ".join(f"{n} {v:.0f}" for n, v in row.rss_mib.items())
    more = [
        f"\n        CPU µs: {each} (floor: {floor})" if each else "",
        f"\n        MiB: {memory}" if memory else "",
        f"\n        bar: {row.goal}" if row.goal else "",
    ]
    return f"{mark}  {row.name}: {said}" + "".join(more)


def _beside_floor(row: Row) -> str:
    parts = [f"{number(row.rate, 0)}/s of {number(row.floor_rate, 0)}/s"]
    if row.ratio is not None:
        parts.append(f"= {row.ratio:.1%}")
    if row.p50_ms is not None:
        parts.append(f"p50 {number(row.p50_ms, 3)} ({number(row.floor_p50_ms, 3)}) ms")
    if row.cpu_us and row.floor_cpu_us:
        added = row.cpu_us / row.floor_cpu_us - 1
        parts.append(f"CPU {row.cpu_us:.1f} ({row.floor_cpu_us:.1f}) µs, {added:+.0%}")
    if row.figures:
        parts.append(_figures(row.figures))
    return " ".join(parts)


def minutes(seconds: float) -> str:
    """A time as it is said."""
    whole, rest = divmod(round(seconds), 60)
    return f"{whole} min {rest} s"


def number(value: float | None, digits: int) -> str:
    """A figure with so many digits after the point; empty for none."""
    return "" if value is None else f"{value:,.{digits}f}"


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()
