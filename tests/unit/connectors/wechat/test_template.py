"""Template messages: sending them, their refusals, and what the platform says afterwards."""

import json
import logging
from typing import Any

import pytest
from tests.unit.connectors.wechat.conftest import Replicas, post

from onebus.action import SendMessage
from onebus.errors import (
    ActionError,
    BadParams,
    Forbidden,
    OutcomeUnknown,
    RateLimited,
)
from onebus.event import MessageSent, private_chat
from onebus.ids import UserId
from onebus.segment import Card, Segment, Text
from onebus.testing.memory import MemoryKit

SEND = "/cgi-bin/message/template/send"
CHAT = private_chat(UserId("oUser"))
TEMPLATE = {"template_id": "T1", "data": {"thing1": {"value": "你好 \\u4f60"}}}


def say(*segments: Segment) -> SendMessage:
    return SendMessage(CHAT, segments)


def card(content: Any) -> Card:
    return Card("json", json.dumps(content))


@pytest.fixture(autouse=True)
def templates(replicas: Replicas) -> None:
    replicas.api.templates["T1"] = {"thing1"}


@pytest.mark.parametrize("customer_service", [True, False])
async def test_a_template_goes_out_and_is_logged(
    replicas: Replicas, customer_service: bool
) -> None:
    """It is another right than the customer-service API."""
    connector = replicas.connector(customer_service=customer_service)
    sent = await connector.send_message(say(card(TEMPLATE)))
    assert replicas.api.templated == [{"touser": "oUser", **TEMPLATE}]
    assert replicas.api.sent == []
    assert (sent.message, sent.degraded) == ("template-200228332", ())
    (event,) = replicas.memory.events()
    assert isinstance(event, MessageSent)
    assert (event.message, event.segments) == (sent.message, (card(TEMPLATE),))


async def test_text_around_it_needs_the_customer_service_api(replicas: Replicas) -> None:
    action = say(Text("first"), card(TEMPLATE))
    with pytest.raises(Forbidden, match="customer_service is false"):
        await replicas.connector(customer_service=False).send_message(action)
    assert not replicas.api.calls
    sent = await replicas.connector().send_message(action)
    assert len(replicas.api.sent) == len(replicas.api.templated) == 1
    assert sent.message.startswith("cs-")


async def test_a_template_that_is_none_is_refused_before_anything_goes_out(
    replicas: Replicas,
) -> None:
    for wrong in ({"template_id": 1}, {"template_id": "T1", "data": {"thing1": "plain"}}):
        with pytest.raises(BadParams, match=r"no template message: .*\$\."):
            await replicas.connector().send_message(say(Text("first"), card(wrong)))
    assert not replicas.api.calls


async def test_a_card_nested_without_end_is_text(replicas: Replicas) -> None:
    content = "[" * 2000
    sent = await replicas.connector().send_message(say(Card("json", content)))
    assert sent.degraded == ("card",)
    assert replicas.api.sent[0]["text"]["content"] == content


@pytest.mark.parametrize(
    ("template", "error", "says"),
    [
        ({"template_id": "T2"}, BadParams, "40037.*no such template"),
        ({"template_id": "T1"}, BadParams, "47003.*thing1"),
    ],
)
async def test_what_the_platform_refuses(
    replicas: Replicas, template: dict[str, Any], error: type[ActionError], says: str
) -> None:
    with pytest.raises(error, match=says):
        await replicas.connector().send_message(say(card(template)))


async def test_who_does_not_follow_gets_none(replicas: Replicas) -> None:
    replicas.api.followers.clear()
    with pytest.raises(Forbidden, match=r"43004.*followers only"):
        await replicas.connector().send_message(say(card(TEMPLATE)))


@pytest.mark.parametrize(
    ("errcode", "error"),
    [(43101, Forbidden), (45009, RateLimited), (48001, Forbidden), (502, OutcomeUnknown)],
)
async def test_other_refusals(replicas: Replicas, errcode: int, error: type[ActionError]) -> None:
    replicas.api.answer_next(SEND, errcode)
    with pytest.raises(error):
        await replicas.connector().send_message(say(card(TEMPLATE)))
    assert replicas.api.calls[SEND] == 1
    assert not replicas.memory.events()


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        ("success", []),
        ("failed:user block", ["template message '7' did not arrive: 'failed:user block'"]),
    ],
)
async def test_what_did_not_arrive_is_in_the_log(
    replicas: Replicas, caplog: pytest.LogCaptureFixture, status: str, lines: list[str]
) -> None:
    connector = replicas.connector()
    done = replicas.platform.event("TEMPLATESENDJOBFINISH", MsgID=7, Status=status)
    with caplog.at_level(logging.INFO):
        reply = await post(connector, replicas.platform.push(done))
    assert (reply.status, reply.body) == (200, b"success")
    assert [record.getMessage() for record in caplog.records] == lines
    assert isinstance(connector.kit, MemoryKit)
    assert connector.kit.ignored == {"TEMPLATESENDJOBFINISH": 1}
    assert not replicas.memory.events()
