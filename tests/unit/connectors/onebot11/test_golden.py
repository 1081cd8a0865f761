"""Runs tests/golden/onebot11: what implementations write, and what we make of it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.onebot11.decode import decode_event, event_id
from connectors.onebot11.decode_message import decode_message
from connectors.onebot11.encode_message import encode_message, encode_nodes
from connectors.onebot11.fields import Payload, Unreadable
from connectors.onebot11.notices import NOTICES, NOTIFY, REQUESTS
from onebus import subjects
from onebus.event import Event
from onebus.ids import parse_account
from onebus.segment import Forward, Segment, Segments, Text

GOLDEN = Path(__file__).parents[3] / "golden" / "onebot11"
ACCOUNT = parse_account("onebot11.qq")
TIME_MS = 1_700_000_000_000


def items(name: str) -> list[Any]:
    found: list[Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return found


def cases(name: str) -> list[Any]:
    return [
        pytest.param(item["given"], item["expect"], id=f"{n} {item['source'][-40:]}")
        for n, item in enumerate(items(name))
    ]


def encoded(segments: Segments) -> Any:
    """As `sending` does it: a forward of nodes is a message by itself."""
    match segments:
        case (Forward(nodes=nodes),) if nodes:
            return encode_nodes(nodes)
    return encode_message(segments)


def plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


@pytest.mark.parametrize(("given", "expect"), cases("events"))
def test_an_event(given: dict[str, Any], expect: list[Any]) -> None:
    events = decode_event(given, ACCOUNT).events
    base = {"account": plain(ACCOUNT), "v": 1, "time_ms": TIME_MS}
    assert plain(events) == [base | event for event in expect]
    assert len({subjects.of_event(event) for event in events}) == len(events)


@pytest.mark.parametrize(("given", "expect"), cases("messages"))
def test_a_message(given: Any, expect: list[Any]) -> None:
    assert plain(decode_message(given)) == expect


@pytest.mark.parametrize(("given", "expect"), cases("send"))
def test_a_message_to_send(given: Any, expect: list[Any]) -> None:
    assert encoded(msgspec.convert(given, Segments)) == expect


@pytest.mark.parametrize(("given", "expect"), cases("send"))
def test_what_is_sent_is_read_as_what_it_was(given: Any, expect: list[Any]) -> None:
    """But for how a URL is to be fetched, which nobody who receives it is told."""
    if expect[0]["type"] == "node" or "cache" in json.dumps(expect):
        return
    assert decode_message(expect) == msgspec.convert(given, Segments)


def test_every_notice_and_request_and_segment_has_its_case() -> None:
    given = [item["given"] for item in items("events")]
    known = {item["given"].get("notice_type") for item in items("events")}
    assert known >= NOTICES.keys() - {"friend_msg_emoji_like", "friend_msg_edit"}
    assert {one.get("sub_type") for one in given} >= NOTIFY.keys()
    assert {one.get("request_type") for one in given} >= REQUESTS.keys()
    sent = {segment["type"] for item in items("send") for segment in item["given"]}
    assert sent == {str(kind.__struct_config__.tag) for kind in Segment.__args__}


@pytest.mark.parametrize("given", [{}, {"post_type": None}, {"post_type": 1}])
def test_what_is_no_event(given: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        decode_event(given, ACCOUNT)


def test_the_same_has_the_same_id_and_all_else_another() -> None:
    given = {"post_type": "notice", "time": 1, "user_id": 2, "file": {"a": 1, "b": 2}}
    turned = {"file": {"b": 2, "a": 1}, "user_id": 2, "time": 1, "post_type": "notice"}
    assert event_id(given) == event_id(turned)
    others = [given | {"time": 2}, given | {"user_id": 3}, given | {"file": {}}]
    ids = {event_id(given), event_id(given, 1), event_id(given, 2), *map(event_id, others)}
    assert len(ids) == 6
    assert event_id(given | {"event_id": "7"}) == event_id({"event_id": "7"}) == "n7"


@pytest.mark.parametrize("strange", ["", "x", "１", 7, None, "-1"])
def test_an_event_id_that_is_none_of_onebus(strange: Any) -> None:
    assert event_id({"event_id": strange}).startswith("h")


def test_forwards_in_forwards_end_somewhere() -> None:
    deep: Any = [{"type": "text", "data": {"text": "x"}}]
    for _ in range(60):
        deep = [{"type": "forward", "data": {"id": "f", "content": [{"message": deep}]}}]
    assert len(repr(decode_message(deep))) < 1_000


def test_long_texts_take_linear_time() -> None:
    for text in ("[CQ:" * 200_000, "[CQ:a" + "," * 1_000_000, "&" * 1_000_000, "[" * 1_000_000):
        assert decode_message(text) == (Text(text),)


@pytest.mark.parametrize(
    ("value", "number", "text", "id_", "flag"),
    [
        (1, 1, "1", "1", True),
        ("1", 1, "1", "1", True),
        (1.0, 1, "1", "1", False),
        (1.5, 1, "1.5", "", False),
        (True, 1, "", "", True),
        (None, 0, "", "", False),
        ("", 0, "", "", False),
        (" 7 ", 7, " 7 ", "7", False),
        ("yes", 0, "yes", "yes", True),
        ({}, 0, "", "", False),
        (float("inf"), 0, "inf", "", False),
        (0, 0, "0", "", False),
        (-5, -5, "-5", "-5", True),
    ],
)
def test_values_of_any_type(value: Any, number: int, text: str, id_: str, flag: bool) -> None:
    payload = Payload({"x": value})
    assert (payload.number("x"), payload.text("x")) == (number, text)
    assert (payload.optional_id("x"), payload.flag("x")) == (id_, flag)


def test_events_are_events() -> None:
    """What is decoded is stored and read as the same."""
    for item in items("events"):
        for event in decode_event(item["given"], ACCOUNT).events:
            assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event
