"""A line of the table: one figure of onebus beside its floor, and the bar that it must reach."""

from collections.abc import Iterator

from msgspec import Struct


class Row(Struct, frozen=True, kw_only=True):
    """Medians over all runs. `cpu_us` is per operation, of all processes but the load's.

    `ratio` is the median of the ratios of each run to the floor's beside it; `spread` how far the
    runs lie apart: highest less lowest rate, as a part of the median. What a row has none of is
    None. `goal` is the bar in words, and `met` whether it was reached; both None: a figure alone.
    `quick`: of the short form.
    """

    name: str
    rate: float | None = None
    floor_rate: float | None = None
    ratio: float | None = None
    cpu_us: float | None = None
    floor_cpu_us: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    floor_p50_ms: float | None = None
    floor_p99_ms: float | None = None
    spread: float | None = None
    cpu_us_each: dict[str, float] = {}
    floor_cpu_us_each: dict[str, float] = {}
    rss_mib: dict[str, float] = {}
    figures: dict[str, float] = {}
    note: str = ""
    goal: str | None = None
    met: bool | None = None
    runs: int = 1
    group: str = ""
    quick: bool = False
    commit: str = ""


class Bars(Struct, frozen=True, kw_only=True):
    """What a row must reach, each beside the floor; None: not asked."""

    ratio: float | None = None
    cpu: float | None = None
    p50: float | None = None
    p99: float | None = None

    def judged(self, row: Row) -> tuple[str | None, bool | None]:
        """The bars in words, and whether the row reaches all of them."""
        checks = list(self._checks(row))
        if not checks:
            return None, None
        return "; ".join(text for text, _ in checks), all(met for _, met in checks)

    def _checks(self, row: Row) -> Iterator[tuple[str, bool]]:
        if self.ratio is not None:
            yield f"rate ≥ {self.ratio:.0%}", (row.ratio or 0) >= self.ratio
        for what, bar, mine, floor in (
            ("CPU", self.cpu, row.cpu_us, row.floor_cpu_us),
            ("p50", self.p50, row.p50_ms, row.floor_p50_ms),
            ("p99", self.p99, row.p99_ms, row.floor_p99_ms),
        ):
            if bar is not None:
                met = mine is not None and floor is not None and mine <= bar * floor
                yield f"{what} ≤ {bar:g} ×", met
