"""A stale owner stores nothing, the present one everything: on a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.fakes.chat_platform import ACCOUNT, Behaviour, connector, stage
from tests.fakes.outage import eventually

from onebus import subjects
from onebus.bus import Bus
from onebus.embedded import EmbeddedNats
from onebus.errors import BusTimeout
from onebus.event import MessageReceived, User, group_chat
from onebus.fence import Fence, NotOwner
from onebus.ids import ChatId, MessageId, UserId
from onebus.log import Log, Stored

CHAT = group_chat(ChatId("lobby"))
OWNER = f"onebus.{subjects.owner(ACCOUNT)}"


class Owner:
    """A process that owns the account, or believes so. Its appends wait while `free` is clear."""

    def __init__(self, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
        self.owned = True
        self.bus = bus
        self.log = Log(bus)
        self.fence = Fence(bus, self.log, ACCOUNT, lambda: self.owned)
        self.free = asyncio.Event()
        self.free.set()
        self.waiting = asyncio.Event()
        self.lose_acks = 0
        self._store = bus.store
        monkeypatch.setattr(bus, "store", self._gated)

    async def _gated(self, subject: str, *arguments: Any, **options: Any) -> int:
        self.waiting.set()
        await self.free.wait()
        sequence = await self._store(subject, *arguments, **options)
        if self.lose_acks and subject != OWNER:
            self.lose_acks -= 1
            raise BusTimeout("the ack was lost")
        return sequence


@asynccontextmanager
async def owner(nats: EmbeddedNats, patch: pytest.MonkeyPatch) -> AsyncIterator[Owner]:
    async with Bus(nats.options(), "owner") as bus:
        await bus.wait_ready(5)
        yield Owner(bus, patch)


def received(text: str) -> MessageReceived:
    return MessageReceived(
        account=ACCOUNT,
        time_ms=1,
        chat=CHAT,
        message=MessageId(text),
        sender=User(UserId("alice")),
        segments=(),
    )


async def stored(bus: Bus) -> list[str]:
    log = Log(bus)
    found = await log.read(subjects.events_of(ACCOUNT))
    assert log.dropped == 0  # the records of owners are no dirt
    return [entry.event.message for entry in found if isinstance(entry.event, MessageReceived)]


async def test_a_stale_owner_stores_nothing_and_the_present_one_everything(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped between its last look at the claim and the append, as by SIGSTOP."""
    async with owner(nats, monkeypatch) as old, owner(nats, monkeypatch) as new:
        await old.fence.take()
        await old.fence.append(received("before"))
        old.free.clear()
        old.waiting.clear()
        late = [
            asyncio.ensure_future(old.fence.append(received(f"stale {n}"), timeout_s=1))
            for n in range(55)
        ]
        await asyncio.wait_for(old.waiting.wait(), 5)
        old.owned = False
        await new.fence.take()
        sequences = [await new.fence.append(received(f"new {n}")) for n in range(20)]
        old.free.set()
        results = await asyncio.gather(*late, return_exceptions=True)
        assert [type(result) for result in results] == [NotOwner] * 55
        more = [await new.fence.append(received(f"more {n}")) for n in range(20)]
        assert sequences + more == sorted({*sequences, *more})
    expected = ["before", *(f"new {n}" for n in range(20)), *(f"more {n}" for n in range(20))]
    assert await stored(bus) == expected


async def test_an_append_after_a_lost_ack_is_the_same_entry(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with owner(nats, monkeypatch) as mine:
        await mine.fence.take()
        mine.lose_acks = 2
        first = await mine.fence.append(received("1"))
        assert mine.lose_acks == 0
        assert await mine.fence.append(received("1")) == first
        assert await mine.fence.append(received("2")) == first + 1
    assert await stored(bus) == ["1", "2"]


async def test_an_owner_whose_record_the_log_forgot_writes_it_again(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with owner(nats, monkeypatch) as mine:
        await mine.fence.take()
        await mine.fence.append(received("1"))
        await bus.api("STREAM.PURGE.onebus_events", {"filter": OWNER})
        assert await bus.last("onebus_events", OWNER) is None
        await asyncio.gather(*(mine.fence.append(received(f"{n}")) for n in range(2, 30)))
    assert await stored(bus) == [str(n) for n in range(1, 30)]
    assert await bus.last("onebus_events", OWNER)


async def test_who_is_not_certain_to_be_the_owner_waits_for_it(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NATS was away: the claim cannot be proven, and is most likely still ours."""
    async with owner(nats, monkeypatch) as mine:
        await mine.fence.take()
        mine.owned = False
        waiting = asyncio.ensure_future(mine.fence.append(received("1")))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        mine.owned = True
        assert await waiting
    assert await stored(bus) == ["1"]


async def test_a_reader_passes_the_records_of_owners_by(
    nats: EmbeddedNats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[Stored] = []
    async with owner(nats, monkeypatch) as mine:
        follow = mine.log.follow([subjects.events_of(ACCOUNT)], got.append, start=1)
        async with follow as reader:
            await mine.fence.take()
            await mine.fence.take()
            await mine.fence.append(received("1"))
            await eventually(lambda: len(got) == 1)
            assert reader.handled == got[0].sequence


async def test_each_owner_of_a_platform_with_synthetic_ids_shuts_out_the_one_before(
    nats: EmbeddedNats, bus: Bus
) -> None:
    async with stage(nats) as on:
        kinds = [connector(Behaviour()), connector(Behaviour())]
        for kind in kinds:
            kind.event_ids = "synthetic"
        first, second = [await on.replica(kind) for kind in kinds]
        hosts = [replica.host._hosts[0] for replica in (first, second)]
        await eventually(lambda: any(host._actions.taking() for host in hosts))
        if hosts[1]._actions.taking():
            first, second = second, first
            hosts.reverse()
        await hosts[0].connector.kit.append(received("1"))
        with pytest.raises(NotOwner):
            await hosts[1].connector.kit.append(received("not mine"), timeout_s=0.1)
        before = await bus.last("onebus_events", OWNER)
        assert before
        await first.host._lease.release()
        await eventually(hosts[1]._actions.taking)
        await hosts[1].connector.kit.append(received("2"))
        after = await bus.last("onebus_events", OWNER)
        assert after
        assert after.sequence > before.sequence
    assert await stored(bus) == ["1", "2"]
