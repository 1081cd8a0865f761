"""The message parameter: its limits, and that nothing breaks it."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontends.onebot_v11.cq import parse_cq
from frontends.onebot_v11.from_onebot import (
    _PLAIN,
    _WITH_IDS,
    from_onebot_message,
    only_text,
    wire_ids,
)
from frontends.onebot_v11.message import MAX_DEPTH, MAX_NODES, MAX_SEGMENTS, read_message
from frontends.onebot_v11.references import Natives
from onebus.errors import BadParams

SHAKE = {"type": "shake", "data": {}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
TYPES = st.sampled_from(
    [*_PLAIN, *_WITH_IDS, "node", "mface"]  # every type, and one that nobody knows
)
PARAMS = st.sampled_from(["text", "id", "file", "qq", "type", "user_id", "content", "data", "lat"])
SEGMENTS = st.fixed_dictionaries({"type": TYPES, "data": st.dictionaries(PARAMS, JSON)})


def nested(depth: int) -> dict[str, Any]:
    content = nested(depth - 1) if depth > 1 else SHAKE
    return {"type": "node", "data": {"user_id": "1", "content": content}}


@given(JSON | st.lists(SEGMENTS), st.booleans(), st.booleans())
def test_any_value_is_read_or_refused(value: Any, auto_escape: bool, from_text: bool) -> None:
    try:
        raw = read_message(value, auto_escape=auto_escape, from_text_param=from_text)
        wire_ids(raw)
        translated = from_onebot_message(raw, Natives())
    except BadParams as error:
        assert str(error)  # noqa: PT017 - either outcome is right, an empty text is not
    else:
        assert translated.segments


def test_as_many_segments_as_allowed() -> None:
    assert len(read_message([SHAKE] * MAX_SEGMENTS)) == MAX_SEGMENTS
    assert len(read_message("[CQ:shake]" * MAX_SEGMENTS)) == MAX_SEGMENTS


@pytest.mark.parametrize(
    "value",
    [
        [SHAKE] * (MAX_SEGMENTS + 1),
        "[CQ:shake]" * (MAX_SEGMENTS + 1),
        "[CQ:shake]a" * (MAX_SEGMENTS // 2 + 1),
        [{"type": "text", "data": {"text": ""}}] * 1_000_000,
        "[CQ:shake]" * 1_000_000,
        [{"type": "node", "data": {"content": [SHAKE] * 5_000}}] * 3,
    ],
    ids=["array", "text", "with-words", "a-million-empty", "a-million-codes", "in-nodes"],
)
def test_too_many_segments(value: Any) -> None:
    started = time.process_time()
    with pytest.raises(BadParams, match=f"more than {MAX_SEGMENTS} segments"):
        read_message(value)
    assert time.process_time() - started < 2


def test_nodes_are_counted_and_their_nesting() -> None:
    node = {"type": "node", "data": {"id": "1"}}
    assert len(read_message([node] * MAX_NODES)) == MAX_NODES
    with pytest.raises(BadParams, match=f"more than {MAX_NODES} forward nodes"):
        read_message([node] * (MAX_NODES + 1))
    assert read_message(nested(MAX_DEPTH))
    with pytest.raises(BadParams, match=f"deeper than {MAX_DEPTH} levels"):
        read_message(nested(MAX_DEPTH + 1))


def test_deep_json_in_a_form_is_text() -> None:
    text = "[" * 100_000
    assert read_message(text, from_text_param=True) == [{"type": "text", "data": {"text": text}}]


def test_which_ids_a_message_holds() -> None:
    node = {"uin": 5, "content": "[CQ:at,qq=6][CQ:reply,id=7]"}
    raw = read_message(
        [
            {"type": "at", "data": {"qq": 1}},
            {"type": "at", "data": {"qq": "all"}},
            {"type": "reply", "data": {"id": -2}},
            {"type": "contact", "data": {"type": "qq", "id": "3"}},
            {"type": "contact", "data": {"type": "group", "id": "4"}},
            {"type": "node", "data": {"id": "8"}},
            {"type": "node", "data": node},
        ]
    )
    found = wire_ids(raw)
    assert found.users == {"1", "3", "5", "6"}
    assert found.groups == {"4"}
    assert found.messages == {"-2", "7"}
    assert found.nodes == {"8"}


@pytest.mark.parametrize(
    "text", ["hello", "a &amp; b", "&#91;CQ:", "[CQ", "[cq:at,qq=1]", "\ud800", " "]
)
@pytest.mark.parametrize("escape", [True, False])
def test_the_short_way_of_a_text_is_the_long_way(text: str, escape: bool) -> None:
    raw = read_message(text, auto_escape=escape)
    assert raw == read_message([{"type": "text", "data": {"text": raw[0]["data"]["text"]}}])
    assert raw == (raw if escape else parse_cq(text))
    assert only_text(raw) == from_onebot_message(raw, Natives()).segments


def test_what_is_more_than_a_text_has_no_short_way() -> None:
    for message in ("a[CQ:face,id=1]", "[CQ:at,qq=1]", [{"type": "reply", "data": {"id": "1"}}]):
        assert only_text(read_message(message)) is None
