"""Section D3: each param of each segment, in both formats and the directions that it has.

Source: https://github.com/botuniverse/onebot-11/blob/master/message/segment.md
"""

import re
from typing import Any

import msgspec
import pytest
from tests.conformance.calling import shown
from tests.conformance.segments import KNOWN, Known, received, sent
from tests.conformance.statements import rows
from tests.fakes.onebot_ids import translate

from frontends.onebot_v11.cq import RawSegment, format_cq
from onebus import segment as seg
from onebus.segment import Forward


class Row(msgspec.Struct):
    """One param: of which segment, what is known of it, whether bots read (R) or send (S) it."""

    kind: str
    name: str
    known: Known
    directions: str

    @property
    def field(self) -> str:
        return self.known.fields[self.name]

    @property
    def value(self) -> Any:
        """The param as the model has it."""
        return self.known.model[self.field]


def params(directions: str, rest: str = ".*") -> list[Any]:
    """A case for each param that has one of these directions, and of which this is said."""
    found = []
    for case in rows(
        rf"segment `(?P<kind>\w+)` param `(?P<name>\w+)`: \[(?P<directions>{directions})\]{rest}"
    ):
        (match,), (mark,) = case.values, case.marks
        (n,) = mark.args
        known = next(k for k in KNOWN if k.numbers[0] <= n <= k.numbers[1])
        row = Row(match["kind"], match["name"], known, match["directions"])
        found.append(pytest.param(row, id=case.id, marks=mark))
    return found


@pytest.mark.parametrize("row", params("R?S?"))
def test_param(row: Row) -> None:
    if "S" in row.directions:
        check_sent(row)
    if "R" in row.directions:
        check_received(row)


def check_sent(row: Row) -> None:
    """Its field, and what no param says, such as the format of a card."""
    fixed = row.known.model.keys() - {"type", *row.known.fields.values()}
    for model in sent(row.kind, row.known.raw):
        assert model[row.field] == row.value
        assert {name: model[name] for name in fixed} == {n: row.known.model[n] for n in fixed}
    if row.name not in row.known.defaults:
        return
    without = {key: value for key, value in row.known.raw.items() if key != row.name}
    for data in (without, without | {row.name: ""}):
        for model in sent(row.kind, data):
            assert model[row.field] == row.known.defaults[row.name]


def check_received(row: Row) -> None:
    data = received(row.known.model, row.kind)
    assert data[row.name] == row.known.raw[row.name]
    assert isinstance(data[row.name], str) or row.name == "content"
    if row.kind not in ("text", "node"):
        (again,) = translate(format_cq([{"type": row.kind, "data": data}])).segments
        assert shown(getattr(again, row.field)) == row.value


@pytest.mark.proves(492)
@pytest.mark.parametrize("row", params("R?S", ".*`0` `1`.*"))
def test_words_for_0_and_1(row: Row) -> None:
    for expected, words in ((False, ("0", "no", "false")), (True, ("1", "yes", "true"))):
        for word in (*words, *(word.upper() for word in words)):
            for model in sent(row.kind, row.known.raw | {row.name: word}):
                assert model[row.field] is expected
        for value in (expected, int(expected)):
            data = row.known.raw | {row.name: value}
            (segment,) = translate({"type": row.kind, "data": data}).segments
            assert getattr(segment, row.field) is expected


@pytest.mark.parametrize("row", rows(r"segment `(?P<kind>\w+)`: no parameters, .*"))
def test_without_params(row: re.Match[str]) -> None:
    model = {"rps": seg.Rps(), "dice": seg.Dice(), "shake": seg.Shake()}[row["kind"]]
    raw: RawSegment = {"type": row["kind"], "data": {}}
    for message in (raw, [raw], {"type": row["kind"]}, f"[CQ:{row['kind']}]"):
        assert translate(message).segments == (model,)
    assert received(shown(model), row["kind"]) == {}
    assert format_cq([raw]) == f"[CQ:{row['kind']}]"


@pytest.mark.proves(519)
def test_anonymous_is_sent() -> None:
    assert translate("[CQ:anonymous]x").segments == (seg.Anonymous(), seg.Text("x"))


FILES = (
    "file:///C:\\Users\\Richard\\Pictures\\1.png",
    "http://i1.piimg.com/567571/fdd6e7b6d93f1ef0.jpg",
    "https://x/1.jpg?a=1&b=[2],3",
    "base64://iVBORw0KGgoAAAANSUhEUgAAABQAAAAVCAIAAADJt1n/AAAAKElEQVQ4EWPk5+RmIBcwkasRpG9UM4mhNxpg",
    "1234.image",
)
"""The forms of the standard's table; whether one can be read is up to the platform."""


@pytest.mark.parametrize("kind", ["image", "record", "video"])
def test_forms_of_a_file(kind: str) -> None:
    for file in FILES:
        assert [model["file"] for model in sent(kind, {"file": file})] == [file] * 3


@pytest.mark.proves(553)
def test_a_mention_of_all_and_of_one() -> None:
    for text, user in (("all", None), ("10001000", "u10001000")):
        assert [model["user"] for model in sent("at", {"qq": text})] == [user] * 3
        assert received({"type": "mention", "user": user}, "at") == {"qq": text}


@pytest.mark.proves(542, 554)
def test_nodes_of_a_received_forward_stay_inside() -> None:
    """A message never has a `node` itself."""
    nodes = [{"user": "u11", "name": "B", "content": [{"type": "text", "text": "a"}]}]
    data = received({"type": "forward", "id": "f", "nodes": nodes}, "forward")
    assert data["id"] == "f"


@pytest.mark.proves(555)
def test_the_content_of_a_node_in_all_forms() -> None:
    face = {"type": "face", "data": {"id": "1"}}
    for content in ("[CQ:face,id=1]", [face], face):
        node = {"type": "node", "data": {"user_id": "10001000", "content": content}}
        (forward,) = translate(node).segments
        assert isinstance(forward, Forward)
        assert forward.nodes[0].content == (seg.Emoji("1"),)
    escaped = "[CQ:node,user_id=10001000,content=&#91;CQ:face&#44;id=1&#93;]"
    (forward,) = translate(escaped).segments
    assert isinstance(forward, Forward)
    assert forward.nodes[0].content == (seg.Emoji("1"),)
