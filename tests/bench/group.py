"""What a group of rows is: programs that are started once, and the rows measured on them."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.measure import Runs, Side, compare
from tests.bench.row import Bars, Row

FULL = Runs(count=5, window_s=1.5, warm_up_s=1)
QUICK = Runs(count=2, window_s=1, warm_up_s=1)


@dataclass
class Run:
    """One call of `make bench` for one group, whose `folder` is its own.

    `quick`: about ten seconds for the whole group, the rows that say most. `rows`: only rows with
    one of these in their names, if any are given.
    """

    folder: Path
    quick: bool = False
    rows: Collection[str] = ()
    say: Callable[[str], None] = print
    runs: Runs = field(init=False)

    def __post_init__(self) -> None:
        self.runs = QUICK if self.quick else FULL

    def wants(self, name: str) -> bool:
        """Whether a row of this name is asked for."""
        return not self.rows or any(part in name for part in self.rows)

    async def compare(self, name: str, ours: Side, floor: Side, bars: Bars) -> list[Row]:
        """The row of this name; none if it is not asked for."""
        if not self.wants(name):
            return []
        return [await compare(name, ours, floor, self.runs, bars)]


@dataclass(frozen=True)
class Group:
    """How to measure it. `number`: its place among all. `quick`: it has a short form."""

    number: int
    id: str
    run: Callable[[Run], Awaitable[list[Row]]]
    quick: bool = True


def groups() -> list[Group]:
    """All that the modules of `tests.bench.rows` list as GROUPS, by their numbers."""
    folder = Path(__file__).with_name("rows")
    found: list[Group] = []
    for module in sorted(m.name for m in pkgutil.iter_modules([str(folder)])):
        found += importlib.import_module(f"tests.bench.rows.{module}").GROUPS
    return sorted(found, key=lambda group: group.number)
