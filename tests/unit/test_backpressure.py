"""Receiving while NATS is away: a polling connector stops, a webhook is told to come again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.fakes import chat_platform
from tests.fakes.chat_platform import ACCOUNT, Config, Replica
from tests.fakes.outage import eventually, outage

from onebus import subjects
from onebus.bus import Bus
from onebus.connector import Connector, Kit, SelfInfo, WebhookReply, WebhookRequest
from onebus.embedded import EmbeddedNats
from onebus.errors import BusUnavailable, RateLimited
from onebus.event import MessageReceived, MessageSent, User, private_chat
from onebus.ids import MessageId, UserId
from onebus.kit import BusKit, Outside
from onebus.log import Log
from onebus.segment import Text, plain_text

BATCH = 5


class Upstream:
    """A platform that keeps its updates until they are acknowledged by the next poll."""

    def __init__(self) -> None:
        self.made = 0
        self.polls = 0
        self.acknowledged = 0
        self.most_taken = 0
        self.webhooks = 0

    async def poll(self, after: int) -> list[int]:
        """What came after this one; there is always more."""
        self.polls += 1
        self.acknowledged = max(self.acknowledged, after)
        self.made = max(self.made, after + BATCH)
        self.most_taken = max(self.most_taken, self.made - after)
        await asyncio.sleep(0.005)
        return list(range(after + 1, after + 1 + BATCH))


def received(number: int, chat: str = "alice") -> MessageReceived:
    return MessageReceived(
        account=ACCOUNT,
        time_ms=number,
        chat=private_chat(UserId(chat)),
        message=MessageId(f"m{number}"),
        sender=User(UserId("alice")),
        segments=(Text(str(number)),),
    )


def polling(upstream: Upstream) -> type[Connector[Config]]:
    class Polling(Connector[Config]):
        Config = Config

        def __init__(self, config: chat_platform.Config, kit: Kit) -> None:
            super().__init__(config, kit)
            self.offset = 0

        async def open(self) -> SelfInfo:
            return SelfInfo(User(UserId("bot"), "Bot"))

        async def run(self) -> None:
            while True:
                await self.kit.ready()
                for number in await upstream.poll(self.offset):
                    await self._append(number)
                    self.offset = number

        async def _append(self, number: int) -> None:
            while True:
                try:
                    await self.kit.append(received(number))
                    return
                except BusUnavailable:
                    await self.kit.ready()

        async def webhook(self, request: WebhookRequest) -> WebhookReply:
            upstream.webhooks += 1
            return WebhookReply()

    return Polling


@pytest.fixture
async def connection(nats: EmbeddedNats, bus: Bus) -> AsyncIterator[Bus]:
    async with Bus(nats.options(), "connector") as made:
        await made.wait_ready(5)
        yield made


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def replica(connection: Bus, upstream: Upstream) -> AsyncIterator[Replica]:
    async with aiohttp.ClientSession() as http:
        made = Replica(connection, polling(upstream), http)
        made.start()
        yield made
        await made.kill()


async def test_without_nats_the_platform_is_not_polled_and_afterwards_nothing_is_missing(
    nats: EmbeddedNats, bus: Bus, connection: Bus, replica: Replica, upstream: Upstream
) -> None:
    await eventually(lambda: upstream.acknowledged > 50)
    async with outage(nats, bus, connection):
        await asyncio.sleep(0.5)  # a poll that was under way, and its appends
        polls, tasks = upstream.polls, len(asyncio.all_tasks())
        await asyncio.sleep(3)  # the length of the outage
        assert upstream.polls <= polls + 1
        assert len(asyncio.all_tasks()) <= tasks + 1
        assert upstream.most_taken <= BATCH
    there = upstream.acknowledged
    await eventually(lambda: upstream.acknowledged > there + 50)
    await replica.kill()
    found = await Log(bus).read(subjects.messages_of(ACCOUNT, private_chat(UserId("alice"))))
    numbers = [int(plain_text(_message(stored.event).segments)) for stored in found]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= upstream.acknowledged


def _message(event: Any) -> MessageReceived:
    assert isinstance(event, MessageReceived)
    return event


async def test_who_does_not_own_the_account_does_not_poll(
    replica: Replica, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    await eventually(lambda: upstream.acknowledged > 10)
    monkeypatch.setattr(replica.host._lease, "owned", lambda _: False)
    await asyncio.sleep(0.2)  # a poll that was under way
    polls = upstream.polls
    await asyncio.sleep(0.5)
    assert upstream.polls == polls


class Asks:
    """What `AccountHost.webhook` needs of an aiohttp request."""

    method, query, headers = "POST", {}, {}  # type: ignore[var-annotated]

    async def read(self) -> bytes:
        return b""


async def test_a_webhook_is_told_to_come_again_at_once(
    nats: EmbeddedNats,
    connection: Bus,
    replica: Replica,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = replica.host._hosts[0]
    request: web.Request = Asks()  # type: ignore[assignment]
    assert (await host.webhook(request)).status == 200
    async with outage(nats, connection):
        with pytest.raises(BusUnavailable):
            await asyncio.wait_for(host.webhook(request), 2)
    assert upstream.webhooks == 1
    monkeypatch.setattr("onebus.host.MAX_WEBHOOKS", 0)
    with pytest.raises(BusUnavailable, match="try again"):
        await host.webhook(request)


@pytest.fixture
async def kit(bus: Bus) -> AsyncIterator[BusKit]:
    async with aiohttp.ClientSession() as http:
        yield BusKit(bus, ACCOUNT, Outside(http), lambda: True)


@pytest.fixture
async def few(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("onebus.kit.MAX_APPENDS", 20)
    return 20


async def test_appends_on_their_way_are_bounded_and_what_was_sent_is_logged_all_the_same(
    nats: EmbeddedNats, bus: Bus, kit: BusKit, few: int
) -> None:
    sent = MessageSent(
        account=ACCOUNT,
        time_ms=1,
        chat=private_chat(UserId("bob")),
        message=MessageId("s1"),
        sender=User(UserId("bot")),
        segments=(),
    )
    ready: asyncio.Future[None]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(outage(nats, bus))
        waiting = [asyncio.ensure_future(kit.append(received(n, str(n)))) for n in range(few)]
        await asyncio.sleep(0)
        with pytest.raises(RateLimited):
            await kit.append(received(few, "another"))
        noting = asyncio.ensure_future(kit.append_sent([sent]))
        ready = asyncio.ensure_future(kit.ready())
        await asyncio.wait({ready}, timeout=0.3)
        assert not ready.done()
    await asyncio.gather(*waiting)
    assert (await noting).sequence
    await asyncio.wait_for(ready, 10)
    assert await kit.append(received(few, "another"))


async def test_a_chat_that_stands_still_does_not_hold_an_append_beyond_its_time(
    nats: EmbeddedNats, bus: Bus, kit: BusKit
) -> None:
    async with outage(nats, bus):
        first = asyncio.ensure_future(kit.append(received(1), timeout_s=5))
        second = asyncio.ensure_future(kit.append(received(2), timeout_s=0.3))
        (failed,) = await asyncio.wait_for(asyncio.gather(second, return_exceptions=True), 3)
        assert isinstance(failed, Exception)
        assert not first.done()
    assert await first
    assert await kit.append(received(2))
