"""Shares add up, and replicas go for claims in orders of their own."""

from hypothesis import given
from hypothesis import strategies as st

from onebus import shares

KEYS = [f"account.t.{number}" for number in range(400)]


@given(st.integers(0, 10_000), st.integers(1, 100))
def test_shares_hold_all_claims_and_nobody_has_a_whole_share_too_much(
    claims: int, replicas: int
) -> None:
    share = shares.share(claims, replicas)
    assert share * replicas >= claims
    assert (share - 1) * replicas < max(claims, 1)


def test_replicas_of_one_configuration_share_and_others_do_not() -> None:
    assert shares.group(KEYS) == shares.group(reversed(KEYS))
    assert shares.group(KEYS) != shares.group(KEYS[1:])


def test_each_session_has_an_order_of_its_own_that_it_keeps() -> None:
    orders = [shares.in_turn(f"t.{number}", KEYS) for number in range(4)]
    assert all(sorted(order) == sorted(KEYS) for order in orders)
    firsts = [set(order[:100]) for order in orders]
    assert len(set.union(*firsts)) > 200  # 273 expected of orders that know nothing of each other
    assert shares.in_turn("t.1", reversed(KEYS)) == orders[1]


def test_who_is_alone_takes_a_small_installation_at_once_and_a_big_one_in_steps() -> None:
    assert shares.step(5) >= 5
    assert shares.step(400) == 100
