"""CQ text: what no list of cases can show."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontends.onebot_v11.cq import RawSegment, format_cq, parse_cq
from frontends.onebot_v11.event import to_onebot_event
from frontends.onebot_v11.references import Numbers
from frontends.onebot_v11.view import View
from onebus.event import MessageReceived, User, private_chat
from onebus.ids import Account, AccountId, MessageId, Platform, UserId
from onebus.segment import Text

WORDS = st.text(st.characters(exclude_categories=["Cs"]))
TRICKY = st.lists(
    st.sampled_from(
        ["[CQ:", "]", "[", ",", "=", "&", "#", "44;", "93;", "&#91;", "&amp;", "at", "text", "\n"]
    )
).map("".join)
VALUES = WORDS | TRICKY
NAMES = VALUES.map(str.strip).filter(lambda name: name not in ("", "text"))
KEYS = VALUES.map(lambda key: key.replace("=", "").strip()).filter(bool)
CODES = st.builds(
    lambda name, data: RawSegment(type=name, data=data), NAMES, st.dictionaries(KEYS, VALUES)
)
TEXTS = VALUES.filter(bool).map(lambda text: RawSegment(type="text", data={"text": text}))


def without_neighbours(segments: list[RawSegment]) -> list[RawSegment]:
    """Two texts in a row are one text in CQ text, so there are none."""
    kept: list[RawSegment] = []
    for segment in segments:
        if not (kept and kept[-1]["type"] == segment["type"] == "text"):
            kept.append(segment)
    return kept


@given(st.lists(CODES | TEXTS).map(without_neighbours))
def test_whatever_is_written_reads_the_same(segments: list[RawSegment]) -> None:
    assert parse_cq(format_cq(segments)) == segments


def test_ten_thousand_random_messages_read_the_same() -> None:
    """Plain random rather than searched: many, long, and full of what CQ text is made of."""
    drawn = random.Random(0x0EB5)
    pieces = [
        "[CQ:",
        "[cq:",
        "]",
        "[",
        ",",
        "=",
        "&",
        "&#91;",
        "&#93;",
        "&#44;",
        "&amp;",
        "at",
        "qq",
        "all",
    ]
    pieces += [" ", "\n", "\r\n", "表情", "😀", "\u2028", "\x00", "text"]

    def words(fewest: int) -> str:
        return "".join(drawn.choices(pieces, k=drawn.randint(fewest, 12)))

    for _ in range(10_000):
        segments: list[RawSegment] = []
        for _ in range(drawn.randint(1, 6)):
            if drawn.random() < 0.5 and not (segments and segments[-1]["type"] == "text"):
                segments.append({"type": "text", "data": {"text": words(1)}})
            else:
                keys = drawn.sample(["file", "url", "id", "title", "content"], drawn.randint(0, 3))
                segments.append({"type": "image", "data": {key: words(0) for key in keys}})
        assert parse_cq(format_cq(segments)) == segments


@given(VALUES)
def test_reading_never_fails_and_is_stable(text: str) -> None:
    once = parse_cq(text)
    assert parse_cq(format_cq(once)) == once


@given(VALUES.filter(bool))
def test_what_a_person_writes_is_never_a_code(text: str) -> None:
    alice = UserId("u10")
    event = MessageReceived(
        account=Account(Platform("sandbox"), AccountId("demo")),
        time_ms=0,
        chat=private_chat(alice),
        message=MessageId("m1"),
        sender=User(alice),
        segments=(Text(text),),
    )
    seen = to_onebot_event(event, View(9, UserId("u9"), Numbers({alice: 10})), 1)
    assert seen is not None
    assert "[" not in seen["message"]
    assert parse_cq(seen["message"]) == [{"type": "text", "data": {"text": text}}]


@pytest.mark.parametrize(
    "text",
    [
        "[CQ:" * 500_000,
        "[CQ:" * 2_000_000 + "]",
        "[CQ:a" * 400_000 + "]",
        "[CQ:a," * 400_000 + "]",
        "[CQ: " * 400_000 + "]",
        "[CQ:]" * 400_000,
        "[CQ:text,text=b]" * 100_000,
        "]" * 2_000_000,
        "&amp;" * 400_000,
    ],
    ids=lambda text: text[:16],
)
def test_nothing_takes_more_than_linear_time(text: str) -> None:
    started = time.process_time()
    format_cq(parse_cq(text))
    # A search to the end at every opening would be 10^13 steps: minutes.
    assert time.process_time() - started < 10


def test_a_picture_of_ten_megabytes() -> None:
    picture = "base64://" + "A" * 10_000_000
    started = time.process_time()
    segments = parse_cq(f"see: [CQ:image,file={picture}] &amp;")
    assert time.process_time() - started < 2
    assert [segment["type"] for segment in segments] == ["text", "image", "text"]
    assert segments[1]["data"]["file"] == picture
