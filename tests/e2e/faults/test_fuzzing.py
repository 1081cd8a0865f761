"""What counts as a documented answer, and that a seed draws the same inputs again."""

import math

import pytest
from tests.e2e.faults.malformed import Malformed
from tests.e2e.faults.tally import Tally, documented, p99_ms


@pytest.mark.parametrize(
    ("status", "retcode", "fits"),
    [
        ("ok", 0, True),
        ("async", 1, True),
        ("failed", 1400, True),
        ("failed", 10009, True),
        ("failed", 10007, False),  # a fault of onebus
        ("failed", 0, False),
        ("ok", 1400, False),
        ("failed", 500, False),
    ],
)
def test_documented_answers(status: str, retcode: int, fits: bool) -> None:
    assert documented({"status": status, "retcode": retcode}) is fits


def test_an_outcome_that_nobody_documented_is_wrong_and_kept() -> None:
    tally = Tally(("400",))
    tally.add("400", 0.001, "this")
    assert tally.good(100)
    tally.add("500", 0.001, "that")
    assert not tally.good(100)
    assert tally.wrong == ["500: 'that'"]


def test_one_slow_answer_of_a_hundred_is_forgiven_and_two_are_not() -> None:
    quick = [0.001] * 98
    assert p99_ms([*quick, 0.001, 9]) == 1
    assert p99_ms([*quick, 9, 9]) == 9_000
    assert p99_ms([]) == math.inf


def test_the_same_seed_draws_the_same() -> None:
    first, second, other = (Malformed(seed, "127.0.0.1:9") for seed in (1, 1, 2))
    draws = [[m.call(), m.frame(), m.reply(), m.query()] for m in (first, second, other)]
    assert draws[0] == draws[1] != draws[2]
