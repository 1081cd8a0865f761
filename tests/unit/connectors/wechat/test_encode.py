"""Splitting and escaping: what examples alone cannot show. Examples are in tests/golden/wechat."""

import pytest
import xmltodict
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.wechat.encode import MAX_TEXT_BYTES, encode_segments, text_reply
from onebus.errors import BadParams, UnsupportedAction
from onebus.segment import (
    File,
    Forward,
    Image,
    Link,
    Mention,
    Node,
    Reply,
    Segment,
    Text,
    Video,
    Voice,
)


def test_text_of_exactly_the_limit_is_one_part() -> None:
    def sizes(text: str) -> list[int]:
        drafts = encode_segments((Text(text),)).drafts
        return [len(draft.text.encode()) for draft in drafts if isinstance(draft, Text)]

    assert len(sizes("你" * (MAX_TEXT_BYTES // 3))) == 1
    assert sizes("x" * (MAX_TEXT_BYTES + 1)) == [2048, 1]


@pytest.mark.parametrize("media", [Image("a"), Voice("a"), Video("a")])
def test_a_file_is_a_message_of_its_own(media: Segment) -> None:
    encoded = encode_segments((Text("before"), media, Text("after")))
    assert encoded.drafts == (Text("before"), media, Text("after"))
    assert encoded.degraded == ()


@pytest.mark.parametrize("media", [Image("a"), Voice("a"), Video("a"), File("a")])
def test_files_where_they_cannot_be(media: Segment) -> None:
    nested = Forward(nodes=(Node(content=(media,)),))
    with pytest.raises(UnsupportedAction, match="cannot be sent here"):
        encode_segments((Text("before"), nested))
    with pytest.raises(UnsupportedAction, match="cannot be sent here"):
        encode_segments((Text("before"), media), cards=False)


def test_other_files_cannot_be_sent() -> None:
    with pytest.raises(UnsupportedAction, match="other files not at all"):
        encode_segments((File("a"),))


@pytest.mark.parametrize(
    "segments", [(), (Text(""),), (Text(" \n"),), (Text("\x00\x1b"),), (Text("\ud800"),)]
)
def test_a_message_without_content_is_refused(segments: tuple[Segment, ...]) -> None:
    with pytest.raises(BadParams, match="empty"):
        encode_segments(segments)


def test_a_reply_alone_is_empty() -> None:
    with pytest.raises(BadParams, match="empty"):
        encode_segments((Reply(message="1"),))  # type: ignore[arg-type]


def test_forwards_in_forwards_end() -> None:
    segment: Segment = Text("core")
    for _ in range(4):
        segment = Forward(nodes=(Node(name="n", content=(segment,)),))
    with pytest.raises(BadParams, match="nested"):
        encode_segments((segment,))


def test_without_cards_a_link_is_text() -> None:
    link = Link("https://a.example", "A", "about")
    encoded = encode_segments((link,), cards=False)
    assert encoded.drafts == (Text("A about https://a.example"),)
    assert encoded.degraded == ("link",)


def test_each_degraded_kind_is_named_once() -> None:
    mentions = (Mention(None), Text("x"), Mention(None))
    assert encode_segments(mentions).degraded == ("mention",)


@settings(max_examples=200)
@given(st.text(st.sampled_from("]>[<!CDATA&;\n x"), max_size=40))
def test_no_text_leaves_its_element(text: str) -> None:
    xml = text_reply(text, to_user="u", from_us="g", time_s=1)
    parsed = xmltodict.parse(xml, strip_whitespace=False)["xml"]
    assert set(parsed) == {"ToUserName", "FromUserName", "CreateTime", "MsgType", "Content"}
    assert (parsed["Content"] or "") == text
