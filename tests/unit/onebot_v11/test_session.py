"""Every call has one answer in time, and it says "unknown" only where nobody can know."""

import asyncio
from typing import Any

import pytest
from tests.fakes.onebot_session import OwnerBus, session_with

from frontends.onebot_v11.lookup import Lookup
from frontends.onebot_v11.session import Session
from onebus.action import Request
from onebus.bus import NoResponders
from onebus.codec import decode
from onebus.errors import BusError, BusTimeout, BusUnavailable
from onebus.event import User
from onebus.ids import UserId

SEND = {"user_id": "5", "message": "hi"}


class Slow:
    """An owner that answers when it may; `begun` counts what reached it."""

    def __init__(self, bus: OwnerBus, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.keys: list[str] = []
        self.gate = asyncio.Event()
        self._ask = bus.request
        monkeypatch.setattr(bus, "request", self.request)

    async def request(
        self, subject: str, body: bytes, timeout_s: float, *more: Any, **named: Any
    ) -> Any:
        if ".actions." not in subject:
            return await self._ask(subject, body, timeout_s, *more, **named)
        self.begun += 1
        self.keys.append(decode(body, Request).idempotency_key)
        try:
            await asyncio.wait_for(self.gate.wait(), timeout_s)
        except TimeoutError:
            raise BusTimeout("NATS gave no answer in time") from None
        return await self._ask(subject, body, timeout_s, *more, **named)


async def call(session: Session, name: str = "send_private_msg", **params: Any) -> Any:
    return await session.execute(name, {**SEND, **params}, as_text=False)


async def test_a_call_whose_turn_does_not_come_is_answered_and_was_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("frontends.onebot_v11.call.DEADLINE_S", 0.5)
    async with session_with() as (session, bus):
        owner = Slow(bus, monkeypatch)
        answers = await asyncio.wait_for(asyncio.gather(call(session), call(session)), 10)
        assert [answer.retcode for answer in answers] == [10010, 10005]
        keyed = (call(session, idempotency_key="k"), call(session, idempotency_key="k"))
        answers = await asyncio.wait_for(asyncio.gather(*keyed), 10)
        # The one that it waited for has the same key, and may be done yet.
        assert [answer.retcode for answer in answers] == [10010, 10010]
        assert owner.begun == 2
        owner.gate.set()
        assert (await call(session)).status == "ok"  # and nothing is left in the way


async def test_what_has_no_time_left_is_answered_now(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session_with() as (session, bus):
        Slow(bus, monkeypatch)
        calls = [asyncio.ensure_future(call(session)) for _ in range(2)]
        await asyncio.wait(calls, timeout=0.1)
        underway = session._shared.underway
        assert underway.count == 2
        underway.give_up()
        answers = await asyncio.wait_for(asyncio.gather(*calls), 10)
        assert [answer.retcode for answer in answers] == [10010, 10005]
        assert underway.count == 0


@pytest.mark.parametrize(
    "error", [BusTimeout("slow"), NoResponders("x"), BusUnavailable("away")], ids=repr
)
async def test_a_look_up_that_fails_before_anything_was_sent_is_certain(
    monkeypatch: pytest.MonkeyPatch, error: BusError
) -> None:
    async def fail(*_: object) -> UserId:
        raise error

    async with session_with() as (session, bus):
        monkeypatch.setattr(Lookup, "user", fail)
        assert (await call(session)).retcode == 10008
        assert bus.asked == []


async def test_a_look_up_that_fails_after_it_was_done_does_not_say_that_it_was_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = [{"type": "node", "data": {"name": "A", "uin": "1", "content": "x"}}]
    async with session_with() as (session, bus):

        async def fail(_: int) -> None:
            raise BusUnavailable("no NATS")

        monkeypatch.setattr(session.log, "at", fail)
        answer = await call(session, "send_private_forward_msg", messages=nodes)
        assert answer.retcode == 10006
        assert "it was done" in answer.message
        assert len(bus.asked) == 1


async def test_a_read_whose_numbers_cannot_be_looked_up_changed_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object) -> None:
        raise BusTimeout("slow")

    async with session_with() as (session, bus):
        bus.answers["get_friends"] = (User(UserId("a"), "A"),)
        monkeypatch.setattr(Lookup, "numbers", fail)
        assert (await call(session, "get_friend_list")).retcode == 10008


async def test_a_key_goes_to_the_owner_with_every_part_of_a_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with session_with() as (session, bus):
        owner = Slow(bus, monkeypatch)
        owner.gate.set()
        assert (await call(session)).status == "ok"
        assert (await call(session, idempotency_key="k")).status == "ok"
        context = {"post_type": "message", "message_type": "group", "group_id": 7, "user_id": 5}
        bus.answers["kick_member"] = None
        await session.execute(
            ".handle_quick_operation",
            {
                "context": context,
                "operation": {"reply": "out", "kick": True},
                "idempotency_key": "q",
            },
            as_text=False,
        )
        assert owner.keys == ["", "k", "q", "q"]
