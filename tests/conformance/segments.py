"""Every segment of the standard: `segments.json`.

It has each as a bot writes or reads it (`raw`) and as the model has it, the model's name for each
param, and what a param that may be left out then is. A node stands for the forward that it is in.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
from tests.conformance.calling import shown
from tests.conformance.wire import is_array
from tests.fakes.onebot_ids import numbers_of, translate

from frontends.onebot_v11.cq import RawSegment, format_cq
from frontends.onebot_v11.to_onebot import (
    node_references,
    segment_references,
    to_onebot_message,
    to_onebot_node,
)
from onebus.event import private_chat
from onebus.ids import UserId
from onebus.segment import Forward, Node, Segment, Segments

CHAT = private_chat(UserId("u10"))


class Known(msgspec.Struct):
    numbers: tuple[int, int]
    kind: str
    raw: dict[str, Any]
    model: dict[str, Any]
    fields: dict[str, str]
    defaults: dict[str, Any] = {}


KNOWN = msgspec.convert(
    json.loads(Path(__file__).with_name("segments.json").read_text()), list[Known]
)


def sent(kind: str, data: dict[str, Any]) -> list[dict[str, Any]]:
    """What the model has of a segment that a bot sends, from either format."""
    raw: list[RawSegment] = [{"type": kind, "data": data}]
    found = []
    for message in (raw, raw[0], format_cq(raw)):
        (segment,) = translate(message).segments
        model = segment.nodes[0] if isinstance(segment, Forward) and segment.nodes else segment
        found.append({name: shown(getattr(model, name)) for name in model.__struct_fields__})
    return found


def received(model: dict[str, Any], kind: str) -> dict[str, Any]:
    """The data that a bot gets; in the string format it is the same."""
    if kind == "node":
        node = msgspec.convert(model, Node)
        return to_onebot_node(node, CHAT, numbers_of(node_references([node], CHAT)))["data"]
    segments: Segments = (msgspec.convert(model, Segment),)
    numbers = numbers_of(segment_references(segments, CHAT))
    (raw,) = to_onebot_message(segments, CHAT, numbers).segments
    assert is_array([raw])
    assert raw["type"] == kind
    return raw["data"]
