"""The table: what each fault has to show, and what it showed."""

import json
import sys
from pathlib import Path

from msgspec import Struct, field, to_builtins


class Row(Struct, frozen=True):
    """One figure of shared/reliability.md, measured."""

    id: str
    goal: str
    measured: str
    passed: bool = field(name="pass")


class Report:
    """Prints rows as they come, and keeps all of them in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        """One more row; the file is whole after each."""
        self.rows.append(row)
        mark = "pass" if row.passed else "FAIL"
        self.say(f"{mark}  {row.id:8} {row.goal}\n      {'':8} -> {row.measured}")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(to_builtins(self.rows), indent=2, ensure_ascii=False)
        self._file.write_text(text + "\n")

    def say(self, text: str) -> None:
        """A line for who looks on."""
        print(text, file=sys.stdout, flush=True)

    @property
    def failed(self) -> list[str]:
        """Ids of the rows that do not meet their goal."""
        return [row.id for row in self.rows if not row.passed]
