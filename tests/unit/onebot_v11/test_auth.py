"""The access token: which are given, which are right, and how often one may guess. S1, S3, S4."""

import hmac
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from frontends.onebot_v11 import auth
from frontends.onebot_v11.auth import MAX_ADDRESSES, WRONG_PER_MINUTE, Throttle, refusal, same

TOKEN = "tökén+1"


def request(*authorization: str, query: str = "") -> web.Request:
    headers = CIMultiDict(("Authorization", value) for value in authorization)
    return make_mocked_request("GET", f"/x?{query}", headers=headers)


def status(given: web.Request, token: str = TOKEN) -> int | None:
    refused = refusal(given, token, Throttle())
    return refused.status if refused else None


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (request(f"Bearer {TOKEN}"), None),
        (request(f"bearer {TOKEN}"), None),
        (request(f"Token {TOKEN}"), None),
        (request(query="access_token=t%C3%B6k%C3%A9n%2B1"), None),
        (request(query="%61ccess_token=t%c3%b6k%c3%a9n%2b1"), None),
        (request(query="access_token=x&access_token=t%C3%B6k%C3%A9n%2B1"), None),
        (request(f"Bearer {TOKEN}", query="access_token=x"), None),
        (request(), 401),
        (request(""), 401),
        (request("Bearer"), 401),
        (request("Bearer "), 401),
        (request(TOKEN), 401),
        (request(f"Basic {TOKEN}"), 401),
        (request(f"Bearer {TOKEN}", f"Bearer {TOKEN}"), 401),
        (request(query="access_token="), 401),
        (request(query="Access_Token=t%C3%B6k%C3%A9n%2B1"), 401),
        (request("Bearer wrong", query="access_token=t%C3%B6k%C3%A9n%2B1"), 403),
        (request(f"Bearer  {TOKEN}"), 403),
        (request(f"Bearer {TOKEN.upper()}"), 403),
        (request(f"Bearer {TOKEN[:-1]}"), 403),
        (request(query="access_token=%FF"), 403),
        (request(query="access_token=%ED%A0%80"), 403),
    ],
)
def test_no_token_is_401_a_wrong_one_403(given_: web.Request, expected: int | None) -> None:
    assert status(given_) == expected


def test_without_a_configured_token_nothing_is_asked() -> None:
    assert status(request("Token undefined"), token="") is None
    assert status(request(), token="") is None


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(codec="utf-8")))
def test_only_equal_tokens_are_the_same(one: str, other: str) -> None:
    assert same(one, other) == (one == other)
    assert same(one, one)


def test_tokens_are_compared_in_constant_time_as_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one length, whatever was given; a statistical test would only measure the machine."""
    compared: list[tuple[Any, Any]] = []
    right = hmac.compare_digest

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return right(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for given_ in ("", "x", TOKEN, "y" * 100_000, "\udcff"):
        same(given_, TOKEN)
    assert {type(value) for pair in compared for value in pair} == {bytes}
    assert {len(value) for pair in compared for value in pair} == {32}
    assert len(compared) == 5


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(auth, "time", clock)
    return clock


def test_guesses_are_counted_by_address_and_minute(clock: Clock) -> None:
    throttle = Throttle()
    assert [throttle.too_many("a") for _ in range(WRONG_PER_MINUTE)] == [False] * 20
    assert throttle.too_many("a")
    assert not throttle.too_many("b")
    clock.now += 59
    assert throttle.too_many("a")
    clock.now += 1
    assert not throttle.too_many("a")


def test_the_right_token_passes_while_others_guess(clock: Clock) -> None:
    throttle = Throttle()
    for _ in range(2 * WRONG_PER_MINUTE):
        refusal(request("Bearer wrong"), TOKEN, throttle)
    refused = refusal(request(), TOKEN, throttle)
    assert refused is not None
    assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
    assert refusal(request(f"Bearer {TOKEN}"), TOKEN, throttle) is None


def test_many_addresses_do_not_fill_the_memory(clock: Clock) -> None:
    throttle = Throttle()
    for address in range(MAX_ADDRESSES + 100):
        throttle.too_many(str(address))
    assert len(throttle._wrong) == MAX_ADDRESSES
