"""Splitting and escaping: what examples alone cannot show. Examples are in tests/golden/wechat."""

import time
import unicodedata

import pytest
import xmltodict
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.wechat.encode import MAX_TEXT_BYTES, encode_segments, split_text, text_reply
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

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@settings(max_examples=200, deadline=None)
@given(ANY_TEXT, st.integers(4, 40))
def test_parts_fit_and_lose_nothing(text: str, limit: int) -> None:
    parts = split_text(text, limit)
    assert "".join(parts) == text
    assert all(0 < len(part.encode()) <= limit for part in parts)


@pytest.mark.parametrize("cluster", ["é", "👍🏽", "👩‍👩‍👧", "❤️", "ก็"])
def test_a_cluster_is_not_torn(cluster: str) -> None:
    for before in range(12, 41):
        first, *_ = split_text("x" * before + cluster + "y" * 40, 40)
        rest = first[before:]
        assert rest == "" or rest.startswith(cluster)


def test_marks_without_end_are_cut_all_the_same() -> None:
    text = "a" + "\u0301" * 500
    assert unicodedata.category(text[1]) == "Mn"
    parts = split_text(text, 100)
    assert "".join(parts) == text
    assert len(parts) < 12


def test_text_of_exactly_the_limit_is_one_part() -> None:
    assert len(split_text("你" * (MAX_TEXT_BYTES // 3))) == 1
    assert [len(part.encode()) for part in split_text("x" * (MAX_TEXT_BYTES + 1))] == [2048, 1]


def test_splitting_takes_linear_time() -> None:
    began = time.perf_counter()
    parts = split_text("好" * 1_000_000)
    assert time.perf_counter() - began < 3
    assert len(parts) == -(-1_000_000 // 682)


@pytest.mark.parametrize("media", [Image("a"), Voice("a"), Video("a"), File("a")])
@pytest.mark.parametrize("nested", [False, True])
def test_media_are_refused_whatever_else_is_there(media: Segment, nested: bool) -> None:
    segment = Forward(nodes=(Node(content=(media,)),)) if nested else media
    with pytest.raises(UnsupportedAction, match="media upload is not available yet"):
        encode_segments((Text("before"), segment))


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


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("]>[<!CDATA&;\n x"), max_size=40))
def test_no_text_leaves_its_element(text: str) -> None:
    xml = text_reply(text, to_user="u", from_us="g", time_s=1)
    parsed = xmltodict.parse(xml, strip_whitespace=False)["xml"]
    assert set(parsed) == {"ToUserName", "FromUserName", "CreateTime", "MsgType", "Content"}
    assert (parsed["Content"] or "") == text
