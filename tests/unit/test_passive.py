"""A reply finds the replica that holds the platform's request, or says that there is none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from tests.fakes.outage import eventually

from onebus import passive as passive_module
from onebus.bus import Bus
from onebus.embedded import EmbeddedNats
from onebus.errors import OutcomeUnknown
from onebus.event import private_chat
from onebus.ids import MessageId, UserId, parse_account
from onebus.passive import BusPassive
from onebus.segment import Text, plain_text

AT_ONCE_S = passive_module.OFFER_S / 2  # who was not told would wait for all of it

ACCOUNT = parse_account("wechat.my.mp")
CHAT = private_chat(UserId("oAlice"))
HELLO = (Text("hello"),)


@asynccontextmanager
async def replica(nats: EmbeddedNats) -> AsyncIterator[BusPassive]:
    """Another process of the same connector."""
    async with Bus(nats.options(), "replica") as bus:
        await bus.wait_ready(5)
        yield BusPassive(bus, ACCOUNT)


async def heard(*holders: BusPassive) -> None:
    """NATS knows of all that these asked of it before."""
    for holder in holders:
        await holder.recall("anything")


async def take(holder: BusPassive, message: str, holding: asyncio.Event) -> str | None:
    async with holder.hold(CHAT) as held:
        await heard(holder)
        holding.set()
        offer = await held.next_offer(5)
        if offer is None:
            return None
        await offer.accept(MessageId(message))
        return plain_text(offer.segments)


async def test_an_offer_reaches_the_holder_on_another_replica(nats: EmbeddedNats, bus: Bus) -> None:
    async with replica(nats) as holder:
        holding = asyncio.Event()
        taking = asyncio.ensure_future(take(holder, "m1", holding))
        await holding.wait()
        owner = BusPassive(bus, ACCOUNT)
        assert await owner.offer(private_chat(UserId("oBob")), HELLO) is None
        assert await owner.offer(CHAT, HELLO) == "m1"
        assert await taking == "hello"


async def test_without_a_holder_there_is_nobody_to_take_it(bus: Bus) -> None:
    owner = BusPassive(bus, ACCOUNT)
    assert await owner.offer(CHAT, HELLO) is None
    async with owner.hold(CHAT) as held:
        assert await held.next_offer(0) is None
    assert await owner.offer(CHAT, HELLO) is None


async def test_of_two_holders_one_takes_it(nats: EmbeddedNats, bus: Bus) -> None:
    async with replica(nats) as one, replica(nats) as other:
        ready = [asyncio.Event(), asyncio.Event()]
        both = [
            asyncio.ensure_future(take(one, "m1", ready[0])),
            asyncio.ensure_future(take(other, "m2", ready[1])),
        ]
        await asyncio.gather(*(event.wait() for event in ready))
        owner = BusPassive(bus, ACCOUNT)
        assert await owner.offer(CHAT, HELLO) in ("m1", "m2")
        done, waiting = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == ["hello"]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_each_offer_goes_to_a_holder_that_still_waits(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that has its reply must not stand in the way of those that wait."""
    monkeypatch.setattr(passive_module, "ATTEMPTS", 1)
    owner, many = BusPassive(bus, ACCOUNT), 6
    async with replica(nats) as one, replica(nats) as other, AsyncExitStack() as stack:
        holds = [stack.enter_async_context((one, other)[n % 2].hold(CHAT)) for n in range(many)]
        waiting = [await hold for hold in holds]
        await heard(one, other)

        async def accept(number: int) -> None:
            if offer := await waiting[number].next_offer(5):
                await offer.accept(MessageId(f"m{number}"))

        accepting = [asyncio.ensure_future(accept(number)) for number in range(many)]
        taken = [await owner.offer(CHAT, HELLO) for _ in range(many)]
        assert sorted(map(str, taken)) == [f"m{number}" for number in range(many)]
        assert await owner.offer(CHAT, HELLO) is None
        await asyncio.gather(*accepting)


async def test_a_refused_offer_goes_to_nobody_or_the_next(bus: Bus) -> None:
    owner = BusPassive(bus, ACCOUNT)
    async with owner.hold(CHAT) as held:
        offering = asyncio.ensure_future(owner.offer(CHAT, HELLO))
        offer = await held.next_offer(5)
        assert offer
        await offer.refuse()
    assert await offering is None


async def test_an_offer_that_nobody_looked_at_comes_back_at_once(bus: Bus) -> None:
    owner = BusPassive(bus, ACCOUNT)
    async with owner.hold(CHAT) as held:
        offering = asyncio.ensure_future(owner.offer(CHAT, HELLO))
        await eventually(held._first.done)
    assert await asyncio.wait_for(offering, AT_ONCE_S) is None


async def test_offers_in_the_moment_of_the_end_are_not_lost(bus: Bus) -> None:
    owner = BusPassive(bus, ACCOUNT)
    for _ in range(20):
        async with owner.hold(CHAT):
            offering = asyncio.ensure_future(owner.offer(CHAT, HELLO))
            await asyncio.sleep(0)
        assert await asyncio.wait_for(offering, AT_ONCE_S) is None


async def test_a_holder_that_vanishes_leaves_the_outcome_unknown(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passive_module, "OFFER_S", 0.3)
    owner = BusPassive(bus, ACCOUNT)
    async with replica(nats) as holder, holder.hold(CHAT) as held:
        await heard(holder)
        with pytest.raises(OutcomeUnknown):
            await owner.offer(CHAT, HELLO)
        assert await held.next_offer(0)


async def test_a_reply_is_remembered_once_and_found_by_every_replica(
    nats: EmbeddedNats, bus: Bus
) -> None:
    async with replica(nats) as other:
        one = BusPassive(bus, ACCOUNT)
        assert await other.recall("msg.1*>") is None
        assert await one.remember("msg.1*>", b"<xml/>")
        assert not await other.remember("msg.1*>", b"another")
        assert await other.recall("msg.1*>") == b"<xml/>"
        assert await BusPassive(bus, parse_account("wechat.b")).recall("msg.1*>") is None
