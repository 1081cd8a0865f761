"""How far a bot is behind, and the alarm when the log forgets what it waits for."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from frontends.onebot_v11.config import Config
from frontends.onebot_v11.lag import Lag
from frontends.onebot_v11.target import Target, targets
from onebus import metrics
from onebus.bus import Bus
from onebus.event import Chat, MessageReceived, User
from onebus.ids import Account, ChatId, MessageId, UserId, parse_account
from onebus.log import Log
from onebus.setup import Storage, set_up

OTHER = parse_account("sandbox.other")


class Stand:
    """A log that holds ten events, and a bot's place in it that a test moves."""

    def __init__(self, bus: Bus, name: str) -> None:
        account = parse_account(f"sandbox.{name}")
        (self.target,) = targets(account, Config(ws_reverse=(f"ws://{name}.test/",)))
        self.log = Log(bus)
        self.progress = SimpleNamespace(position=0)
        session: Any = SimpleNamespace(log=self.log)
        progress: Any = self.progress
        self.lag = Lag(session, self.target, progress)
        self._number = 0

    async def happens(self, count: int, account: Account | None = None) -> int:
        """The last sequence of so many new events."""
        sequence = 0
        for _ in range(count):
            self._number += 1
            sequence = await self.log.append(
                MessageReceived(
                    account=account or self.target.account,
                    time_ms=1,
                    chat=Chat("group", ChatId("g")),
                    message=MessageId(f"{self._number}"),
                    sender=User(UserId("u")),
                    segments=(),
                )
            )
        return sequence

    async def look(self) -> None:
        await self.lag.look(await self.log.extent())

    def value(self, name: str, of: Target | None = None) -> float | None:
        labels = (of or self.target).way._asdict()
        return metrics.REGISTRY.get_sample_value(f"onebus_{name}", labels)


async def stand(bus: Bus, name: str) -> Stand:
    await set_up(bus, Storage(max_messages=10))
    return Stand(bus, name)


async def test_events_and_seconds_behind(bus: Bus) -> None:
    there = await stand(bus, "behind")
    await there.look()
    assert there.value("target_lag_events") is None  # it has not begun
    there.progress.position = await there.happens(1)
    await there.look()
    assert (there.value("target_lag_events"), there.value("target_lag_seconds")) == (0, 0)
    await there.happens(2, OTHER)
    await there.look()
    assert there.value("target_lag_events") == 0  # nothing of it is for this bot
    await there.happens(3)
    await there.look()
    assert there.value("target_lag_events") == 5
    seconds = there.value("target_lag_seconds")
    assert seconds is not None
    assert 0 < seconds < 30
    there.lag.forget()
    assert there.value("target_lag_events") is None


async def test_the_alarm_when_the_log_forgets_what_was_waited_for(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "frontends.onebot_v11.lag")
    there = await stand(bus, "evicted")
    there.progress.position = await there.happens(1)
    await there.look()
    await there.happens(8)
    await there.look()
    assert caplog.messages == []
    await there.happens(4)  # of these eight three go
    await there.look()
    assert there.value("events_evicted_total") == 2
    await there.happens(5)
    await there.look()
    assert there.value("events_evicted_total") == 7
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "sandbox.evicted: ws://evicted.test/: the log forgets events" in record.getMessage()
    # It comes back and has everything: the next time is told again.
    there.progress.position = await there.happens(1)
    await there.look()
    await there.happens(30)
    await there.look()
    assert len(caplog.records) == 2


async def test_what_was_evicted_and_not_the_bots_is_no_alarm(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    there = await stand(bus, "quiet")
    there.progress.position = await there.happens(1)
    await there.look()
    for _ in range(5):
        await there.happens(5, OTHER)
        await there.look()
    await there.happens(1)
    await there.happens(5, OTHER)
    await there.look()
    assert there.value("target_lag_events") == 31
    assert there.value("events_evicted_total") is None
    assert caplog.messages == []
