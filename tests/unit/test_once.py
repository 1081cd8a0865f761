"""Idempotency keys: one platform call per key, whoever owns the account, whatever dies."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.fakes.chat_platform import ACCOUNT, Stage, said, serving, stage
from tests.fakes.outage import eventually, outage

from onebus import action as act
from onebus import subjects
from onebus.action import Request, Response, Sent
from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.caller import NOT_OWNER
from onebus.codec import decode, encode
from onebus.embedded import EmbeddedNats
from onebus.errors import (
    BadParams,
    BusTimeout,
    BusUnavailable,
    Forbidden,
    InternalError,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
)
from onebus.event import User
from onebus.ids import MessageId, UserId
from onebus.once import ATTEMPTS, Record, content_of

KEY = "order-7"


@pytest.fixture
async def on(nats: EmbeddedNats, bus: Bus) -> AsyncIterator[Stage]:
    async with stage(nats) as made:
        yield made


async def send(on: Stage, text: str = "hi", key: str = KEY, timeout_s: float = 10) -> Sent:
    return await on.caller.call(ACCOUNT, said(text), timeout_s=timeout_s, idempotency_key=key)


def place(key: str = KEY, action: str = "send_message") -> str:
    return subjects.key(ACCOUNT.platform, ACCOUNT.account_id, "action", action, key)


async def record(on: Stage, key: str = KEY) -> Record | None:
    entry = await Bucket(on.bus, "idempotency").get(place(key))
    return decode(entry.value, Record) if entry else None


async def plant(on: Stage, **changes: object) -> None:
    """What an owner that died after it had begun leaves behind."""
    fields = {
        "account": ACCOUNT,
        "action": "send_message",
        "key": KEY,
        "content": content_of(said("hi")),
        "attempt": "of-the-dead",
    }
    body = encode(Record(**{**fields, **changes}))  # type: ignore[arg-type]
    await Bucket(on.bus, "idempotency").put(place(), body)


class Gate:
    """Sends that wait until they may go on."""

    def __init__(self, on: Stage) -> None:
        self.started = asyncio.Event()
        self.open = asyncio.Event()
        self.calls = 0
        on.behaviour.on_send = self.pass_through

    async def pass_through(self, _: act.SendMessage) -> Sent:
        self.calls += 1
        self.started.set()
        await self.open.wait()
        return Sent(MessageId(f"s{self.calls}"), self.calls)


async def test_the_same_key_gets_the_same_outcome_and_another_its_own(on: Stage) -> None:
    await on.replica()
    await serving(on)
    assert [await send(on) for _ in range(3)] == [Sent(MessageId("m-hi"), 7)] * 3
    assert on.behaviour.sent == ["hi"]
    kept = await record(on)
    assert kept
    assert (kept.account, kept.action, kept.key) == (ACCOUNT, "send_message", KEY)
    assert kept.response
    await send(on, key="order-8")
    await on.caller.call(ACCOUNT, said("hi"))
    assert on.behaviour.sent == ["hi"] * 3


async def test_a_successor_knows_the_outcome(on: Stage) -> None:
    first = await on.replica()
    await serving(on)
    await on.replica()
    answer = await send(on)
    await first.host.drain()
    await first.kill()
    await eventually(lambda: on.behaviour.opened == 2, 10)
    await serving(on)
    on.behaviour.on_send = Gate(on).pass_through
    assert await send(on) == answer
    assert on.behaviour.sent == ["hi"]


async def test_a_call_whose_owner_died_is_unknown_and_never_repeated(on: Stage) -> None:
    await plant(on)
    await on.replica()
    await serving(on)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown, match="may have been done"):
            await send(on)
    assert on.behaviour.sent == []


@pytest.mark.parametrize(
    "changes", [{"v": 9}, {"key": "other"}, {"action": "kick_member"}], ids=str
)
async def test_a_record_that_is_not_about_this_call_is_not_believed(
    on: Stage, changes: dict[str, object]
) -> None:
    response = Response(result=encode(Sent(MessageId("forged"), 1)))  # type: ignore[arg-type]
    await plant(on, response=response, **changes)
    await on.replica()
    await serving(on)
    with pytest.raises(OutcomeUnknown):
        await send(on)
    await Bucket(on.bus, "idempotency").put(place(), b"nonsense")
    with pytest.raises(OutcomeUnknown):
        await send(on)
    assert on.behaviour.sent == []


async def test_a_key_is_for_one_content(on: Stage) -> None:
    gate = Gate(on)
    await on.replica()
    await serving(on)
    first = asyncio.ensure_future(send(on))
    await gate.started.wait()
    elsewhere = act.SendMessage(said("hi", "elsewhere").chat, said("hi").segments)
    with pytest.raises(BadParams, match="used for another call"):  # while the first runs
        await on.caller.call(ACCOUNT, elsewhere, idempotency_key=KEY)
    gate.open.set()
    await first
    with pytest.raises(BadParams, match="used for another call"):
        await send(on, "something else")
    assert gate.calls == 1


async def test_who_asks_meanwhile_waits_and_gets_the_same(on: Stage) -> None:
    gate = Gate(on)
    await on.replica()
    await serving(on)
    calls = [asyncio.ensure_future(send(on)) for _ in range(5)]
    await gate.started.wait()
    done, _ = await asyncio.wait(calls, timeout=0.2)
    assert not done
    gate.open.set()
    assert await asyncio.gather(*calls) == [Sent(MessageId("s1"), 1)] * 5
    assert gate.calls == 1


async def test_who_asks_meanwhile_is_answered_by_its_own_deadline(on: Stage) -> None:
    """Without a chat there is no turn to wait for: both are looked at at once."""
    started, opened = asyncio.Event(), asyncio.Event()
    praised: list[act.LikeUser] = []

    async def like(action: act.LikeUser) -> None:
        praised.append(action)
        started.set()
        await opened.wait()

    replica = await on.replica()
    await serving(on)
    replica.host._hosts[0].connector.like_user = like  # type: ignore[method-assign]
    praise = act.LikeUser(UserId("a"), 1)
    first = asyncio.ensure_future(on.caller.call(ACCOUNT, praise, idempotency_key=KEY))
    await started.wait()
    began_at = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="still under way"):
        await on.caller.call(ACCOUNT, praise, idempotency_key=KEY, timeout_s=2)
    assert time.monotonic() - began_at < 5
    second = asyncio.ensure_future(on.caller.call(ACCOUNT, praise, idempotency_key=KEY))
    opened.set()
    await asyncio.gather(first, second)
    assert len(praised) == 1


async def test_the_same_call_into_the_same_chat_is_not_told_that_it_was_not_done(on: Stage) -> None:
    gate = Gate(on)
    await on.replica()
    await serving(on)
    first = asyncio.ensure_future(send(on))
    await gate.started.wait()
    with pytest.raises(OutcomeUnknown, match="still under way"):
        await send(on, timeout_s=2)
    gate.open.set()
    assert await first == await send(on)
    assert gate.calls == 1


@pytest.mark.parametrize("kind", [Forbidden, BadParams, OutcomeUnknown, InternalError])
async def test_a_refusal_is_an_outcome_too(on: Stage, kind: type[Exception]) -> None:
    calls = 0

    async def fail(_: act.SendMessage) -> Sent:
        nonlocal calls
        calls += 1
        raise kind("no")

    on.behaviour.on_send = fail
    await on.replica()
    await serving(on)
    for _ in range(2):
        with pytest.raises(kind):
            await send(on)
    assert calls == 1


@pytest.mark.parametrize("kind", [PlatformUnavailable, RateLimited])
async def test_what_was_certainly_not_done_may_be_tried_again(
    on: Stage, kind: type[Exception]
) -> None:
    accept = on.behaviour.on_send

    async def fail(_: act.SendMessage) -> Sent:
        raise kind("later")

    on.behaviour.on_send = fail
    await on.replica()
    await serving(on)
    with pytest.raises(kind):
        await send(on)
    on.behaviour.on_send = accept
    assert await send(on) == Sent(MessageId("m-hi"), 7)
    assert on.behaviour.sent == ["hi"]


async def test_a_platform_too_slow_is_unknown_and_stays_so(on: Stage) -> None:
    gate = Gate(on)
    await on.replica()
    await serving(on)
    with pytest.raises(OutcomeUnknown):
        await send(on, timeout_s=2)
    gate.open.set()
    with pytest.raises(OutcomeUnknown):
        await send(on)
    assert gate.calls == 1


async def test_a_key_of_a_read_is_not_looked_at(on: Stage) -> None:
    await on.replica()
    await serving(on)
    for _ in range(2):
        friends = await on.caller.call(ACCOUNT, act.GetFriends(), idempotency_key=KEY)
        assert friends[0] == User(UserId("a"), "A")
    assert await Bucket(on.bus, "idempotency").get(place(action="get_friends")) is None


async def ask(on: Stage, left_s: float) -> Response:
    """What the owner answers, without a caller in between."""
    request = Request(
        account=ACCOUNT,
        deadline_ms=int((time.time() + left_s) * 1000),
        action=said("hi"),
        idempotency_key=KEY,
    )
    reply = await on.bus.request(f"onebus.{subjects.actions(ACCOUNT)}", encode(request), 5)
    return decode(reply.data, Response)


@pytest.mark.parametrize("why", ["fence", "deadline"])
async def test_fence_and_deadline_are_looked_at_after_the_key_was_written(
    on: Stage, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process is stopped in between: it starts nothing, and the key is free."""
    replica = await on.replica()
    await serving(on)
    create = Bucket.create

    async def slow(self: Bucket, key: str, value: bytes) -> int:
        revision = await create(self, key, value)
        if key == place():
            if why == "fence":
                replica.host._lease._own._renewed_at = 0.0
            else:
                time_now = time.time()
                monkeypatch.setattr("onebus.response.time.time", lambda: time_now + 60)
        return revision

    monkeypatch.setattr(Bucket, "create", slow)
    answer = await ask(on, 10)
    monkeypatch.undo()
    assert answer.error
    code = NOT_OWNER if why == "fence" else PlatformUnavailable.code
    assert (answer.error.code, answer.error.certain) == (code, True)
    assert on.behaviour.sent == []
    assert await record(on) is None
    await eventually(replica.host._hosts[0]._actions.owned, 5)
    assert await send(on) == Sent(MessageId("m-hi"), 7)


