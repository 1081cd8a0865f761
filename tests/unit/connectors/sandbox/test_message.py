"""The sandbox's JSON of messages."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.sandbox import message as msg
from onebus import segment as seg
from onebus.errors import BadParams
from onebus.ids import MessageId
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


def test_what_people_write_comes_back_as_written() -> None:
    written = [
        {"type": "reply", "data": {"message_id": "m1"}},
        {"type": "mention", "data": {"user": "all"}},
        {"type": "text", "data": {"text": "x"}},
        {"type": "image", "data": {"url": "http://example.com/"}},
    ]
    segments = msg.decode_message(msgspec.convert(written, list[msg.Part]), None)
    assert [msg.encode_segment(segment) for segment in segments] == written


@pytest.mark.parametrize(
    ("message", "reply_to", "says"),
    [
        ("", None, "empty"),
        ([], None, "empty"),
        ("x" * (msg.MAX_MESSAGE_BYTES + 1), None, "larger"),
        ([msg.TextPart(msg.TextData("x"))] * (msg.MAX_SEGMENTS + 1), None, "at most 1000 segments"),
        ([msg.ReplyPart(msg.ReplyData("m1"))], "m2", "one other message"),
        ([msg.MentionPart(msg.MentionData(""))], None, "mention.user must be"),
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
        msg.decode_message([msg.ImagePart(msg.ImageData(url))], None)


@pytest.mark.parametrize("file", ["base64://AA==", "file:///etc/passwd", "media-id", "/etc/passwd"])
@pytest.mark.parametrize("kind", [seg.Image, seg.Voice, seg.Video, seg.File])
def test_the_sandbox_keeps_no_files(kind: type[Any], file: str) -> None:
    with pytest.raises(BadParams, match="keeps no files"):
        msg.decode_sent((kind(file),))


def test_media_inside_of_a_forward_is_looked_at_too() -> None:
    node = seg.Node(content=(seg.Image("file:///etc/passwd"),))
    with pytest.raises(BadParams, match="keeps no files"):
        msg.decode_sent((seg.Forward(nodes=(node,)),))


def test_media_that_a_bot_sends_has_its_address() -> None:
    (image,) = msg.decode_sent((seg.Image("https://example.com/a.png"),))
    assert isinstance(image, seg.Image)
    assert image.url == "https://example.com/a.png"


def test_every_other_segment_is_kept() -> None:
    sent = (
        seg.Reply(MessageId("m1")),
        seg.Dice("3"),
        seg.Card("json", "{}"),
        seg.Unknown("hologram", {"beam": 3}),
        seg.Forward(nodes=(seg.Node(content=(seg.Text("x"),)),)),
    )
    assert msg.decode_sent(sent) == sent
