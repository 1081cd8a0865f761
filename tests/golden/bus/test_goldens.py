"""What is stored and sent, body by body: a version that cannot read these must not be released.

They were written by the version that their `v` names and are never changed, only added to.
"""

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Raw

from onebus import action as act
from onebus import segment, subjects
from onebus.action import ACTIONS, Request, Response, action_name, result_type
from onebus.codec import check_version, decode, decode_event, encode
from onebus.errors import action_error
from onebus.event import Event

HERE = Path(__file__).parent


def cases(name: str) -> list[Any]:
    items = json.loads((HERE / f"{name}.json").read_text())
    return [
        pytest.param(item["given"], item["expect"], id=f"{i} {item['source']}")
        for i, item in enumerate(items)
    ]


def given(name: str) -> list[Any]:
    return [item["given"] for item in json.loads((HERE / f"{name}.json").read_text())]


@pytest.mark.parametrize(("given", "expect"), cases("events"))
def test_an_event_is_read_and_written_the_same(given: Any, expect: str) -> None:
    event = decode_event(encode(given))
    assert json.loads(encode(event)) == given
    assert subjects.of_event(event) == expect


@pytest.mark.parametrize(("given", "expect"), cases("actions"))
def test_an_action_is_read_and_written_the_same(given: Any, expect: str) -> None:
    request = decode(encode(given), Request)
    check_version(request.v)
    assert json.loads(encode(request)) == given
    assert action_name(request.action) == expect


@pytest.mark.parametrize(("given", "expect"), cases("responses"))
def test_an_answer_is_read_and_written_the_same(given: Any, expect: str) -> None:
    response = decode(encode(given["body"]), Response)
    check_version(response.v)
    assert json.loads(encode(response)) == given["body"]
    if response.error:
        error = action_error(response.error)
        assert (error.code, error.certain) == (expect, response.error.certain)
    else:
        assert isinstance(response.result, Raw)
        kind = result_type(getattr(act, given["action"]))
        result = msgspec.json.decode(response.result, type=kind)
        assert encode(result) == bytes(response.result)


def test_every_event_and_every_action_has_its_golden() -> None:
    events = {body["type"] for body in given("events")}
    assert events == {str(kind.__struct_config__.tag) for kind in get_args(Event)}
    actions = {body["action"]["type"] for body in given("actions")}
    assert actions == {action_name(kind) for kind in ACTIONS}


def test_every_segment_has_its_golden() -> None:
    found = {part["type"] for body in given("events") for part in body.get("segments", ())}
    assert found == {str(kind.__struct_config__.tag) for kind in get_args(segment.Segment)}
