"""An account's owner: an orderly stop, an end without a word, and a platform that fails."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest
from nats.aio.msg import Msg
from tests.fakes.chat_platform import ACCOUNT, Stage, raw, request, said, serving, stage
from tests.fakes.outage import eventually

from onebus import action as act
from onebus import directory, errors, subjects
from onebus.action import Sent
from onebus.bus import Bus
from onebus.caller import NOT_OWNER
from onebus.codec import encode
from onebus.directory import AccountRecord
from onebus.embedded import EmbeddedNats
from onebus.errors import (
    AccountOffline,
    AuthFailed,
    BusTimeout,
    BusUnavailable,
    NotFound,
    NotReady,
    OutcomeUnknown,
)
from onebus.event import User
from onebus.ids import MessageId, UserId, parse_account


@pytest.fixture
async def on(nats: EmbeddedNats, bus: Bus) -> AsyncIterator[Stage]:
    async with stage(nats) as made:
        yield made


async def test_a_clean_stop_finishes_what_is_in_flight_and_hands_over(on: Stage) -> None:
    gate, started = asyncio.Event(), asyncio.Event()

    async def wait(_: act.SendMessage) -> Sent:
        started.set()
        await gate.wait()
        return Sent(MessageId("old"), 1)

    on.behaviour.on_send = wait
    first = await on.replica()
    await serving(on)
    second = await on.replica()
    await eventually(lambda: second.host._lease.session in on.sessions.live)
    in_flight = asyncio.ensure_future(on.caller.call(ACCOUNT, said("1")))
    await started.wait()
    draining = asyncio.ensure_future(first.host.drain())
    await asyncio.wait({draining}, timeout=0.1)
    assert not draining.done()
    later = asyncio.ensure_future(on.caller.call(ACCOUNT, said("2", "other")))
    await asyncio.wait({later}, timeout=0.2)
    assert not later.done()  # refused by the one that stops, and asked again
    gate.set()
    assert await in_flight == Sent(MessageId("old"), 1)
    await draining
    await first.kill()
    await eventually(lambda: on.behaviour.opened == 2, 3)
    await serving(on)
    assert await on.caller.call(ACCOUNT, said("3")) == Sent(MessageId("old"), 1)
    (answer,) = await asyncio.wait_for(asyncio.gather(later, return_exceptions=True), 5)
    assert isinstance(answer, Sent | AccountOffline)  # certain, and soon
    assert second.tasks


@pytest.mark.parametrize(
    "error",
    [
        NotReady("the platform is away"),
        NotFound("no such thing"),
        BusUnavailable("no NATS"),
        errors.BusTimeout("slow"),
        ValueError("a fault"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("where", ["on_open", "on_run"])
async def test_whatever_goes_wrong_with_the_platform_is_tried_again(
    on: Stage, where: str, error: Exception
) -> None:
    whole = getattr(on.behaviour, where)
    failed = asyncio.Event()

    async def fail_once() -> None:
        setattr(on.behaviour, where, whole)
        failed.set()
        raise error

    setattr(on.behaviour, where, fail_once)
    replica = await on.replica()
    await asyncio.wait_for(failed.wait(), 5)
    await eventually(lambda: on.behaviour.opened == 2, 5)
    assert on.behaviour.closed == 1
    await serving(on)
    assert await on.caller.call(ACCOUNT, said("hi"), timeout_s=5) == Sent(MessageId("m-hi"), 7)
    assert not any(task.done() for task in replica.tasks)


async def test_rejected_credentials_are_told_to_bots_and_nothing_is_asked_of_the_platform(
    on: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    replica = await on.replica()
    await serving(on)

    async def reject() -> None:
        raise AuthFailed("the platform rejects app_secret")

    on.behaviour.on_open = reject
    await replica.host._lease.release()
    replica.host._lease._stopping = False
    with caplog.at_level(logging.WARNING):
        await eventually(lambda: on.behaviour.opened == 2, 5)
        await eventually(lambda: not on.directory.online(ACCOUNT), 5)
    record = on.directory.get(ACCOUNT)
    assert record
    assert "rejects app_secret; trying again in 300 s" in record.reason
    assert "[chatter.one] offline" in caplog.text
    with pytest.raises(AccountOffline):
        await on.caller.call(ACCOUNT, said("hi"))


async def test_an_owner_of_before_does_not_overwrite_the_record_of_now(on: Stage) -> None:
    mine = AccountRecord(ACCOUNT, User(UserId("bot")), None, (), "1", "t.now", online=True)
    await directory.write(on.bus, mine)
    await directory.mark_offline(on.bus, ACCOUNT, "too late", lambda: False)
    assert await directory.read(on.bus, ACCOUNT) == mine
    await directory.mark_offline(on.bus, ACCOUNT, "in time", lambda: True)
    record = await directory.read(on.bus, ACCOUNT)
    assert record
    assert (record.online, record.reason) == (False, "in time")


async def test_a_forged_record_is_ignored(on: Stage, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[AccountRecord] = []
    on.directory.on_change(seen.append)
    mine = AccountRecord(ACCOUNT, User(UserId("bot")), None, (), "1", "t.now", online=True)
    for name, body in (("two", encode(mine)), ("three", b"{"), ("four", b"[" * 5000)):
        await on.bus.store(f"$KV.onebus_accounts.chatter.{name}", body)
    await directory.write(on.bus, mine)
    await eventually(lambda: on.directory.get(ACCOUNT) == mine, 5)
    assert on.directory.get(parse_account("chatter.two")) is None
    assert seen == [mine]
    assert "names another account" in caplog.text
    assert not on.directory.online(ACCOUNT)  # its session lives nowhere


async def test_what_only_waited_when_the_account_was_lost_was_certainly_not_done(
    on: Stage,
) -> None:
    started = asyncio.Event()

    async def hang(_: act.SendMessage) -> Sent:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    on.behaviour.on_send = hang
    replica = await on.replica()
    await serving(on)
    running = asyncio.ensure_future(raw(on, request(said("begun"))))
    await started.wait()
    waiting = asyncio.ensure_future(raw(on, request(said("queued"))))
    await eventually(lambda: replica.host._hosts[0]._actions.count == 2)
    await replica.host._lease.release()
    answers = [await asyncio.wait_for(answer, 10) for answer in (running, waiting)]
    errors_ = [answer.error for answer in answers if answer.error]
    assert [error.code for error in errors_] == [OutcomeUnknown.code, NOT_OWNER]
    assert [error.certain for error in errors_] == [False, True]


async def test_a_call_whose_owner_ended_without_a_word_is_unknown_before_its_deadline(
    on: Stage,
) -> None:
    """The session goes when nobody renews it: 6 s, and a second until that is seen."""
    taken = asyncio.Event()

    async def take(_: Msg) -> None:
        taken.set()

    session = "chatter.x"
    await on.bus.store("$KV.onebus_sessions." + session, b"x")
    record = AccountRecord(ACCOUNT, User(UserId("bot")), None, (), "1", session, online=True)
    await directory.write(on.bus, record)
    await on.bus.subscribe(f"onebus.{subjects.actions(ACCOUNT)}", take)
    await eventually(lambda: on.directory.online(ACCOUNT), 5)
    began_at = time.monotonic()
    with pytest.raises(BusTimeout, match="ended"):
        await on.caller.call(ACCOUNT, said("hi"))
    assert taken.is_set()
    assert 2 < time.monotonic() - began_at < 15
