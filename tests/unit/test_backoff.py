"""Delays between attempts: how long, and how many attempts that makes."""

from itertools import accumulate, takewhile

from onebus.backoff import Backoff

MINUTE_S = 60.0


def attempts_in_a_minute(backoff: Backoff) -> int:
    moments = accumulate(backoff.next_s() for _ in range(100))
    return sum(1 for _ in takewhile(lambda moment_s: moment_s <= MINUTE_S, moments))


def test_delays_grow_up_to_the_longest_and_start_small_again() -> None:
    backoff = Backoff(1, 8)
    for ceiling_s in (1, 2, 4, 8, 8, 8):
        assert 0.5 <= backoff.next_s() <= ceiling_s
    backoff.reset()
    assert backoff.next_s() <= 1


def test_the_fixed_part_is_the_least_delay() -> None:
    backoff = Backoff(1, 8, fixed=0.5)
    for ceiling_s in (1, 2, 4, 8, 8, 8):
        assert ceiling_s / 2 <= backoff.next_s() <= ceiling_s


def test_bots_that_are_away_are_asked_six_times_a_minute_on_average() -> None:
    bots = 1_000
    counts = [attempts_in_a_minute(Backoff(3, 18, fixed=0.5)) for _ in range(bots)]
    assert 4 < sum(counts) / bots <= 6