async def test_a_start_that_cannot_be_written_is_refused_for_certain(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on.replica()
    await serving(on)
    create = Bucket.create

    async def lost(self: Bucket, key: str, value: bytes) -> int:
        await create(self, key, value)  # written, but its ack is lost
        raise BusTimeout("NATS gave no answer in time")

    monkeypatch.setattr(Bucket, "create", lost)
    with pytest.raises(PlatformUnavailable, match="nothing was done") as raised:
        await send(on)
    assert raised.value.certain
    monkeypatch.undo()
    assert await record(on)
    assert on.behaviour.sent == []
    assert await send(on) == Sent(MessageId("m-hi"), 7)  # we know that it was never begun
    assert await send(on) == Sent(MessageId("m-hi"), 7)
    assert on.behaviour.sent == ["hi"]


async def test_an_outcome_that_cannot_be_written_is_answered_and_remembered_here(
    nats: EmbeddedNats, on: Stage
) -> None:
    gate = Gate(on)
    replica = await on.replica()
    await serving(on)
    first = asyncio.ensure_future(send(on))
    await gate.started.wait()
    async with outage(nats, on.bus, replica.bus):
        with pytest.raises(BusTimeout):
            await first
        gate.open.set()
        await eventually(lambda: bool(on.behaviour.sent))
        with pytest.raises(BusUnavailable):
            await send(on)
    kept = await record(on)
    assert kept
    assert kept.response is None
    await serving(on)
    assert await send(on) == Sent(MessageId("s1"), 1)
    kept = await record(on)
    assert kept
    assert kept.response
    assert gate.calls == 1


async def test_a_key_under_dispute_is_given_up(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others write and remove it all the time: nothing is done, for certain."""
    await on.replica()
    await serving(on)
    looked = 0

    async def nothing(self: Bucket, key: str) -> None:
        nonlocal looked
        looked += key == place()

    await plant(on)
    monkeypatch.setattr(Bucket, "get", nothing)
    with pytest.raises(PlatformUnavailable, match="others use"):
        await send(on)
    assert looked == ATTEMPTS
    assert on.behaviour.sent == []
