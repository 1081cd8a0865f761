"""A stream that takes nothing is said once, and once when it takes something again."""

import logging

import pytest

from onebus.bus import StoreRefused
from onebus.errors import BusError, BusTimeout
from onebus.refusals import NO_ANSWER, Refusals, decode_ack

LOG, SESSIONS = "onebus.events.00.sandbox.demo.message.c.m", "$KV.onebus_sessions.a"


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"null", b"[]", b"{}", b'{"seq": "x"}', b'{"seq": 0}']
)
def test_an_answer_that_names_no_sequence_is_a_refusal(body: bytes) -> None:
    """Whoever is asked to store something may be no JetStream."""
    ack = decode_ack(body)
    assert (ack.seq, ack.error and ack.error.err_code) == (0, 0)


def test_what_an_ack_says() -> None:
    assert decode_ack(b'{"stream": "S", "seq": 7, "duplicate": true}').seq == 7
    full = decode_ack(b'{"error": {"code": 503, "err_code": 10077, "description": "full"}}').error
    assert full
    assert (full.err_code, full.description) == (10077, "full")


def store(refusals: Refusals, subject: str, error: BusError | None = None) -> None:
    if error:
        refusals.failed(subject, error)
    else:
        refusals.stored(subject)


@pytest.mark.parametrize("code", [10023, 10047, 10077])
def test_each_stream_is_told_once(caplog: pytest.LogCaptureFixture, code: int) -> None:
    caplog.set_level(logging.INFO, "onebus.refusals")
    refusals = Refusals(lambda: True)
    for _ in range(3):
        store(refusals, LOG, StoreRefused(code, "full"))
        store(refusals, SESSIONS)
    store(refusals, SESSIONS, BusTimeout("late"))
    for _ in range(2):
        store(refusals, LOG)
        store(refusals, SESSIONS)
    assert caplog.messages == [
        f"NATS stores nothing at onebus.events: full (JetStream error {code})",
        f"NATS stores nothing at $KV.onebus_sessions: {NO_ANSWER}",
        "NATS stores at onebus.events again",
        "NATS stores at $KV.onebus_sessions again",
    ]


def test_what_is_no_lack_of_room_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "onebus.refusals")
    store(Refusals(lambda: True), LOG, StoreRefused(10071, "wrong last sequence"))
    store(Refusals(lambda: False), LOG, BusTimeout("NATS is away, which is said elsewhere"))
    assert caplog.messages == []
