"""What a scenario is: a fault, a load, and the rows of the table that come of them."""

import asyncio
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

    def row(self, goal: str, measured: str, passed: bool) -> Row:
        """A row of this scenario."""
        return Row(self.id, goal, measured, passed)


@dataclass(frozen=True)
class Scenario:
    """How to run it. `alone`: nothing else runs meanwhile. `quick`: it has a short form."""

    id: str
    run: Callable[[Run], Awaitable[list[Row]]]
    alone: bool = True
    quick: bool = True


def scenarios() -> list[Scenario]:
    """All that the modules of `tests.e2e.faults.scenarios` list as SCENARIOS, in their order."""
    folder = Path(__file__).with_name("scenarios")
    found: list[Scenario] = []
    for module in sorted(m.name for m in pkgutil.iter_modules([str(folder)])):
        found += importlib.import_module(f"tests.e2e.faults.scenarios.{module}").SCENARIOS
    return found
