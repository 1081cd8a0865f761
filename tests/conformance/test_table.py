"""docs/conformance.json names every statement once, with tests that exist, and is up to date."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.conformance import table
from tests.conformance.statements import STATEMENTS, claims
from tests.conformance.table import CANNOT, Claims, TableError

ROOT = Path(__file__).parents[2]
TEST = "tests/test_x.py::test_x"


def test_there_are_556_statements_in_order() -> None:
    assert [statement.n for statement in STATEMENTS] == list(range(1, 557))
    assert all(statement.text and ".md:" in statement.source for statement in STATEMENTS)


def test_the_table_is_up_to_date() -> None:
    """Collected anew in a process of its own: every statement, and only tests that there are."""
    command = (sys.executable, "-m", "tests.conformance.table", "--check")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def full() -> Claims:
    """One test for everything that can hold."""
    found = Claims()
    found.tests = {TEST, *(cannot.test for cannot in CANNOT.values())}
    for statement in STATEMENTS:
        if statement.n not in CANNOT:
            found.claimed[statement.n] = {TEST: 1}
    return found


def test_a_row_for_each_statement() -> None:
    rows = table.table(full())
    assert [row.n for row in rows] == [statement.n for statement in STATEMENTS]
    assert {row.n for row in rows if row.status == "cannot"} == CANNOT.keys()
    assert all(row.why if row.n in CANNOT else row.test == TEST for row in rows)


def test_a_statement_that_nobody_proves_is_named() -> None:
    found = full()
    del found.claimed[12]
    with pytest.raises(TableError, match=r"^12: no test proves it"):
        table.table(found)


def test_a_test_that_is_not_there_is_named() -> None:
    found = full()
    found.claimed[12] = {"tests/test_x.py::test_gone": 1}
    with pytest.raises(TableError, match=r"^12: there is no test .*test_gone$"):
        table.table(found)


@pytest.mark.parametrize("n", [0, 557])
def test_a_number_that_is_none_is_named(n: int) -> None:
    found = full()
    found.claimed[n] = {TEST: 1}
    with pytest.raises(TableError, match=rf"^{n}: there is no such statement"):
        table.table(found)


def test_what_cannot_hold_is_not_proven() -> None:
    found = full()
    found.claimed[53] = {TEST: 1}
    with pytest.raises(TableError, match=r"^53: .* cannot hold"):
        table.table(found)


def test_the_closest_test_is_named() -> None:
    """Made for the statements rather than anything else, and for few of them."""
    tests = {"tests/a.py::x": 1, "tests/conformance/test_a.py::y": 9}
    assert table.best(tests) == "tests/conformance/test_a.py::y"
    assert table.best(tests | {"tests/conformance/test_b.py::z": 2}).endswith("::z")


def test_a_golden_claims_what_its_source_names() -> None:
    assert claims("checklist 85-87, 90, api/public.md:42").args == (85, 86, 87, 90)
    assert claims("checklist 74: one segment").args == (74,)
    assert claims("checklist 275; async_as_ok").args == (275,)
    assert claims("traps 9: empty replies") == ()
