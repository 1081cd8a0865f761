"""What a connector is given, over a real NATS."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.fakes.outage import kill, outage

from onebus.bus import Bus
from onebus.embedded import EmbeddedNats
from onebus.errors import BusUnavailable, PlatformUnavailable
from onebus.event import MessageReceived, MessageSent, User, private_chat
from onebus.ids import MessageId, UserId, parse_account
from onebus.kit import BusKit, Outside
from onebus.segment import Text
from onebus.token import Token

ACCOUNT = parse_account("wechat.my.mp")
ALICE = User(UserId("alice"))


@pytest.fixture
async def kit(bus: Bus) -> AsyncIterator[BusKit]:
    async with aiohttp.ClientSession() as http:
        yield BusKit(bus, ACCOUNT, Outside(http), lambda: True)


def received(number: int, chat: str = "alice") -> MessageReceived:
    return MessageReceived(
        account=ACCOUNT,
        time_ms=number,
        chat=private_chat(UserId(chat)),
        message=MessageId(f"m{number}"),
        sender=ALICE,
        segments=(Text(str(number)),),
    )


def sent(number: int) -> MessageSent:
    return MessageSent(
        account=ACCOUNT,
        time_ms=number,
        chat=private_chat(UserId("alice")),
        message=MessageId(f"s{number}"),
        sender=ALICE,
        segments=(),
    )


async def test_one_chat_is_written_in_the_order_of_the_calls_also_through_an_outage(
    nats: EmbeddedNats, bus: Bus, kit: BusKit
) -> None:
    writing = [asyncio.ensure_future(kit.append(received(number))) for number in range(60)]
    await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
    async with outage(nats, bus):
        assert not all(task.done() for task in writing)
    sequences = await asyncio.gather(*writing)
    assert sequences == sorted(set(sequences))
    assert [await kit.append(received(number)) for number in range(60)] == sequences


async def test_an_append_that_cannot_be_made_says_so_in_time(
    nats: EmbeddedNats, kit: BusKit
) -> None:
    await kill(nats)
    started_at = time.monotonic()
    with pytest.raises(BusUnavailable):
        await kit.append(received(1), timeout_s=0.5)
    assert time.monotonic() - started_at < 3
    await nats.start()


async def test_what_cannot_fit_is_refused_at_once(kit: BusKit) -> None:
    huge = received(1)
    huge = MessageReceived(
        account=ACCOUNT,
        time_ms=1,
        chat=huge.chat,
        message=huge.message,
        sender=ALICE,
        segments=(Text("x" * (9 << 20)),),
    )
    started_at = time.monotonic()
    with pytest.raises(BusUnavailable, match="do not fit"):
        await kit.append(huge)
    assert time.monotonic() - started_at < 8
    assert await kit.append(received(2))


async def test_the_first_part_of_what_was_sent_is_the_answer(kit: BusKit) -> None:
    answer = await kit.append_sent([sent(1), sent(2)], degraded=("image",))
    assert answer.message == "s1"
    assert answer.degraded == ("image",)
    first, second = [
        await kit.log.of_message(ACCOUNT, sent(n).chat, sent(n).message) for n in (1, 2)
    ]
    assert first
    assert second
    assert answer.sequence == first.sequence < second.sequence


async def test_a_log_that_refuses_does_not_undo_the_sending(
    nats: EmbeddedNats, kit: BusKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> int:
        raise BusUnavailable("the event log is full")

    monkeypatch.setattr(kit.log, "append", refuse)
    answer = await kit.append_sent([sent(1)])
    assert (answer.message, answer.sequence) == ("s1", None)


class Platform:
    """Gives a new token at each call, as a platform that invalidates the one before."""

    def __init__(self, lasts_s: float = 7200) -> None:
        self.given = 0
        self.lasts_s = lasts_s

    async def __call__(self) -> Token:
        self.given += 1
        number = self.given
        await asyncio.sleep(0)
        return Token(f"token-{number}", time.time() + self.lasts_s)


async def test_replicas_share_a_token(bus: Bus, kit: BusKit) -> None:
    platform, other = Platform(), BusKit(bus, ACCOUNT, Outside(kit.http), lambda: True)
    tokens = await asyncio.gather(*(k.token("main", platform) for k in (kit, kit, kit)))
    assert set(tokens) == {"token-1"}
    assert await other.token("main", platform) == "token-1"
    assert await other.token("other", platform) == "token-2"
    elsewhere = BusKit(bus, parse_account("wechat.b"), Outside(kit.http), lambda: True)
    assert await elsewhere.token("main", platform) == "token-3"


async def test_a_rejected_token_is_replaced_once(bus: Bus, kit: BusKit) -> None:
    platform, other = Platform(), BusKit(bus, ACCOUNT, Outside(kit.http), lambda: True)
    assert await kit.token("main", platform) == "token-1"
    assert await kit.token("main", platform, stale="token-1") == "token-2"
    assert await other.token("main", platform, stale="token-1") == "token-2"
    assert platform.given == 2


async def test_a_token_at_its_end_is_replaced_and_racing_replicas_end_with_one(
    bus: Bus, kit: BusKit
) -> None:
    old, platform = Platform(lasts_s=0), Platform()
    assert await kit.token("main", old) == "token-1"
    replicas = [BusKit(bus, ACCOUNT, Outside(kit.http), lambda: True) for _ in range(5)]
    tokens = await asyncio.gather(*(replica.token("main", platform) for replica in replicas))
    assert len(set(tokens)) == 1
    assert await kit.token("main", platform) == tokens[0]
    assert platform.given == 1


async def test_a_source_that_fails_leaves_the_next_try_open(kit: BusKit) -> None:
    async def fail() -> Token:
        raise PlatformUnavailable("away")

    with pytest.raises(PlatformUnavailable):
        await kit.token("main", fail)
    assert await kit.token("main", Platform()) == "token-1"


def test_log_lines_name_the_account(kit: BusKit, caplog: pytest.LogCaptureFixture) -> None:
    kit.logger.warning("offline: %s", "why")
    assert caplog.messages == ["[wechat.my.mp] offline: why"]


async def test_ownership_is_asked_anew_each_time(bus: Bus, kit: BusKit) -> None:
    answers = iter([True, False])
    fenced = BusKit(bus, ACCOUNT, Outside(kit.http), lambda: next(answers))
    assert [fenced.owned(), fenced.owned()] == [True, False]
