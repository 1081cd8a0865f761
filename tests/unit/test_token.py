"""Tokens of several replicas: never two that fetch at once, and nobody stuck on a dead one."""

import asyncio

import pytest

from onebus.errors import BusError, PlatformUnavailable
from onebus.ids import parse_account
from onebus.testing.memory_bus import MemoryBucket, MemoryBus
from onebus.token import FETCH_S, TOKEN_MARGIN_S, Token, Tokens

ACCOUNT = parse_account("wechat.a")


class Platform:
    """Ends the token before with each new one, as many platforms do."""

    def __init__(self, lasts_s: float = 7200) -> None:
        self.lasts_s = lasts_s
        self.now = 1000.0
        self.given = 0
        self.at_once = self.most_at_once = 0

    def now_s(self) -> float:
        return self.now

    async def __call__(self) -> Token:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        for _ in range(20):
            await asyncio.sleep(0)
        self.given += 1
        self.at_once -= 1
        return Token(f"token-{self.given}", self.now + self.lasts_s)

    @property
    def valid(self) -> str:
        return f"token-{self.given}"


def replicas(platform: Platform, count: int, bus: MemoryBus | None = None) -> list[Tokens]:
    bus = bus or MemoryBus()
    return [Tokens(MemoryBucket(bus, "tokens"), ACCOUNT, platform.now_s) for _ in range(count)]


async def all_ask(tokens: list[Tokens], platform: Platform, stale: str | None = None) -> set[str]:
    asked = (one.get("main", platform, stale) for one in tokens for _ in range(3))
    return set(await asyncio.gather(*asked))


async def test_racing_replicas_never_fetch_at_once_and_end_with_the_valid_one() -> None:
    platform = Platform()
    tokens = replicas(platform, 6)
    assert await all_ask(tokens, platform) == {"token-1"}
    assert await all_ask(tokens, platform, stale="token-1") == {"token-2"}
    platform.now += platform.lasts_s
    assert await all_ask(tokens, platform) == {"token-3"} == {platform.valid}
    assert platform.most_at_once == 1


async def test_a_token_near_its_end_serves_until_there_is_another() -> None:
    platform = Platform()
    tokens = replicas(platform, 2)
    await all_ask(tokens, platform)
    platform.now += platform.lasts_s - TOKEN_MARGIN_S + 1
    assert await all_ask(tokens, platform) == {"token-1", "token-2"}
    assert await all_ask(tokens, platform) == {"token-2"}


async def test_a_token_of_a_short_life_is_not_fetched_at_each_use() -> None:
    platform = Platform(lasts_s=60)
    (tokens,) = replicas(platform, 1)
    for _ in range(5):
        assert await tokens.get("main", platform, None) == "token-1"
    platform.now += 46
    assert await tokens.get("main", platform, None) == "token-2"


async def test_a_replica_that_dies_while_it_fetches_is_not_waited_for_for_ever() -> None:
    platform, begun, bus = Platform(), asyncio.Event(), MemoryBus()

    async def never() -> Token:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    dead, living = replicas(platform, 2, bus)
    hanging = asyncio.ensure_future(dead.get("main", never, None))
    await begun.wait()
    waiting = asyncio.ensure_future(living.get("main", platform, None))
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    assert not done
    platform.now += FETCH_S
    assert await waiting == "token-1"
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert await living.get("main", platform, None) == "token-1"


async def test_a_fetch_that_fails_leaves_the_next_one_open_at_once() -> None:
    platform = Platform()
    first, second = replicas(platform, 2)

    async def fail() -> Token:
        raise PlatformUnavailable("away")

    with pytest.raises(PlatformUnavailable):
        await first.get("main", fail, None)
    async with asyncio.timeout(10):
        assert await second.get("main", platform, None) == "token-1"


async def test_without_nats_there_is_none() -> None:
    platform, bus = Platform(), MemoryBus()
    (tokens,) = replicas(platform, 1, bus)
    bus.available = False
    with pytest.raises(BusError):
        await tokens.get("main", platform, None)
    assert platform.given == 0
