"""The loop that keeps a connection: what ends it, how long it waits, and what it says."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from onebus import reconnect
from onebus.backoff import Backoff
from onebus.errors import (
    AuthFailed,
    BusUnavailable,
    Misconfigured,
    NotReady,
    OnebusError,
    PlatformUnavailable,
    RateLimited,
)
from onebus.reconnect import STABLE_S, Reconnecting

LOGGER = logging.LoggerAdapter(logging.getLogger("test.reconnect"), {})


class Line:
    """A connection that a test scripts: how long each stands, and how it ends."""

    def __init__(self, *ends: tuple[float | None, OnebusError | None]) -> None:
        self.ends = list(ends)
        self.now = 0.0
        self.dialled: list[float] = []
        self.waits: list[float] = []
        self.readied = 0

    def now_s(self) -> float:
        return self.now

    async def ready(self) -> None:
        self.readied += 1

    async def connect(self, up: Callable[[], None]) -> None:
        self.dialled.append(self.now)
        stands_s, error = self.ends.pop(0)
        if stands_s is not None:
            up()
            up()
            self.now += stands_s
        if error:
            raise error

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    async def run(self, monkeypatch: pytest.MonkeyPatch, patience_s: float = 1e9) -> OnebusError:
        monkeypatch.setattr("onebus.backoff.asyncio.sleep", self.sleep)
        monkeypatch.setattr("onebus.backoff.random.uniform", lambda _, most: most)
        loop = Reconnecting(
            self.ready, LOGGER, patience_s=patience_s, backoff=Backoff(1, 60), now_s=self.now_s
        )
        with pytest.raises(OnebusError) as caught:
            await loop.run(self.connect)
        return caught.value


AWAY = PlatformUnavailable("no connection")
END = AuthFailed("the token was revoked")


async def test_waits_grow_until_it_was_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(*[(None, AWAY)] * 3, (STABLE_S - 1, None), (STABLE_S, AWAY), (None, AWAY), (0, END))
    assert await line.run(monkeypatch) is END
    assert line.waits == [1, 2, 4, 8, 1, 2]
    assert line.readied == len(line.dialled) == 7


@pytest.mark.parametrize("error", [AuthFailed("revoked"), Misconfigured("wrong")])
async def test_what_a_human_must_mend_ends_it_at_once(
    monkeypatch: pytest.MonkeyPatch, error: OnebusError
) -> None:
    line = Line((5.0, error))
    assert await line.run(monkeypatch) is error
    assert line.waits == []


@pytest.mark.parametrize("error", [NotReady("x"), AWAY, BusUnavailable("x"), None])
async def test_everything_else_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: OnebusError | None
) -> None:
    line = Line((5.0, error), (0, END))
    assert await line.run(monkeypatch) is END


async def test_after_its_patience_the_account_is_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line((100.0, AWAY), *[(None, AWAY)] * 20)
    error = await line.run(monkeypatch, patience_s=30)
    assert isinstance(error, NotReady)
    assert "no connection" in str(error)
    assert 130 <= line.now <= 100 + 2 * 30 + 1
    at_once = Line((1e6, None))
    assert isinstance(await at_once.run(monkeypatch, patience_s=0), NotReady)
    never_up = Line(*[(None, AWAY)] * 20)
    assert isinstance(await never_up.run(monkeypatch, patience_s=30), NotReady)


async def test_a_platform_may_ask_for_a_longer_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line((None, RateLimited("slow", retry_after_s=20)), (0, END))
    await line.run(monkeypatch)
    assert line.waits == [20]


async def test_it_is_said_once_down_and_once_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    line = Line((99.0, AWAY), *[(None, AWAY)] * 4, (99.0, None), (0, END))
    await line.run(monkeypatch)
    assert caplog.messages == [
        "connected",
        "connection lost: no connection",
        "connected",
        "connection lost: the platform ended the connection",
        "connected",
    ]


async def test_it_can_be_cancelled_at_any_place() -> None:
    async def connect(up: Callable[[], None]) -> None:
        raise AWAY

    async def ready() -> None:
        pass

    loop = asyncio.ensure_future(Reconnecting(ready, LOGGER).run(connect))
    done, _ = await asyncio.wait({loop}, timeout=0.05)
    assert not done
    loop.cancel()
    done, _ = await asyncio.wait({loop}, timeout=1)
    assert done
    assert reconnect.FIRST_S < 1
