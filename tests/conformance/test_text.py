"""Sections D1 and D2: messages as text and as arrays, both read and written.

Source: https://github.com/botuniverse/onebot-11/blob/master/message/string.md and `array.md`.
"""

from typing import Any

import pytest
from tests.conformance.segments import KNOWN, received
from tests.fakes.onebot_ids import translate

from frontends.onebot_v11.cq import RawSegment, format_cq, parse_cq
from onebus.segment import Emoji, Image, Shake, Text


def raw(kind: str, **data: Any) -> RawSegment:
    return {"type": kind, "data": data}


def both_ways(text: str, *segments: RawSegment) -> None:
    assert parse_cq(text) == [*segments]
    assert format_cq(segments) == text


@pytest.mark.proves(471)
def test_codes_stand_in_brackets() -> None:
    both_ways(
        "[CQ:face,id=178]看看我刚拍的照片[CQ:image,file=123.jpg]",
        raw("face", id="178"),
        raw("text", text="看看我刚拍的照片"),
        raw("image", file="123.jpg"),
    )
    for text in ("[cq:face,id=1]", "[Cq:face]", "[ CQ:face]", "CQ:face,id=1"):
        assert parse_cq(text) == [raw("text", text=text)]


@pytest.mark.proves(472)
def test_a_code_without_params() -> None:
    both_ways("[CQ:shake]", raw("shake"))


@pytest.mark.proves(473)
def test_commas_stand_between_params() -> None:
    title, url = "标题", "http://baidu.com"
    both_ways("[CQ:share,title=标题,url=http://baidu.com]", raw("share", title=title, url=url))
    assert parse_cq("[CQ:x,a=1；b=2，c=3]") == [raw("x", a="1；b=2，c=3")]


@pytest.mark.proves(474)
def test_no_space_is_added() -> None:
    assert format_cq([raw("face", id="178")]) == "[CQ:face,id=178]"
    for known in KNOWN:
        data = {key: value.replace(" ", "") for key, value in known.raw.items() if key != "content"}
        assert " " not in format_cq([raw("x", **data)])


@pytest.mark.proves(475)
def test_any_other_character_is_itself() -> None:
    value = " two  words\n\r\n\t!;:'\"(){}<>=\\/|`~^%$#@*+-_.?\u2028😀中"
    both_ways(f"[CQ:x,a={value}]", raw("x", a=value))


@pytest.mark.proves(476)
def test_the_name_ends_at_a_comma_or_a_bracket() -> None:
    assert parse_cq("[CQ:abc,d=e]") == [raw("abc", d="e")]
    assert parse_cq("[CQ:abc]d,e=f") == [raw("abc"), raw("text", text="d,e=f")]


@pytest.mark.proves(477)
def test_params_end_at_the_bracket() -> None:
    found = parse_cq("[CQ:x,a=1,b=2,c=3],d=4]")
    assert found == [raw("x", a="1", b="2", c="3"), raw("text", text=",d=4]")]


@pytest.mark.proves(478)
def test_a_key_ends_at_the_first_equals_sign() -> None:
    assert parse_cq("[CQ:x,a==b=c=,d=]") == [raw("x", a="=b=c=", d="")]


@pytest.mark.proves(479)
def test_escapes_in_text() -> None:
    both_ways("&amp;&#91;&#93;,&amp;amp;&amp;#91;", raw("text", text="&[],&amp;&#91;"))


@pytest.mark.proves(480)
def test_escapes_in_values() -> None:
    both_ways("[CQ:x,a=&amp;&#91;&#93;&#44;&amp;#44;]", raw("x", a="&[],&#44;"))


@pytest.mark.proves(481)
def test_the_example_of_escaped_text() -> None:
    both_ways(
        "- &#91;x&#93; 使用 `&amp;data` 获取地址",
        raw("text", text="- [x] 使用 `&data` 获取地址"),
    )


