"""What OneBot V11 looks like, case by case: the JSON files beside this one."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.conformance.statements import claims
from tests.fakes.onebot_ids import numbers_of, translate

from frontends.onebot_v11.cq import format_cq, parse_cq
from frontends.onebot_v11.event import event_references, to_onebot_event
from frontends.onebot_v11.to_onebot import segment_references, to_onebot_message
from frontends.onebot_v11.view import MessageFormat, View
from onebus.errors import BadParams
from onebus.event import Event, private_chat
from onebus.ids import UserId
from onebus.segment import Segments

HERE = Path(__file__).parent
CHAT = private_chat(UserId("u10"))


def cases(name: str) -> list[Any]:
    items = json.loads((HERE / f"{name}.json").read_text())
    return [
        pytest.param(
            item["given"],
            item["expect"],
            id=f"{i} {item['source']}",
            marks=claims(item["source"]),
        )
        for i, item in enumerate(items)
    ]


@pytest.mark.parametrize(("given", "expect"), cases("cq_parse"))
def test_cq_text_is_read(given: str, expect: Any) -> None:
    assert parse_cq(given) == expect


@pytest.mark.parametrize(("given", "expect"), cases("cq_format"))
def test_cq_text_is_written_and_read_again(given: Any, expect: str) -> None:
    assert format_cq(given) == expect
    assert format_cq(parse_cq(expect)) == expect


@pytest.mark.parametrize(("given", "expect"), cases("send"))
def test_what_a_bot_sends(given: dict[str, Any], expect: dict[str, Any]) -> None:
    translated = translate(**given)
    assert translated.segments == msgspec.convert(expect["segments"], Segments)
    assert list(translated.notes) == expect.get("notes", [])


@pytest.mark.parametrize(("given", "expect"), cases("refused"))
def test_what_is_refused(given: dict[str, Any], expect: str) -> None:
    with pytest.raises(BadParams) as caught:
        translate(**given)
    assert expect in str(caught.value)


@pytest.mark.parametrize(("given", "expect"), cases("receive"))
def test_what_a_bot_sees(given: Any, expect: dict[str, Any]) -> None:
    segments = msgspec.convert(given, Segments)
    rendered = to_onebot_message(segments, CHAT, numbers_of(segment_references(segments, CHAT)))
    assert rendered.segments == expect["array"]
    assert [list(raw["data"]) for raw in rendered.segments] == [
        list(raw["data"]) for raw in expect["array"]
    ]
    assert format_cq(rendered.segments) == expect["string"]
    assert parse_cq(expect["string"]) == rendered.segments
    assert list(rendered.unnumbered) == expect.get("unnumbered", [])


@pytest.mark.parametrize("message_format", ["string", "array"])
@pytest.mark.parametrize(("given", "expect"), cases("events"))
def test_events(given: Any, expect: dict[str, Any] | None, message_format: MessageFormat) -> None:
    event: Event = msgspec.convert(given, Event)
    view = View(9, UserId("u9"), numbers_of(event_references(event)), message_format)
    seen = to_onebot_event(event, view, 4097)
    if expect and "message" in expect and message_format == "array":
        array = parse_cq(expect["raw_message"])
        expect = expect | {"message": array, "message_format": "array"}
    assert seen == expect
    assert json.dumps(seen) == json.dumps(expect)


@pytest.mark.parametrize(("given", "expect"), cases("own_events"))
def test_what_the_account_itself_writes(given: Any, expect: dict[str, Any]) -> None:
    """Not told, unless the bot asked for it."""
    event: Event = msgspec.convert(given, Event)
    numbers = numbers_of(event_references(event))
    seen = to_onebot_event(event, View(9, UserId("u9"), numbers, report_self=True), 4097)
    assert json.dumps(seen) == json.dumps(expect)
    assert to_onebot_event(event, View(9, UserId("u9"), numbers), 4097) is None


def test_there_is_a_case_for_every_event() -> None:
    seen = {case.values[0]["type"] for case in cases("events")}
    assert seen == {kind.__struct_config__.tag for kind in Event.__args__}
