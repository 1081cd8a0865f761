"""By forward WebSocket: what comes gets into the log, and a loss is a loss with a reason."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes.onebot11_upstream import SELF, Failed, FakeUpstream, event, private, upstream
from tests.unit.connectors.onebot11.running import WAIT_S, account, running

from onebus.action import CallNative, GetUser, SendMessage
from onebus.errors import (
    AuthFailed,
    Misconfigured,
    NotReady,
    OutcomeUnknown,
    PlatformUnavailable,
    UnsupportedAction,
)
from onebus.event import MessageBackfilled, MessageReceived, Poked, private_chat
from onebus.ids import UserId
from onebus.segment import Text
from onebus.testing.memory import Memory

TOKEN = "upstream-token-canary"
HI = SendMessage(private_chat(UserId("20002")), (Text("hi"),))
POKE = {
    "post_type": "notice",
    "notice_type": "notify",
    "sub_type": "poke",
    "user_id": 20002,
    "target_id": SELF,
    "group_id": 30003,
}


@pytest.fixture
async def there() -> AsyncIterator[FakeUpstream]:
    async with upstream(TOKEN) as made:
        yield made


def config(there: FakeUpstream, **more: Any) -> dict[str, Any]:
    return {"url": f"ws://{there.base}/", "access_token": TOKEN, **more}


async def test_it_says_who_it_is_and_what_comes_is_logged(there: FakeUpstream) -> None:
    async with account(**config(there)) as at:
        info = await at.connector.open()
        assert (info.user.id, info.user.name) == (str(SELF), "Neko")
        await at.stop()
    async with running(**config(there)) as at:
        await there.emit(**private([{"type": "text", "data": {"text": "hello"}}]))
        (said,) = await at.events(1)
        assert isinstance(said, MessageReceived)
        assert (said.message, said.segments) == ("5", (Text("hello"),))


@pytest.mark.parametrize("refuses", ["status", "frame"])
async def test_a_wrong_token_waits_for_a_human(there: FakeUpstream, refuses: str) -> None:
    there.refuses = refuses
    async with account(url=f"ws://{there.base}/", access_token="wrong") as at:
        with pytest.raises(AuthFailed) as caught:
            await asyncio.wait_for(at.connector.open(), WAIT_S)
        assert "wrong" not in str(caught.value)


async def test_who_is_logged_in_must_be_who_is_configured(there: FakeUpstream) -> None:
    async with account(**config(there, self_id="7")) as at:
        with pytest.raises(Misconfigured, match="10001 is logged in"):
            await at.connector.open()


async def test_an_upstream_that_is_away_is_said_once_and_then_waited_for() -> None:
    async with upstream() as gone:
        port = int(gone.base.rpartition(":")[2])
    async with account(url=f"ws://127.0.0.1:{port}/") as at:
        with pytest.raises(NotReady, match="no connection"):
            await at.connector.open()
        opening = asyncio.ensure_future(at.connector.open())
        async with upstream(port=port) as back:
            await asyncio.wait_for(opening, WAIT_S)
            assert back.sockets


async def test_an_address_without_a_socket_is_said(there: FakeUpstream) -> None:
    async with account(url=f"ws://{there.base}/x") as at:
        there.token = ""
        there.refuses = "missing"
        with pytest.raises(NotReady, match="no OneBot WebSocket at"):
            await at.connector.open()


@pytest.mark.parametrize("echo", [lambda echo: echo, int], ids=["as it was", "as a number"])
async def test_answers_find_their_calls(there: FakeUpstream, echo: Any) -> None:
    there.echo = echo
    async with running(**config(there)) as at:
        await there.sockets[-1].send_str("no JSON")
        await there.sockets[-1].send_str("[1]")
        await there.sockets[-1].send_str('{"echo": "77", "retcode": 0}')
        sent = await asyncio.gather(*(at.connector.send_message(HI) for _ in range(5)))
        assert sorted(one.message for one in sent) == ["901", "902", "903", "904", "905"]
        assert len(await at.events(5)) == 5


async def test_a_call_that_is_not_answered_may_have_been_done(there: FakeUpstream) -> None:
    there.deaf = {"send_private_msg", "get_stranger_info"}
    async with running(**config(there, call_timeout=0.2)) as at:
        with pytest.raises(OutcomeUnknown, match="may have been done"):
            await at.connector.send_message(HI)
        with pytest.raises(PlatformUnavailable):
            await at.connector.get_user(GetUser(UserId("20002")))


async def test_a_connection_that_breaks_ends_it_and_what_was_in_flight(
    there: FakeUpstream,
) -> None:
    there.deaf = {"send_private_msg"}
    async with running(**config(there)) as at:
        sending = asyncio.ensure_future(at.connector.send_message(HI))
        await there.calls("send_private_msg")
        await there.sockets[-1].close()
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(sending, WAIT_S)
        error = await at.ended()
        assert isinstance(error, NotReady)
        assert "closed the connection" in str(error)
        with pytest.raises(PlatformUnavailable, match="nothing was sent"):
            await at.connector.send_message(HI)
        await at.connector.close()
        await at.run()
        there.deaf.clear()
        assert (await at.connector.send_message(HI)).sequence == 1


async def test_who_does_not_own_the_account_sends_nothing(there: FakeUpstream) -> None:
    async with running(**config(there)) as at:
        at.kit.owner = False
        with pytest.raises(PlatformUnavailable, match="another process"):
            await at.connector.send_message(HI)
        assert "send_private_msg" not in dict(there.called)


async def test_a_heartbeat_that_says_offline_is_believed(there: FakeUpstream) -> None:
    async with running(**config(there)) as at:
        await there.heartbeat(online=True)
        there.online = False
        await there.heartbeat(online=False)
        assert "offline" in str(await at.ended())
        await at.connector.close()
        opening = asyncio.ensure_future(at.connector.open())
        await there.calls("get_status", 3)
        assert not opening.done()
        there.online = True
        await asyncio.wait_for(opening, WAIT_S)


async def test_being_logged_out_is_told_to_bots_and_ends_it(there: FakeUpstream) -> None:
    async with running(**config(there)) as at:
        await there.emit(post_type="notice", notice_type="bot_offline", message="kicked")
        assert str(await at.ended()) == "the upstream was logged out: kicked"
        await at.connector.close()
        assert len(await at.events(1)) == 1


async def test_an_upstream_that_cannot_say_is_online(there: FakeUpstream) -> None:
    there.online = None
    async with running(**config(there)):
        pass
    there.answers["get_status"] = lambda _: (_ for _ in ()).throw(Failed(1404))
    async with running(**config(there)):
        pass


async def test_silence_is_death(there: FakeUpstream) -> None:
    there.answers_pings = False
    async with running(**config(there, silence=1.0)) as at:
        assert "said nothing for 1 s" in str(await at.ended())


async def test_a_ping_is_answered_when_what_came_before_it_is_logged(
    there: FakeUpstream,
) -> None:
    async with running(**config(there)) as at:
        at.kit.memory.bus.available = False
        await there.emit(**private("one"))
        await there.sockets[-1].ping(b"p1")
        await there.emit(**private("two", 6))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(there.pongs.get(), 0.3)
        assert at.kit.memory.events() == []
        at.kit.memory.bus.available = True
        assert await asyncio.wait_for(there.pongs.get(), WAIT_S) == b"p1"
        assert len(at.kit.memory.events()) >= 1
        assert [e.message for e in await at.events(2)] == ["5", "6"]  # type: ignore[union-attr]


async def test_what_was_read_is_logged_although_the_connection_is_gone(
    there: FakeUpstream,
) -> None:
    async with running(**config(there)) as at:
        for number in range(50):
            await there.emit(**private("x", 100 + number))
        await there.sockets[-1].close()
        await at.ended()
        assert len(at.kit.memory.events()) == 50


async def test_the_same_again_on_one_socket_happened_again(there: FakeUpstream) -> None:
    async with running(**config(there)) as at:
        for _ in range(2):
            await there.emit(**POKE)
            await there.emit(**private("once"))
        found = await at.events(3)
        assert [type(one) for one in found] == [Poked, MessageReceived, Poked]
        assert len({one.id for one in found}) == 3


async def test_two_owners_who_hear_the_same_make_one_entry_of_it(there: FakeUpstream) -> None:
    """The old one that does not know yet, and its successor."""
    memory = Memory()
    async with running(memory, **config(there)) as old, running(memory, **config(there)):
        await there.connected(2)
        for socket in there.sockets[-2:]:
            await socket.send_str(event(**POKE))
        for socket in there.sockets[-2:]:
            await socket.send_str(event(**private("end")))
        found = await old.events(2)
        for socket in there.sockets[-2:]:
            await socket.ping(b"done")
        for _ in "12":
            await asyncio.wait_for(there.pongs.get(), WAIT_S)
        assert memory.events() == found


async def test_another_login_of_the_same_upstream_is_passed_by(there: FakeUpstream) -> None:
    async with running(**config(there, self_id=str(SELF))) as at:
        await there.emit(**private("theirs", 1) | {"self_id": 7})
        await there.emit(**private("ours", 2))
        (said,) = await at.events(1)
        assert isinstance(said, MessageReceived)
        assert said.message == "2"


async def test_an_onebus_is_asked_to_go_on_from_what_was_logged(there: FakeUpstream) -> None:
    async with running(**config(there)) as at:
        assert there.asked[-1] == {}
        await there.emit(**private("one"), event_id="4711")
        await there.emit(**POKE, event_id="4712")
        await there.sockets[-1].ping(b"x")
        await asyncio.wait_for(there.pongs.get(), WAIT_S)
        await at.kit.save_cursors()
        memory = at.kit.memory
    async with running(memory, **config(there)) as at:
        assert there.asked[-1] == {"resume_from": "4712"}
        await there.emit(**POKE, event_id="4712")
        await there.emit(**private("two", 6), event_id="4713")
        assert len(await at.events(3)) == 3


async def test_a_log_that_is_another_is_begun_anew(
    there: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async with account(**config(there)) as at:
        await at.kit.cursor("events").move("4711")
        there.forgets = True
        await at.run()
        assert there.asked[-2:] == [{"resume_from": "4711"}, {}]
        assert "does not know the event" in caplog.text


async def test_what_an_onebus_has_forgotten_is_said(
    there: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(**config(there)) as at:
        resume = {"from": "1", "missed": True}
        meta = {"post_type": "meta_event", "meta_event_type": "lifecycle", "sub_type": "connect"}
        with caplog.at_level(logging.WARNING):
            await there.emit(**meta, resume=resume)
            await there.emit(**private("x"))
            await at.events(1)
        assert "has forgotten" in caplog.text


QUOTING = [{"type": "reply", "data": {"id": "3"}}, {"type": "text", "data": {"text": "what?"}}]
OLD = {"message_id": 3, "time": 5, "message": "old", "sender": {"user_id": 20002}}


async def test_a_quoted_message_that_the_log_never_had_is_asked_for(there: FakeUpstream) -> None:
    there.answers["get_msg"] = OLD
    async with running(**config(there)) as at:
        for message_id in (7, 8):
            await there.emit(**private(QUOTING, message_id))
        found = await at.events(3)
        kinds = [type(event) for event in found]
        assert kinds == [MessageBackfilled, MessageReceived, MessageReceived]
        assert (found[0].message, found[0].time_ms) == ("3", 5000)  # type: ignore[union-attr]
        assert await there.calls("get_msg") == [{"message_id": 3}]


@pytest.mark.parametrize("answer", [None, {}, {**OLD, "group_id": 9}, Failed(1200, "不存在")])
async def test_what_the_upstream_does_not_know_is_not_quoted(
    there: FakeUpstream, answer: Any
) -> None:
    def get_msg(_: Any) -> Any:
        if isinstance(answer, Failed):
            raise answer
        return answer

    there.answers["get_msg"] = get_msg
    async with running(**config(there)) as at:
        quoting = private(QUOTING) | {"message_type": "group", "group_id": 30003}
        await there.emit(**quoting)
        (said,) = await at.events(1)
        assert isinstance(said, MessageReceived)


async def test_native_calls_go_through_unless_they_are_not_to(there: FakeUpstream) -> None:
    call = CallNative("onebot.v11", "get_group_root_files", {"group_id": 1})
    there.answers["get_group_root_files"] = {"files": []}
    async with running(**config(there)) as at:
        answer = await at.connector.call_native(call)
        assert (answer.status, answer.retcode, answer.data) == ("ok", 0, {"files": []})
        refused = await at.connector.call_native(CallNative("onebot.v11", "no_such"))
        assert (refused.status, refused.retcode) == ("failed", 1404)
        with pytest.raises(UnsupportedAction):
            await at.connector.call_native(CallNative("satori", "x"))
    async with running(**config(there, pass_through=False)) as at:
        with pytest.raises(UnsupportedAction, match="pass_through"):
            await at.connector.call_native(call)


async def test_no_secret_is_logged(there: FakeUpstream, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with running(**config(there)) as at:
            await at.connector.send_message(HI)
        there.token = "another"
        async with account(**config(there)) as at:
            with pytest.raises(AuthFailed):
                await at.connector.open()
    assert TOKEN not in caplog.text
