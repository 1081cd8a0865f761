"""What the log says of a bot that cannot be reached, and how often."""

import logging
from unittest.mock import Mock

import aiohttp
import pytest

from frontends.onebot_v11.reach import Reach, Trouble, closed, trouble_of

REFUSED = Trouble("connection refused", "is it running?")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_a_cause_is_said_once(lines: pytest.LogCaptureFixture) -> None:
    reach = Reach("bot", "connected")
    for _ in range(3):
        reach.lost(REFUSED)
    reach.lost(Trouble("no answer"))
    assert lines.messages == ["bot: connection refused; is it running?", "bot: no answer"]


def test_up_again_is_said_once(lines: pytest.LogCaptureFixture) -> None:
    reach = Reach("bot", "connected")
    reach.lost(REFUSED)
    reach.found()
    reach.found()
    assert lines.messages[1:] == ["bot: connected"]


def test_a_bot_that_drops_us_again_and_again_makes_two_lines(
    lines: pytest.LogCaptureFixture,
) -> None:
    reach = Reach("bot", "connected")
    for _ in range(5):
        reach.found()
        reach.lost(closed(1008))
    assert len(lines.messages) == 3  # connected, closed, connected


def test_after_a_good_time_it_is_news_again(lines: pytest.LogCaptureFixture) -> None:
    reach = Reach("bot", "connected")
    for _ in range(2):
        reach.found()
        reach.steady()
        reach.lost(REFUSED)
    assert len(lines.messages) == 4


@pytest.mark.parametrize(
    ("status", "cause", "fix"),
    [
        (401, "it wants a token (HTTP 401)", "set access_token"),
        (403, "it refuses us (HTTP 403)", "compare access_token"),
        (404, "it has nothing at this path (HTTP 404)", "/onebot/v11/ws"),
        (200, "no WebSocket there (HTTP 200)", "compare the address"),
    ],
)
def test_what_a_refused_handshake_means(status: int, cause: str, fix: str) -> None:
    error = aiohttp.WSServerHandshakeError(Mock(), (), status=status)
    trouble = trouble_of(error)
    assert trouble.cause == cause
    assert fix in trouble.fix


def test_what_a_failed_connection_means() -> None:
    refused = aiohttp.ClientConnectorError(Mock(), OSError(111, "Connect call failed ('::1', 9)"))
    assert trouble_of(refused).cause == "connection refused"
    assert trouble_of(aiohttp.ClientConnectorError(Mock(), OSError())).cause == "not reachable"
    assert trouble_of(TimeoutError()).cause == "no answer in time"
    assert trouble_of(aiohttp.ServerDisconnectedError()).cause == "it hung up in the middle"
    assert "1008" in closed(1008).cause
    assert closed(1006).cause == "the connection broke"
