"""The planted faults fit the code, and what counts as caught; `make mutants` runs them."""

from pathlib import Path

import pytest
from tests.mutants.mutants import MUTANTS, Mutant, MutantError, changed, named_tests
from tests.mutants.run import judged, outcome_of

ROOT = Path(__file__).parents[2]
FAULT = Mutant(480, "x.py", "a + b", "a - b", "minus for plus")
REPORT = '<testsuites><testsuite tests="{}" failures="{}" errors="{}">{}</testsuite></testsuites>'


def test_there_are_enough_and_each_is_another() -> None:
    assert len(MUTANTS) >= 60
    assert len({(m.file, m.old, m.new, m.n) for m in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_fits(mutant: Mutant) -> None:
    """Its text is there exactly once, and a test is named for its statement."""
    source = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert changed(mutant, source) != source
    assert named_tests(ROOT)[mutant.n]


@pytest.mark.parametrize("source", ["", "a + b\na + b\n", "(a + b"])
def test_a_fault_that_does_not_fit_is_refused(source: str) -> None:
    assert changed(FAULT, "a + b") == "a - b"
    with pytest.raises(MutantError, match="minus for plus"):
        changed(FAULT, source)


def test_a_test_that_fails_catches() -> None:
    outcome = outcome_of(
        REPORT.format(2, 1, 0, '<testcase><failure message="1 !=\n2"/></testcase>')
    )
    verdict = judged(FAULT, "tests/x.py::y", outcome)
    assert (verdict.caught, verdict.text) == (True, "1 != 2")
    assert verdict.line.startswith("caught  480  minus for plus ")


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((2, 0, 0, ""), "2 passed"),
        ((2, 1, 1, '<testcase><error message="no fixture"/></testcase>'), "broke more: no fixture"),
        ((0, 0, 0, ""), "0 passed"),
        ((1, 1, 0, '<x><failure message="NameError: x"/></x>'), "nonsense: NameError: x"),
    ],
)
def test_what_passes_or_breaks_otherwise_does_not_catch(
    counts: tuple[int, int, int, str], said: str
) -> None:
    verdict = judged(FAULT, "tests/x.py::y", outcome_of(REPORT.format(*counts)))
    assert (verdict.caught, verdict.text) == (False, said)
    assert verdict.line.startswith("MISSED")
