"""Actions from any process to the one owner: served by a real host over a real NATS."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from nats.aio.msg import Msg
from tests.fakes.chat_platform import ACCOUNT, Stage, raw, request, said, serving, stage
from tests.fakes.outage import eventually, kill, outage

from onebus import action as act
from onebus import directory, subjects
from onebus import host as host_module
from onebus.action import Request, Sent
from onebus.bus import Bus
from onebus.caller import MAX_ACTION_BYTES, NOT_OWNER
from onebus.codec import encode
from onebus.directory import AccountRecord
from onebus.embedded import EmbeddedNats
from onebus.errors import (
    AccountOffline,
    ActionError,
    BadParams,
    BusTimeout,
    BusUnavailable,
    InternalError,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
    UnsupportedAction,
)
from onebus.event import User
from onebus.ids import MessageId, UserId, parse_account
from onebus.segment import Text, plain_text


@pytest.fixture
async def on(nats: EmbeddedNats, bus: Bus) -> AsyncIterator[Stage]:
    async with stage(nats) as made:
        yield made


async def test_results_come_back_as_what_they_were(on: Stage) -> None:
    await on.replica()
    await serving(on)
    assert await on.caller.call(ACCOUNT, said("hi")) == Sent(MessageId("m-hi"), 7)
    friends = await on.caller.call(ACCOUNT, act.GetFriends())
    assert friends == (User(UserId("a"), "A"), User(UserId("b"), "B"))
    record = on.directory.get(ACCOUNT)
    assert record
    assert record.self_user == User(UserId("bot"), "Bot")
    assert record.capabilities == ("send_message", "get_friends", "send:text")


async def test_every_kind_of_error_crosses_the_bus_as_itself(on: Stage) -> None:
    await on.replica()
    await serving(on)
    for kind in ActionError.__subclasses__():

        async def fail(_: act.SendMessage, kind: type[ActionError] = kind) -> Sent:
            raise kind("what a person reads", retry_after_s=2.5)

        on.behaviour.on_send = fail
        with pytest.raises(kind) as raised:
            await on.caller.call(ACCOUNT, said("hi"))
        assert type(raised.value) is kind
        assert raised.value.text == "what a person reads"
        assert raised.value.retry_after_s == 2.5
        assert raised.value.certain == kind.certain
    with pytest.raises(UnsupportedAction, match="chatter cannot get groups"):
        await on.caller.call(ACCOUNT, act.GetGroups())


async def test_a_fault_is_logged_here_and_says_nothing_there(
    on: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: act.SendMessage) -> Sent:
        raise ValueError("secret-of-the-platform")

    on.behaviour.on_send = fail
    await on.replica()
    await serving(on)
    with pytest.raises(InternalError) as raised:
        await on.caller.call(ACCOUNT, said("hi"))
    assert "secret" not in raised.value.text
    assert "secret-of-the-platform" in caplog.text
    on.behaviour.on_send = Stage.__init__  # type: ignore[assignment]
    with pytest.raises(InternalError):
        await on.caller.call(ACCOUNT, said("hi"))


async def test_what_comes_after_its_deadline_is_not_done(on: Stage) -> None:
    await on.replica()
    await serving(on)
    answer = await raw(on, request(said("late"), -0.001))
    assert answer.error
    assert answer.error.code == PlatformUnavailable.code
    gate = asyncio.Event()

    async def wait(action: act.SendMessage) -> Sent:
        await gate.wait()
        return Sent(MessageId("1"), 1)

    on.behaviour.on_send = wait
    slow = asyncio.ensure_future(raw(on, request(said("slow"), 0.4)))
    queued = asyncio.ensure_future(raw(on, request(said("queued"), 0.3)))
    answer = await slow
    assert answer.error
    assert (answer.error.code, answer.error.certain) == (OutcomeUnknown.code, False)
    answer = await queued  # its turn came when its time was over
    assert answer.error
    assert (answer.error.code, answer.error.certain) == (PlatformUnavailable.code, True)
    assert on.behaviour.sent == []


async def test_a_chat_keeps_its_order_and_chats_do_not_wait_for_each_other(on: Stage) -> None:
    gates = {str(number): asyncio.Event() for number in range(30)}

    async def wait(action: act.SendMessage) -> Sent:
        if action.chat.id == "slow":
            await gates[plain_text(action.segments)].wait()
        return Sent(MessageId("1"), 1)

    on.behaviour.on_send = wait
    await on.replica()
    await serving(on)
    slow = []
    for number in range(30):
        slow.append(asyncio.ensure_future(on.caller.call(ACCOUNT, said(str(number), "slow"))))
        await asyncio.sleep(0)
    await asyncio.gather(*(on.caller.call(ACCOUNT, said(f"f{n}", "fast")) for n in range(30)))
    assert on.behaviour.sent == [f"f{number}" for number in range(30)]
    for number in reversed(range(30)):
        gates[str(number)].set()
    await asyncio.gather(*slow)
    assert on.behaviour.sent[30:] == [str(number) for number in range(30)]


async def test_nobody_is_told_quickly_and_in_words(on: Stage) -> None:
    started_at = time.monotonic()
    with pytest.raises(AccountOffline, match=r"chatter\.one is offline"):
        await on.caller.call(ACCOUNT, said("hi"))
    assert time.monotonic() - started_at < 5


async def test_an_owner_that_is_only_just_away_is_waited_for(on: Stage) -> None:
    """The directory says online, and nobody listens yet: nothing was delivered, so it is safe."""
    session = "chatter.x"
    await on.bus.store("$KV.onebus_sessions." + session, b"x")
    record = AccountRecord(ACCOUNT, User(UserId("bot")), None, (), "1", session, online=True)
    await directory.write(on.bus, record)
    await eventually(lambda: on.directory.online(ACCOUNT), 5)
    calling = asyncio.ensure_future(on.caller.call(ACCOUNT, said("hi")))
    await asyncio.wait({calling}, timeout=0.3)
    assert not calling.done()
    await on.replica()
    assert await asyncio.wait_for(calling, 5) == Sent(MessageId("m-hi"), 7)
    other = parse_account("chatter.two")
    record = AccountRecord(other, User(UserId("x")), None, (), "1", session, online=True)
    await directory.write(on.bus, record)
    await on.bus.store("$KV.onebus_sessions." + session, b"x")
    await eventually(lambda: on.directory.online(other), 5)
    with pytest.raises(AccountOffline, match="in time"):
        await on.caller.call(other, said("hi"), timeout_s=0.7)


async def test_without_nats_calls_fail_at_once_and_after_it_they_work(
    nats: EmbeddedNats, on: Stage
) -> None:
    replica = await on.replica()
    await serving(on)
    async with outage(nats, on.bus, replica.bus):
        started_at = time.monotonic()
        with pytest.raises(BusUnavailable):
            await on.caller.call(ACCOUNT, said("hi"))
        assert time.monotonic() - started_at < 2
        assert not on.directory.online(ACCOUNT)
    assert await on.caller.call(ACCOUNT, said("again")) == Sent(MessageId("m-again"), 7)
    assert on.behaviour.opened == 1  # the platform's connection was not touched
    await serving(on)


async def test_a_call_in_flight_when_nats_dies_ends_at_once_with_an_unknown_outcome(
    nats: EmbeddedNats, on: Stage
) -> None:
    started = asyncio.Event()

    async def hang(_: act.SendMessage) -> Sent:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    on.behaviour.on_send = hang
    await on.replica()
    await serving(on)
    calling = asyncio.ensure_future(on.caller.call(ACCOUNT, said("hi"), timeout_s=30))
    await started.wait()
    await kill(nats)
    with pytest.raises(BusTimeout):
        await asyncio.wait_for(calling, 5)
    await nats.start()


async def test_an_account_is_left_when_nothing_is_in_flight_and_not_before(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "LEAVE_S", 0.2)
    gate, started = asyncio.Event(), asyncio.Event()

    async def wait(_: act.SendMessage) -> Sent:
        started.set()
        await gate.wait()
        return Sent(MessageId("1"), 1)

    on.behaviour.on_send = wait
    replica = await on.replica()
    await serving(on)
    account = replica.host._hosts[0]
    slow = asyncio.ensure_future(on.caller.call(ACCOUNT, said("slow")))
    await asyncio.wait_for(started.wait(), 5)
    leaving = asyncio.ensure_future(account.leave())
    await eventually(lambda: not account._actions.taking())
    answer = await raw(on, request(said("meanwhile", "other")))
    assert answer.error
    assert answer.error.code == NOT_OWNER
    assert not await asyncio.wait_for(leaving, 5)  # it took too long, and goes on
    assert account._actions.taking()
    gate.set()
    assert await slow == Sent(MessageId("1"), 1)
    assert await account.leave()
    assert not account._actions.taking()


async def test_who_lost_the_account_says_at_once_that_the_outcome_is_unknown(on: Stage) -> None:
    started = asyncio.Event()

    async def hang(_: act.SendMessage) -> Sent:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    on.behaviour.on_send = hang
    replica = await on.replica()
    await serving(on)
    calling = asyncio.ensure_future(on.caller.call(ACCOUNT, said("hi")))
    await started.wait()
    await replica.host._lease.release()
    with pytest.raises(OutcomeUnknown):
        await asyncio.wait_for(calling, 10)


async def test_who_is_not_the_owner_any_more_does_nothing(on: Stage) -> None:
    replica = await on.replica()
    await serving(on)
    replica.host._lease._own._renewed_at = 0.0
    answer = await raw(on, request(said("hi")))
    assert answer.error
    assert answer.error.code == NOT_OWNER
    assert on.behaviour.sent == []


async def test_a_request_that_is_none_is_refused(on: Stage) -> None:
    await on.replica()
    await serving(on)
    newer = encode(request(said("hi"))).replace(b'"v":1', b'"v":9')
    other = Request(account=parse_account("chatter.two"), deadline_ms=2**53, action=said("hi"))
    for body, code in (
        (b"", BadParams.code),
        (b"{", BadParams.code),
        (b"[" * 5000, BadParams.code),
        (newer, BadParams.code),
        (encode(other), NOT_OWNER),
    ):
        answer = await raw(on, body)
        assert answer.error
        assert answer.error.code == code
    assert on.behaviour.sent == []
    assert await on.caller.call(ACCOUNT, said("hi")) == Sent(MessageId("m-hi"), 7)


async def test_too_much_at_once_is_refused_and_too_large_a_call_not_sent(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onebus.answering.MAX_ACTIVE", 10)
    gate = asyncio.Event()

    async def wait(_: act.SendMessage) -> Sent:
        await gate.wait()
        return Sent(MessageId("1"), 1)

    on.behaviour.on_send = wait
    await on.replica()
    await serving(on)
    calls = [asyncio.ensure_future(on.caller.call(ACCOUNT, said("x", str(n)))) for n in range(15)]
    done, waiting = await asyncio.wait(calls, timeout=0.5)
    assert [type(task.exception()) for task in done] == [RateLimited] * 5
    gate.set()
    await asyncio.wait(waiting)
    with pytest.raises(BadParams, match="at most"):
        await on.caller.call(ACCOUNT, said("x" * MAX_ACTION_BYTES))


async def test_what_an_owner_of_another_make_answers_is_an_error_of_ours(on: Stage) -> None:
    async def on_message(message: Msg) -> None:
        await on.bus.publish(message.reply, b'{"result":{"no":"shape"},"v":1}')

    await on.bus.subscribe(f"onebus.{subjects.actions(ACCOUNT)}", on_message)
    with pytest.raises(InternalError, match="unknown shape"):
        await on.caller.call(ACCOUNT, said("hi"))


def test_text_is_what_this_platform_shows() -> None:
    assert said("x").segments == (Text("x"),)


async def test_who_waits_for_a_turn_is_answered_by_its_deadline(on: Stage) -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    async def wait(_: act.SendMessage) -> Sent:
        started.set()
        await gate.wait()
        return Sent(MessageId("1"), 1)

    on.behaviour.on_send = wait
    await on.replica()
    await serving(on)
    slow = asyncio.ensure_future(on.caller.call(ACCOUNT, said("slow")))
    await started.wait()
    began_at = time.monotonic()
    with pytest.raises(PlatformUnavailable, match="before it was started") as raised:
        await on.caller.call(ACCOUNT, said("queued"), timeout_s=2)
    assert raised.value.certain
    assert time.monotonic() - began_at < 5
    gate.set()
    await slow
    assert on.behaviour.sent == ["slow"]


async def test_an_answer_that_does_not_fit_is_answered_with_an_error(
    on: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async def write_a_book(_: act.SendMessage) -> Sent:
        return Sent(MessageId("x" * (9 << 20)), 1)

    on.behaviour.on_send = write_a_book
    await on.replica()
    await serving(on)
    with pytest.raises(InternalError):
        await asyncio.wait_for(on.caller.call(ACCOUNT, said("hi")), 5)
    assert "do not fit into a NATS message" in caplog.text
    assert (await on.caller.call(ACCOUNT, act.GetFriends()))[0].name == "A"


async def test_a_result_that_is_no_data_costs_one_answer_and_not_the_account(on: Stage) -> None:
    async def answer_oddly(_: act.SendMessage) -> object:
        return object()

    on.behaviour.on_send = answer_oddly
    await on.replica()
    await serving(on)
    with pytest.raises(InternalError):
        await on.caller.call(ACCOUNT, said("hi"))
    assert await on.caller.call(ACCOUNT, act.GetFriends())
    assert on.behaviour.opened == 1
