"""Sending by the customer-service API, and what every one of its failures becomes."""

import asyncio
import logging
import traceback
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from tests.unit.connectors.wechat.conftest import Replicas

from onebus import deadline
from onebus.action import SendMessage
from onebus.errors import (
    ActionError,
    BadParams,
    BusTimeout,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
    UnsupportedAction,
)
from onebus.event import MessageSent, group_chat, private_chat
from onebus.ids import ChatId, UserId
from onebus.segment import Link, Mention, Segment, Text
from onebus.testing.memory import MemoryKit

SEND = "/cgi-bin/message/custom/send"
CHAT = private_chat(UserId("oUser"))


def message(*segments: Segment, user: str = "oUser") -> SendMessage:
    return SendMessage(private_chat(UserId(user)), segments)


async def test_a_text_goes_out_and_is_logged(replicas: Replicas) -> None:
    segments = (Mention(UserId("oUser"), "Ann"), Text('你好 \\u4f60 "quoted"\n😀'))
    sent = await replicas.connector().send_message(message(*segments))
    text = '@Ann 你好 \\u4f60 "quoted"\n😀'
    assert replicas.api.sent == [{"touser": "oUser", "msgtype": "text", "text": {"content": text}}]
    assert sent.message.startswith("cs-")
    assert (sent.sequence, sent.degraded) == (1, ("mention",))
    (event,) = replicas.memory.events()
    assert isinstance(event, MessageSent)
    assert (event.message, event.chat, event.segments) == (sent.message, CHAT, (Text(text),))
    assert event.parts == ()


async def test_a_long_text_is_an_entry_each_that_lists_all_parts(replicas: Replicas) -> None:
    sent = await replicas.connector().send_message(message(Text("好" * 1500)))
    contents = [accepted["text"]["content"] for accepted in replicas.api.sent]
    assert "".join(contents) == "好" * 1500
    assert len(contents) == 3
    events = [event for event in replicas.memory.events() if isinstance(event, MessageSent)]
    parts = tuple(event.message for event in events)
    assert sent.message == parts[0]
    assert {event.parts for event in events} == {parts}
    assert len(set(parts)) == 3


async def test_a_link_with_a_title_is_a_card(replicas: Replicas) -> None:
    await replicas.connector().send_message(message(Link("https://a.example", "A")))
    assert replicas.api.sent[0]["msgtype"] == "news"


async def test_groups_do_not_exist(replicas: Replicas) -> None:
    action = SendMessage(group_chat(ChatId("g")), (Text("x"),))
    with pytest.raises(UnsupportedAction, match="no groups"):
        await replicas.connector().send_message(action)


async def test_without_customer_service_nothing_is_pushed(replicas: Replicas) -> None:
    connector = replicas.connector(customer_service=False)
    with pytest.raises(Forbidden, match="customer_service is false"):
        await connector.send_message(message(Text("x")))
    assert not replicas.api.calls


async def test_a_process_that_lost_the_account_sends_nothing(replicas: Replicas) -> None:
    connector = replicas.connector()
    assert isinstance(connector.kit, MemoryKit)
    connector.kit.owner = False
    with pytest.raises(PlatformUnavailable, match="moved to another process") as caught:
        await connector.send_message(message(Text("x")))
    assert caught.value.certain
    assert not replicas.api.calls[SEND]


