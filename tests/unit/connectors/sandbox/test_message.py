"""The sandbox's JSON of messages."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.sandbox import message as msg
from connectors.sandbox.notice import encode_notice
from onebus import segment as seg
from onebus.errors import BadParams, NotFound
from onebus.event import Event, group_chat
from onebus.ids import ChatId, MessageId
from onebus.segment import Segment, Segments

GOLDEN = Path(__file__).parents[3] / "golden" / "sandbox"


def cases(name: str) -> list[Any]:
    found = json.loads((GOLDEN / name).read_text())
    return [pytest.param(case["given"], case["expect"], id=case["source"]) for case in found]


@pytest.mark.parametrize(("given", "expect"), cases("decode.json"))
def test_decode(given: dict[str, Any], expect: Any) -> None:
    message = msgspec.convert(given["message"], str | list[msg.Part])
    segments = msg.decode_message(message, given.get("reply_to"))
    assert segments == msgspec.convert(expect, Segments)


@pytest.mark.parametrize(("given", "expect"), cases("encode.json"))
def test_encode(given: Any, expect: Any) -> None:
    assert msg.encode_segment(msgspec.convert(given, Segment)) == expect


@pytest.mark.parametrize(("given", "expect"), cases("notice.json"))
def test_notice(given: Any, expect: Any) -> None:
    assert encode_notice(msgspec.convert(given, Event)) == expect


def test_what_people_write_comes_back_as_written() -> None:
    text = {"type": "text", "data": {"text": "x"}}
    node = {"user": "bob", "name": "Bob", "time": 5, "message": [text]}
    written = [
        {"type": "reply", "data": {"message_id": "m1"}},
        {"type": "mention", "data": {"user": "all"}},
        text,
        {"type": "image", "data": {"url": "http://example.com/"}},
        {"type": "image", "data": {"url": "http://example.com/", "flash": True}},
        {"type": "dice", "data": {"result": "6"}},
        {"type": "shake", "data": {}},
        {"type": "unknown", "data": {"kind": "hologram", "data": {"beam": 3}}},
        {"type": "forward", "data": {"id": "", "nodes": [node]}},
    ]
    given = [*written[:-1], {"type": "forward", "data": {"nodes": [node]}}]
    segments = msg.decode_message(msgspec.convert(given, list[msg.Part]))
    assert [msg.encode_segment(segment) for segment in segments] == written


@pytest.mark.parametrize(
    ("message", "reply_to", "says"),
    [
        ("", None, "empty"),
        ([], None, "empty"),
        ("x" * (msg.MAX_MESSAGE_BYTES + 1), None, "larger"),
        ([msg.Part("text", {"text": "x"})] * (msg.MAX_SEGMENTS + 1), None, "at most 1000 segments"),
        ([msg.Part("reply", {"message_id": "m1"})], "m2", "one other message"),
        ([msg.Part("mention", {"user": ""})], None, "mention.user must be"),
        ([msg.Part("dance")], None, "no segment 'dance'"),
        ([msg.Part("dice", {"result": "6", "colour": "red"})], None, "'dice' has no colour"),
        ([msg.Part("dice", {"result": 6})], None, "Expected `str`"),
        ([msg.Part("location", {"latitude": 1.5})], None, "missing required field `longitude`"),
        ([msg.Part("anonymous")], None, "beside"),
        ([msg.Part("forward", {"nodes": []})], None, "1 to 100 nodes"),
        ([msg.Part("voice", {"file": "base64://AA"})], None, "http or https URL"),
    ],
)
def test_messages_that_cannot_be(message: Any, reply_to: str | None, says: str) -> None:
    with pytest.raises(BadParams, match=says):
        msg.decode_message(message, reply_to)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:image/png;base64,AA", "file:///etc/passwd", "http://", "x"]
)
def test_images_are_on_the_web(url: str) -> None:
    with pytest.raises(BadParams, match="http or https"):
        msg.decode_message([msg.Part("image", {"url": url})])


@pytest.mark.parametrize("file", ["base64://AA==", "file:///etc/passwd", "media-id", "/etc/passwd"])
@pytest.mark.parametrize("kind", [seg.Image, seg.Voice, seg.Video, seg.File])
def test_the_sandbox_keeps_no_files(kind: type[Any], file: str) -> None:
    with pytest.raises(BadParams, match="http or https URL"):
        msg.decode_sent((kind(file),))


def test_media_inside_of_a_forward_is_looked_at_too() -> None:
    node = seg.Node(content=(seg.Image("file:///etc/passwd"),))
    with pytest.raises(BadParams, match="http or https URL"):
        msg.decode_sent((seg.Forward(nodes=(node,)),))


def test_media_that_a_bot_sends_has_its_address() -> None:
    (image,) = msg.decode_sent((seg.Image("https://example.com/a.png"),))
    assert isinstance(image, seg.Image)
    assert image.url == "https://example.com/a.png"


def forward_in(depth: int) -> msg.Part:
    inner: Any = "x" if depth == 1 else [forward_in(depth - 1)]
    return msg.Part("forward", {"nodes": [{"user": "bob", "message": inner}]})


def test_how_deep_forwards_are() -> None:
    deepest = msgspec.to_builtins(forward_in(msg.MAX_FORWARDS))
    assert msg.decode_message(msgspec.convert([deepest], list[msg.Part]))
    deeper = msgspec.to_builtins(forward_in(msg.MAX_FORWARDS + 1))
    with pytest.raises(BadParams, match="3 deep"):
        msg.decode_message(msgspec.convert([deeper], list[msg.Part]))


def test_a_forwards_id_says_where_it_is() -> None:
    chat = group_chat(ChatId("a.b"))
    segments = (seg.Text("x"), seg.Forward(nodes=(seg.Node(content=(seg.Text("y"),)),)))
    (_, forward) = msg.with_forward_ids(segments, chat, MessageId("m1"))
    assert isinstance(forward, seg.Forward)
    assert msg.place_of_forward(forward.id) == (chat, "m1", 1)


@pytest.mark.parametrize(
    "name", ["", "m1", "m1.0.group", "m1.x.group.a", "m1.0.guild.a", "m1.².group.a"]
)
def test_ids_that_are_no_forwards(name: str) -> None:
    with pytest.raises(NotFound):
        msg.place_of_forward(name)


def test_every_other_segment_is_kept() -> None:
    sent = (
        seg.Reply(MessageId("m1")),
        seg.Dice("3"),
        seg.Card("json", "{}"),
        seg.Unknown("hologram", {"beam": 3}),
        seg.Forward(nodes=(seg.Node(content=(seg.Text("x"),)),)),
    )
    assert msg.decode_sent(sent) == sent