@pytest.mark.proves(482)
def test_the_example_of_escaped_values() -> None:
    both_ways(
        "[CQ:share,title=震惊&#44;小伙睡觉前居然...,url=http://baidu.com/?a=1&amp;b=2]",
        raw("share", title="震惊,小伙睡觉前居然...", url="http://baidu.com/?a=1&b=2"),
    )


@pytest.mark.proves(483)
def test_the_example_of_an_equals_sign() -> None:
    both_ways(
        "[CQ:share,title=标题中有=等号,url=http://baidu.com]",
        raw("share", title="标题中有=等号", url="http://baidu.com"),
    )


@pytest.mark.proves(484)
def test_both_formats_mean_the_same() -> None:
    """Of every segment; alone and between texts."""
    for known in KNOWN:
        if "content" in known.raw and isinstance(known.raw["content"], list):
            continue
        segments = [raw("text", text="[a]"), raw("x", **known.raw), raw("text", text="&b,")]
        assert parse_cq(format_cq(segments)) == segments
        assert parse_cq(format_cq(segments[1:2])) == segments[1:2]


@pytest.mark.proves(485)
def test_a_segment_has_the_name_and_the_params_of_its_code() -> None:
    code = "[CQ:location,lat=1,lon=2,title=t]"
    (found,) = parse_cq(code)
    assert found == {"type": "location", "data": {"lat": "1", "lon": "2", "title": "t"}}
    assert translate([found]) == translate(code)


@pytest.mark.proves(486)
def test_data_may_be_null() -> None:
    assert translate([{"type": "shake", "data": None}]).segments == (Shake(),)
    assert translate({"type": "shake", "data": None}).segments == (Shake(),)


@pytest.mark.proves(487)
def test_values_are_text() -> None:
    """Numbers and booleans of the model too; only the content of a forwarded message is no text."""
    assert translate({"type": "face", "data": {"id": 1}}).segments == (Emoji("1"),)
    for known in KNOWN:
        data = received(known.model, known.kind)
        assert data
        assert all(isinstance(value, str) for key, value in data.items() if key != "content")


@pytest.mark.proves(488)
def test_values_in_arrays_are_not_escaped() -> None:
    text = "&#91;&amp;[CQ:shake],&#44;"
    assert translate([raw("text", text=text)]).segments == (Text(text),)
    assert translate([raw("image", file=text)]).segments == (Image(text),)
    assert parse_cq(format_cq([raw("text", text=text)])) == [raw("text", text=text)]


@pytest.mark.proves(489)
def test_plain_text_is_the_segment_text() -> None:
    both_ways("这是一段纯文本", raw("text", text="这是一段纯文本"))


@pytest.mark.proves(490)
def test_text_is_never_a_code() -> None:
    for text in ("a", "[CQ:text,text=a]", "&"):
        assert "[CQ:" not in format_cq([raw("text", text=text)])


@pytest.mark.proves(491)
def test_the_example_of_both_formats() -> None:
    both_ways(
        "&#91;第一部分&#93;[CQ:image,file=123.jpg]图片之后的部分，表情：[CQ:face,id=123]",
        raw("text", text="[第一部分]"),
        raw("image", file="123.jpg"),
        raw("text", text="图片之后的部分，表情："),
        raw("face", id="123"),
    )


@pytest.mark.proves(552)
def test_a_flash_picture() -> None:
    for data, flash in (({"type": "flash"}, True), ({}, False)):
        for message in (
            raw("image", file="a", **data),
            format_cq([raw("image", file="a", **data)]),
        ):
            assert translate(message).segments == (Image("a", flash=flash),)


@pytest.mark.proves(556)
def test_the_example_of_a_code_within_a_code() -> None:
    content = [raw("face", id="123"), raw("text", text="哈喽～")]
    array = [raw("node", user_id="10001000", nickname="某人", content=content)]
    text = "[CQ:node,user_id=10001000,nickname=某人,content=&#91;CQ:face&#44;id=123&#93;哈喽～]"
    assert format_cq(array) == text
    assert translate(text) == translate(array)
