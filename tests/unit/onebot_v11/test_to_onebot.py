"""Segments on their way to a bot: none is forgotten, and each comes back as it went."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontends.onebot_v11.from_onebot import from_onebot_message
from frontends.onebot_v11.message import read_message
from frontends.onebot_v11.references import Natives, Numbers, message_key
from frontends.onebot_v11.to_onebot import (
    node_references,
    segment_references,
    to_onebot_message,
    to_onebot_node,
)
from onebus import segment as seg
from onebus.event import group_chat
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import Node, Segment

CHAT = group_chat(ChatId("g1"), "lobby")
ALICE, LOBBY, QUOTED = UserId("u10"), ChatId("g1"), MessageId("m5")
NUMBERS = Numbers({ALICE: 10}, {LOBBY: 1}, {message_key(CHAT, QUOTED): 5})
NATIVES = Natives({"10": ALICE}, {"1": LOBBY}, {"5": QUOTED})

ONE_OF_EACH: tuple[Segment, ...] = (
    seg.Text("hi"),
    seg.Mention(ALICE, "Alice"),
    seg.Mention(None),
    seg.Reply(QUOTED),
    seg.Image("a.jpg", "http://x/a", flash=True),
    seg.Voice("a.amr", "http://x/a", magic=True),
    seg.Video("a.mp4", "http://x/a"),
    seg.File("id", "http://x/a", "a.pdf"),
    seg.Emoji("1", "smile"),
    seg.Location(1.5, -2.25, "t", "c"),
    seg.Contact("user", ALICE),
    seg.Contact("group", LOBBY),
    seg.Link("u", "t", "c", "i"),
    seg.Music("custom", "", "u", "a", "t", "c", "i"),
    seg.Forward("f"),
    seg.Card("json", "{}"),
    seg.Card("xml", "<a/>"),
    seg.Card("markdown", "# a"),
    seg.Poke("1", "2", "n"),
    seg.Dice("6"),
    seg.Rps("1"),
    seg.Shake(),
    seg.Anonymous(True),
    seg.Unknown("mface", {"key": "1"}),
)


def test_there_is_one_of_each() -> None:
    assert {type(segment) for segment in ONE_OF_EACH} == set(Segment.__args__)


@pytest.mark.parametrize("segment", ONE_OF_EACH, ids=lambda segment: type(segment).__name__)
def test_a_segment_comes_back_as_it_went(segment: Segment) -> None:
    rendered = to_onebot_message((segment,), CHAT, NUMBERS)
    assert all(isinstance(value, str) for value in rendered.segments[0]["data"].values())
    back = from_onebot_message(read_message(rendered.segments), NATIVES)
    assert back.segments == (segment,)
    assert back.notes == ()


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.floats()))
def test_what_is_unknown_has_text_values(data: dict[str, Any]) -> None:
    rendered = to_onebot_message((seg.Unknown("x", data),), CHAT, NUMBERS)
    assert all(isinstance(value, str) for value in rendered.segments[0]["data"].values())
    assert list(rendered.segments[0]["data"]) == [key for key in data if data[key] is not None]


def test_which_ids_need_numbers() -> None:
    bob, carol = UserId("u11"), UserId("u12")
    inner = Node(user=carol, content=(seg.Contact("group", ChatId("g7")),))
    nodes = (Node(QUOTED), Node(user=bob, content=(seg.Forward(nodes=(inner,)),)))
    segments = (seg.Mention(ALICE), seg.Mention(None), seg.Reply(QUOTED), seg.Forward(nodes=nodes))
    found = segment_references(segments, CHAT)
    assert found.users == {ALICE, bob, carol}
    assert found.groups == {ChatId("g7")}
    assert found.messages == {message_key(group_chat(LOBBY), QUOTED)}
    assert node_references(nodes, CHAT).users == {bob, carol}


def test_a_forward_node_has_its_content_as_an_array() -> None:
    """Source: message/segment.md, "合并转发自定义节点", example 2."""
    node = Node(user=ALICE, name="某人", content=(seg.Emoji("123"), seg.Text("哈喽～")))
    assert msgspec.to_builtins(to_onebot_node(node, CHAT, NUMBERS)) == {
        "type": "node",
        "data": {
            "user_id": "10",
            "nickname": "某人",
            "content": [
                {"type": "face", "data": {"id": "123"}},
                {"type": "text", "data": {"text": "哈喽～"}},
            ],
        },
    }
    assert to_onebot_node(Node(QUOTED), CHAT, NUMBERS) == {"type": "node", "data": {"id": "5"}}
