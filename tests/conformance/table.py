"""Writes docs/conformance.json: each statement of the standard with the test that proves it.

`python -m tests.conformance.table` is run at the root of the project; with `--check` it writes
nothing and fails when the file is out of date. Tests claim statements by `@pytest.mark.proves`.
What does not hold, or not to the letter, is in `cannot.json` with its reason, and with a test where
a part of it holds.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from msgspec import Struct, convert, to_builtins
from tests.conformance.statements import HERE, STATEMENTS

TABLE = Path("docs") / "conformance.json"


class Row(Struct, frozen=True):
    """One statement: `test` proves it; `why` it cannot be proven as it stands."""

    n: int
    status: str
    test: str
    why: str = ""


class Cannot(Struct, frozen=True):
    why: str
    test: str = ""


CANNOT = convert(json.loads((HERE / "cannot.json").read_text()), dict[int, Cannot], strict=False)


class TableError(Exception):
    """The table cannot be written; the text says what is wrong."""


class Claims:
    """A pytest plugin: which tests there are, and which statements each claims with how many."""

    def __init__(self) -> None:
        self.tests: set[str] = set()
        self.claimed: dict[int, dict[str, int]] = defaultdict(dict)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        function = item.nodeid.partition("[")[0]
        self.tests |= {item.nodeid, function}
        callspec = getattr(item, "callspec", None)
        of_case = callspec.marks if callspec else []
        for mark in item.iter_markers("proves"):
            name = item.nodeid if mark in of_case else function
            for n in mark.args:
                self.claimed[n].setdefault(name, len(mark.args))


def collected() -> Claims:
    """Every test of the project, none of them run. Raises TableError."""
    claims = Claims()
    options = ["--collect-only", "-qq", "-p", "no:cacheprovider", "tests"]
    with redirect_stdout(StringIO()) as said:
        code = pytest.main(options, plugins=[claims])
    if code != 0:
        raise TableError(f"the tests cannot be collected:\n{said.getvalue()}")
    return claims


def table(claims: Claims) -> list[Row]:
    """A row for each statement. Raises TableError for what is missing or does not exist."""
    numbers = {statement.n for statement in STATEMENTS}
    known = {n: best(tests) for n, tests in claims.claimed.items()}
    rows = [_row(n, known) for n in sorted(numbers)]
    problems = [*_problems(rows, claims, numbers)]
    if problems:
        raise TableError("\n".join(problems))
    return rows


def best(tests: Mapping[str, int]) -> str:
    """The test that says most about one statement: made for it, and for few others."""
    return min(tests, key=lambda test: ("conformance/test_" not in test, tests[test]))


def _row(n: int, known: Mapping[int, str]) -> Row:
    if cannot := CANNOT.get(n):
        return Row(n, "cannot", cannot.test, cannot.why)
    return Row(n, "proven", known.get(n, ""))


def _problems(rows: Sequence[Row], claims: Claims, numbers: set[int]) -> Iterator[str]:
    for row in rows:
        if row.test and row.test not in claims.tests:
            yield f"{row.n}: there is no test {row.test}"
        if not row.test and not row.why:
            yield f"{row.n}: no test proves it, and nothing says why it cannot hold"
    for n in sorted({*claims.claimed, *CANNOT} - numbers):
        yield f"{n}: there is no such statement"
    for n in sorted(claims.claimed.keys() & CANNOT.keys()):
        yield f"{n}: {best(claims.claimed[n])} proves what `cannot.json` says cannot hold"


def written(rows: Sequence[Row]) -> str:
    """The file's text, a row a line."""
    lines = (json.dumps(to_builtins(row), ensure_ascii=False) for row in rows)
    return "[\n" + ",\n".join(f"  {line}" for line in lines) + "\n]\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, or compare it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.table", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when out of date")
    check = parser.parse_args(arguments).check
    try:
        text = written(table(collected()))
    except TableError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if TABLE.exists() and TABLE.read_text(encoding="utf-8") == text:
        return 0
    if check:
        sys.stderr.write(f"{TABLE} is out of date; run `make docs`\n")
        return 1
    TABLE.write_text(text, encoding="utf-8")
    sys.stderr.write(f"{TABLE} was written anew\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