async def test_a_holder_that_gives_no_answer_leaves_the_outcome_open(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = replicas.connector()

    async def time_out(*_: object) -> None:
        raise BusTimeout("no answer")

    monkeypatch.setattr(connector.kit.passive, "offer", time_out)
    with pytest.raises(OutcomeUnknown):
        await connector.send_message(message(Text("x")))
    assert not replicas.api.calls


async def test_without_nats_nothing_is_sent(replicas: Replicas) -> None:
    replicas.memory.bus.available = False
    for text in ("x", "x" * 5000):  # the offer fails, and the token
        with pytest.raises(PlatformUnavailable) as caught:
            await replicas.connector().send_message(message(Text(text)))
        assert caught.value.certain
    assert not replicas.api.calls


async def test_a_log_that_is_away_does_not_undo_the_sending(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = replicas.connector()
    send = connector._api.send

    async def send_then_lose(body: Mapping[str, Any]) -> None:
        await send(body)
        replicas.memory.bus.available = False

    monkeypatch.setattr(connector._api, "send", send_then_lose)
    sent = await connector.send_message(message(Text("x")))
    assert sent.message.startswith("cs-")
    assert sent.sequence is None
    assert len(replicas.api.sent) == 1


@pytest.mark.parametrize(
    ("errcode", "kind", "says"),
    [
        (-1, PlatformUnavailable, "busy"),
        (45015, Forbidden, "48 hours"),
        (45047, RateLimited, "5 messages"),
        (40003, NotFound, "no follower"),
        (45002, BadParams, "too long"),
        (48001, Forbidden, "customer_service: false"),
        (43019, Forbidden, "43019: scripted"),
    ],
)
async def test_error_codes(
    replicas: Replicas, errcode: int, kind: type[ActionError], says: str
) -> None:
    replicas.api.answer_next(SEND, errcode)
    with pytest.raises(kind, match=says) as caught:
        await replicas.connector().send_message(message(Text("x")))
    assert caught.value.certain
    assert replicas.memory.events() == []
    assert replicas.api.calls[SEND] == 1


async def test_a_stranger_is_not_found(replicas: Replicas) -> None:
    with pytest.raises(NotFound):
        await replicas.connector().send_message(message(Text("x"), user="oStranger"))


@pytest.mark.parametrize("errcode", [40001, 40014, 42001])
async def test_a_rejected_token_is_replaced_once(replicas: Replicas, errcode: int) -> None:
    replicas.api.answer_next(SEND, errcode)
    await replicas.connector().send_message(message(Text("x")))
    assert len(replicas.api.sent) == 1
    assert replicas.api.calls[SEND] == 2


async def test_a_token_that_the_platform_renewed_costs_no_forced_refresh(
    replicas: Replicas,
) -> None:
    connector = replicas.connector()
    await connector.open()
    replicas.api.expire_tokens()
    await connector.send_message(message(Text("x")))
    assert len(replicas.api.sent) == 1
    assert replicas.api.forced_refreshes == 0


async def test_a_token_that_stays_the_same_is_renewed_by_force(replicas: Replicas) -> None:
    replicas.api.answer_next(SEND, 40001)
    await replicas.connector().send_message(message(Text("x")))
    assert replicas.api.forced_refreshes == 1


async def test_a_token_rejected_twice_is_an_error(replicas: Replicas) -> None:
    for _ in range(2):
        replicas.api.answer_next(SEND, 40001)
    with pytest.raises(Forbidden, match="40001"):
        await replicas.connector().send_message(message(Text("x")))
    assert replicas.api.calls[SEND] == 2


async def test_replicas_share_one_token(replicas: Replicas) -> None:
    connectors = [replicas.connector() for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        for connector in connectors:
            group.create_task(connector.send_message(message(Text("x"))))
    assert replicas.api.calls["/cgi-bin/stable_token"] == 1
    assert len(replicas.api.sent) == 3


async def test_a_token_of_another_app_is_not_used(replicas: Replicas) -> None:
    """The configuration got another app id; the token in the store is the old app's."""
    await replicas.connector().open()
    with pytest.raises(Forbidden, match="app_id is wrong"):
        await replicas.connector(app_id="wxother").send_message(message(Text("x")))


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_broken_gateway_leaves_the_outcome_open(replicas: Replicas, status: int) -> None:
    replicas.api.answer_next(SEND, status)
    with pytest.raises(OutcomeUnknown, match=f"HTTP {status}") as caught:
        await replicas.connector().send_message(message(Text("x")))
    assert not caught.value.certain
    assert replicas.api.calls[SEND] == 1


async def test_a_refusing_gateway_is_certain(replicas: Replicas) -> None:
    replicas.api.answer_next(SEND, 404)
    with pytest.raises(PlatformUnavailable, match="HTTP 404"):
        await replicas.connector().send_message(message(Text("x")))


async def test_a_call_that_is_put_off_is_made_again_or_refused_for_certain(
    replicas: Replicas,
) -> None:
    replicas.api.answer_next(SEND, 429)
    await replicas.connector().send_message(message(Text("x")))
    assert (len(replicas.api.sent), replicas.api.calls[SEND]) == (1, 2)
    replicas.api.answer_next(SEND, 429)
    with deadline.within(0.4), pytest.raises(RateLimited) as caught:
        await replicas.connector().send_message(message(Text("y")))
    assert caught.value.retry_after_s
    assert len(replicas.api.sent) == 1


async def test_an_answer_that_is_no_json_leaves_the_outcome_open(replicas: Replicas) -> None:
    replicas.api.answer_next(SEND, 200)
    with pytest.raises(OutcomeUnknown, match="cannot be read"):
        await replicas.connector().send_message(message(Text("x")))


async def test_no_connection_means_nothing_was_sent(replicas: Replicas) -> None:
    connector = replicas.connector(api_base="http://127.0.0.1:1")
    with pytest.raises(PlatformUnavailable, match="no connection") as caught:
        await connector.send_message(message(Text("x")))
    assert caught.value.certain


async def test_a_timeout_after_sending_leaves_the_outcome_open(replicas: Replicas) -> None:
    replicas.api.hang.clear()
    connector = replicas.connector(request_timeout_s=1)
    with pytest.raises(OutcomeUnknown, match="may have been done"):
        await connector.send_message(message(Text("x")))
    assert len(replicas.api.sent) == 1
    assert replicas.memory.events() == []


async def test_parts_that_went_out_are_logged_when_a_later_one_fails(replicas: Replicas) -> None:
    connector = replicas.connector()
    replicas.api.answer_next(SEND, 0)
    replicas.api.answer_next(SEND, 45047)
    with pytest.raises(OutcomeUnknown, match=r"1 of 3 parts were sent, then: .*45047"):
        await connector.send_message(message(Text("好" * 1500)))
    (event,) = replicas.memory.events()
    assert isinstance(event, MessageSent)
    assert event.segments == (Text("好" * 682),)
    assert event.parts == ()
    assert replicas.api.calls[SEND] == 2


async def failures(replicas: Replicas) -> list[BaseException]:
    """Every way in which a call can break, with the token in its URL."""
    connector = replicas.connector(request_timeout_s=1)
    await connector.open()
    found: list[BaseException] = []
    for script in (45015, 40013, 302, 404, 502, 200):
        replicas.api.answer_next(SEND, script, "access_token TOKEN-CANARY-stable-1 is bad\n\x1b[2J")
    for hang in (False,) * 6 + (True,):
        if hang:
            replicas.api.hang.clear()
        with pytest.raises(ActionError) as caught:
            await connector.send_message(message(Text("x")))
        found.append(caught.value)
    return found


async def test_s18_no_token_in_any_error_or_log(
    replicas: Replicas, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for error in await failures(replicas):
        shown = "".join(traceback.format_exception(error)) + repr(error)
        caught: BaseException | None = error
        while caught is not None:  # what a tracer that ignores __suppress_context__ would show
            shown += repr(caught) + str(caught)
            assert not isinstance(caught, aiohttp.ClientError)
            caught = caught.__cause__ or caught.__context__
        assert "TOKEN-CANARY" not in shown
        assert "app-secret-canary" not in shown
        assert "\x1b" not in str(error)
        assert "\n" not in str(error)
    assert "TOKEN-CANARY" not in caplog.text
    assert "app-secret-canary" not in caplog.text
