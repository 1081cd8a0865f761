"""Runs tests/golden/wechat: what the platform's pages say, and what we make of it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import wechatpy

from connectors.wechat.answers import action_error, setup_error
from connectors.wechat.crypto import sign
from connectors.wechat.decode import decode, parse_xml
from connectors.wechat.encode import Draft, custom_message, encode_segments
from connectors.wechat.menu import Button, menu_body, problems
from connectors.wechat.template import template_message
from onebus.ids import parse_account
from onebus.segment import Card, Segment

GOLDEN = Path(__file__).parents[3] / "golden" / "wechat"


def cases(name: str) -> list[Any]:
    found = json.loads((GOLDEN / f"{name}.json").read_text())
    return [pytest.param(case["given"], case["expect"], id=str(n)) for n, case in enumerate(found)]


@pytest.mark.parametrize(("given", "expect"), cases("inbound"))
def test_inbound(given: str, expect: dict[str, Any]) -> None:
    inbound = decode(parse_xml(given.encode()), parse_account("wechat.my_mp"))
    got = {
        "key": inbound.key,
        "replyable": inbound.replyable,
        "events": msgspec.to_builtins(inbound.events),
    }
    for event in got["events"]:
        del event["account"], event["v"]
    assert msgspec.json.decode(msgspec.json.encode(got)) == expect


@pytest.mark.parametrize(("given", "expect"), cases("inbound"))
def test_wechatpy_reads_the_same_in_inbound(given: str, expect: dict[str, Any]) -> None:
    theirs = wechatpy.parse_message(given)
    for event in expect["events"]:
        assert event["time_ms"] == theirs.time * 1000
        assert event.get("sender", event.get("user"))["id"] == theirs.source
        if "message" in event:
            assert event["message"] == str(theirs.id)


def message(draft: Draft) -> dict[str, Any]:
    if isinstance(draft, Card):
        return template_message("OPENID", draft)
    return custom_message("OPENID", draft)


@pytest.mark.parametrize(("given", "expect"), cases("outbound"))
def test_outbound(given: list[Any], expect: dict[str, Any]) -> None:
    encoded = encode_segments(msgspec.convert(given, tuple[Segment, ...]))
    messages = [message(draft) for draft in encoded.drafts]
    assert {"messages": messages, "degraded": list(encoded.degraded)} == expect


@pytest.mark.parametrize(("given", "expect"), cases("errors"))
def test_errors(given: dict[str, Any], expect: dict[str, Any]) -> None:
    make = {"action": action_error, "setup": setup_error}[given["during"]]
    error = make(given["errcode"], given["errmsg"])
    assert type(error).__name__ == expect["error"]
    assert given["errmsg"] in str(error)
    assert expect["says"] in str(error)


@pytest.mark.parametrize(("given", "expect"), cases("signatures"))
def test_signatures(given: list[str], expect: str) -> None:
    assert sign(*given) == expect


@pytest.mark.parametrize(("given", "expect"), cases("menus"))
def test_menus(given: list[dict[str, Any]], expect: list[str]) -> None:
    menu = msgspec.convert(given, tuple[Button, ...])
    assert list(problems(menu)) == expect
    assert json.loads(json.dumps(menu_body(menu))) == {"button": given}
