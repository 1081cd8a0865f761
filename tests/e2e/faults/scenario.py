"""What a scenario is: a fault, a load, and the rows of the table that come of them."""

import asyncio
import gc
import importlib
import pkgutil
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.faults.report import Row


@dataclass
class Run:
    """One run of one scenario. `quick`: the short form, which `make test` has time for.

    `folder` is the scenario's own; `measuring` is held while a figure is taken that the load of
    others would spoil.
    """

    id: str
    folder: Path
    seed: int
    quick: bool
    say: Callable[[str], None] = print
    measuring: asyncio.Lock = field(default_factory=asyncio.Lock)

    def draw(self, what: str = "") -> random.Random:
        """What decides whatever is left to chance; the same seed draws the same again.

        Tasks beside each other need one each, by name: who asks first is no matter of the seed.
        """
        return random.Random(f"{self.seed} {self.id} {what}")

    def within_s(self, limit_s: float) -> float:
        """A limit of the table; the short form, beside which other tests run, has twice as long."""
        return limit_s * 2 if self.quick else limit_s

    def row(self, goal: str, measured: str, passed: bool) -> Row:
        """A row of this scenario."""
        return Row(self.id, goal, measured, passed)


@dataclass(frozen=True)
class Scenario:
    """How to run it. `alone`: nothing else runs meanwhile. `quick`: it has a short form.

    `root`: it needs rights, or tools of the system, that `make test` must not ask for.
    """

    id: str
    run: Callable[[Run], Awaitable[list[Row]]]
    alone: bool = True
    quick: bool = True
    root: bool = False


def scenarios() -> list[Scenario]:
    """All that the modules of `tests.e2e.faults.scenarios` list as SCENARIOS, in their order."""
    folder = Path(__file__).with_name("scenarios")
    found: list[Scenario] = []
    for module in sorted(m.name for m in pkgutil.iter_modules([str(folder)])):
        found += importlib.import_module(f"tests.e2e.faults.scenarios.{module}").SCENARIOS
    return found


def short_forms(*, alone: bool) -> list[Scenario]:
    """Those that `make test` runs; the two kinds in two files, because those run side by side."""
    return [s for s in scenarios() if s.quick and not s.root and s.alone == alone]


async def check_short_form(scenario: Scenario, folder: Path) -> None:
    """Every row meets its goal; prints how to run it again, which is shown when it does not."""
    seed = random.SystemRandom().randrange(1 << 31)
    print(f"SEED={seed} ONLY={scenario.id} QUICK=1 make faults")
    rows = await scenario.run(Run(scenario.id, folder, seed, quick=True))
    gc.collect()  # what bots left open that were cut off is noticed here, and not in the next test
    assert rows
    for row in rows:
        print(row)
    assert not [row for row in rows if not row.passed]
