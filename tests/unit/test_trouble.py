"""Troubles of a connection are said once, whatever comes how often."""

import logging
import ssl

import nats.errors
import pytest

from onebus.trouble import MAX_SAID, Troubles

FORBIDDEN = 'nats: permissions violation for {} to "{}"'


@pytest.fixture
def troubles() -> Troubles:
    return Troubles("nats://here:4222", "frontend-ws")


def forbidden(troubles: Troubles, doing: str, subject: str) -> None:
    troubles.tell(nats.errors.Error(FORBIDDEN.format(doing, subject)), connected=True)


def test_what_is_forbidden_is_said_with_whom_what_and_where_to_look(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    forbidden(troubles, "publish", "onebus.events.aa.wechat.mp.message.p-alice.1")
    forbidden(troubles, "publish", "onebus.events.aa.wechat.mp.message.p-bob.2")
    forbidden(troubles, "subscription", 'onebus.actions.>" using queue "x')
    troubles.over()
    forbidden(troubles, "publish", "onebus.events.aa.wechat.mp.message.p-alice.3")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert said[0].startswith(
        "NATS at nats://here:4222 forbids the user 'frontend-ws' to publish to"
        " onebus.events.aa.wechat.mp.…: "
    )
    assert "bus.user" in said[0]
    assert "onebus bus setup --auth" in said[0]
    assert "alice" not in caplog.text
    assert "to subscribe to onebus.actions.>: " in said[1]
    assert troubles.last == ""


def test_a_flood_ends(troubles: Troubles, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(10 * MAX_SAID):
        forbidden(troubles, "publish", f"x{number}")
        troubles.tell(OSError(f"{number}"), connected=False)
    assert len(caplog.records) == 2 * MAX_SAID


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (
            nats.errors.Error("nats: 'Authorization Violation'"),
            "bus.user (frontend-ws) or bus.password is wrong",
        ),
        (nats.errors.AuthorizationError(), "bus.user (frontend-ws) or bus.password is wrong"),
        (
            ssl.SSLCertVerificationError(1, "certificate verify failed"),
            "bus.tls.ca must hold the CA that signed the server's certificate",
        ),
    ],
)
def test_what_keeps_from_connecting_has_a_hint(
    troubles: Troubles, caplog: pytest.LogCaptureFixture, error: Exception, hint: str
) -> None:
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_code = 20
    for _ in range(2):
        troubles.tell(error, connected=False)
        troubles.tell(ConnectionResetError("reset"), connected=False)
    assert troubles.last.endswith(hint)
    assert [hint in record.getMessage() for record in caplog.records] == [True, False]


def test_a_refusal_is_not_forgotten_when_a_write_finds_that_the_server_hung_up(
    troubles: Troubles,
) -> None:
    troubles.tell(ssl.SSLError("certificate required"), connected=False)
    troubles.tell(BrokenPipeError(32, ""), connected=False)
    assert "certificate required" in troubles.last
