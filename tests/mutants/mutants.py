"""Planted faults, `mutants.json`: what each changes, and the statement that then does not hold.

`old` stands exactly once in its file, so that a fault cannot come to nothing unseen when the code
changes.
"""

import json
from pathlib import Path

from msgspec import Struct, convert
from tests.conformance.table import TABLE, Row

HERE = Path(__file__).parent


class Mutant(Struct, frozen=True):
    """A fault: `old` becomes `new`; `why` says what is wrong then. `n`: the statement."""

    n: int
    file: str
    old: str
    new: str
    why: str

    @property
    def name(self) -> str:
        return f"{self.n} {self.why}"


class MutantError(Exception):
    """A fault cannot be planted, or no test is named for it."""


MUTANTS = convert(json.loads((HERE / "mutants.json").read_text(encoding="utf-8")), list[Mutant])


def named_tests(root: Path) -> dict[int, str]:
    """The test that the conformance table names for each proven statement."""
    rows = convert(json.loads((root / TABLE).read_text(encoding="utf-8")), list[Row])
    return {row.n: row.test for row in rows if row.status == "proven"}


def changed(mutant: Mutant, source: str) -> str:
    """The file with the fault in it. Raises MutantError unless it fits, and is still Python."""
    found = source.count(mutant.old)
    if found != 1:
        raise MutantError(f"{mutant.name}: {mutant.file} has {mutant.old!r} {found} times, not 1")
    faulty = source.replace(mutant.old, mutant.new)
    try:
        compile(faulty, mutant.file, "exec")
    except SyntaxError as error:
        raise MutantError(f"{mutant.name}: {mutant.file} is no Python then: {error}") from error
    return faulty
