"""Section C: each field of each event, in what the golden events become.

Source: https://github.com/botuniverse/onebot-11/tree/master/event
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from tests.conformance.calling import call, shown
from tests.conformance.statements import rows
from tests.conformance.wire import is_array, is_type
from tests.fakes.onebot_ids import numbers_of
from tests.fakes.onebot_session import session_with

from frontends.onebot_v11.config import Config
from frontends.onebot_v11.event import event_references, to_onebot_event
from frontends.onebot_v11.session import Lifecycle
from frontends.onebot_v11.view import Fields, MessageFormat, View
from onebus.event import Event
from onebus.ids import UserId

FILE = Path(__file__).parents[1] / "golden" / "onebot_v11" / "events.json"
GOLDENS: list[dict[str, Any]] = json.loads(FILE.read_text())
META = {"time": 1_700_000_000, "self_id": 9, "post_type": "meta_event"}

KINDS: Mapping[str, Mapping[str, Any]] = {
    "private message": {"message_type": "private"},
    "group message": {"message_type": "group"},
    "group file upload": {"notice_type": "group_upload"},
    "group admin change": {"notice_type": "group_admin"},
    "group member decrease": {"notice_type": "group_decrease"},
    "group member increase": {"notice_type": "group_increase"},
    "group ban": {"notice_type": "group_ban"},
    "friend added": {"notice_type": "friend_add"},
    "group recall": {"notice_type": "group_recall"},
    "friend recall": {"notice_type": "friend_recall"},
    "poke": {"sub_type": "poke"},
    "lucky king": {"sub_type": "lucky_king"},
    "honor change": {"sub_type": "honor"},
    "friend request": {"request_type": "friend"},
    "group request/invite": {"request_type": "group"},
    "lifecycle": {"meta_event_type": "lifecycle"},
    "heartbeat": {"meta_event_type": "heartbeat"},
}
"""What tells the standard's events apart; a poke without a group is none of the standard's."""

Sample = tuple[Fields, Fields]


async def samples(message_format: MessageFormat = "string") -> list[Sample]:
    """Each event as a bot gets it, and as it should be."""
    return [*from_goldens(message_format), *[meta async for meta in meta_events()]]


def from_goldens(message_format: MessageFormat) -> Iterator[Sample]:
    for item in GOLDENS:
        if fields := as_bots_see(item["given"], message_format):
            yield fields, item["expect"]


def as_bots_see(
    given: Mapping[str, Any], message_format: MessageFormat = "string"
) -> Fields | None:
    event: Event = msgspec.convert(given, Event)
    view = View(9, UserId("u9"), numbers_of(event_references(event)), message_format)
    return to_onebot_event(event, view, 4097)


async def meta_events() -> Any:
    async with session_with(config=Config(heartbeat_interval=5000)) as (session, _):
        for sub_type in get_args(Lifecycle):
            expect = META | {"meta_event_type": "lifecycle", "sub_type": sub_type}
            yield fixed(session.lifecycle(9, sub_type)), expect
        status = {"online": False, "good": False}
        beat = {"meta_event_type": "heartbeat", "status": status, "interval": 5000}
        yield fixed(session.heartbeat(9)), META | beat


def fixed(frame: bytes) -> Fields:
    """A meta event, its time (now) replaced by that of the others."""
    fields: Fields = json.loads(frame)
    return fields | ({"time": META["time"]} if type(fields["time"]) is int else {})


async def of_kind(name: str, message_format: MessageFormat = "string") -> list[Sample]:
    found = [
        (fields, expect)
        for fields, expect in await samples(message_format)
        if expect.items() >= KINDS[name].items()
        and not (name == "poke" and "group_id" not in expect)
    ]
    assert found, name
    return found


def values_at(fields: Fields, path: str) -> Iterator[Any]:
    """What stands at a path; nothing where an object on the way is null."""
    *outer, last = path.split(".")
    for key in outer:
        fields = fields[key]
        if fields is None:
            return
    yield fields[last]


def is_kind(value: Any, row: re.Match[str]) -> bool:
    if row["type"] == "object" and row["path"] == "anonymous":
        return value is None or isinstance(value, dict)
    bits = re.search(r"int\d+", row["type"] + row["rest"])
    kind = "number" if row["type"].startswith("int") else row["type"]
    return is_type(value, kind, bits[0] if bits else "int64")


FIELD = r"(?P<event>[\w /]+): (?:field )?`(?P<path>[\w.]+)`: (?P<type>\w+)(?P<rest>.*)"


@pytest.mark.parametrize("row", rows(FIELD))
async def test_field(row: re.Match[str]) -> None:
    """It is in every event of this kind, has its type and value, and takes all its words."""
    seen: set[Any] = set()
    for fields, expect in await of_kind(row["event"]):
        found = list(values_at(fields, row["path"]))
        assert found == list(values_at(expect, row["path"]))
        assert all(is_kind(value, row) for value in found)
        seen.update(str(value) for value in found)
    assert seen
    if words := set(re.findall(r"`(\w+)`", row["rest"].split(" (", 1)[0])):
        assert seen == words
    elif row["type"] == "string" and (words := set(re.findall(r"`(\w+)`", row["rest"]))):
        assert seen <= words


@pytest.mark.proves(288, 289)
async def test_what_every_event_has() -> None:
    types = set()
    for fields, _ in await samples():
        assert is_type(fields["time"], "number")
        assert fields["time"] == 1_700_000_000, "seconds"
        assert is_type(fields["self_id"], "number")
        types.add(fields["post_type"])
    assert types == {"message", "notice", "request", "meta_event"}


@pytest.mark.proves(290, 301, 321)
@pytest.mark.parametrize("message_format", get_args(MessageFormat))
async def test_a_message_is_text_or_an_array_as_configured(message_format: MessageFormat) -> None:
    for name in ("private message", "group message"):
        for fields, _ in await of_kind(name, message_format):
            message = fields["message"]
            assert isinstance(message, str) if message_format == "string" else is_array(message)
            assert isinstance(fields["raw_message"], str)


@pytest.mark.proves(320)
async def test_anonymous_is_an_object_or_null() -> None:
    for fields, _ in await of_kind("group message"):
        if fields["sub_type"] == "anonymous":
            assert list(fields["anonymous"]) == ["id", "name", "flag"]
        else:
            assert fields["anonymous"] is None


@pytest.mark.proves(309, 337)
async def test_a_sender_of_whom_little_is_known_is_there_all_the_same() -> None:
    """Strict clients drop an event whose sender lacks a field."""
    private = {"user_id", "nickname", "sex", "age"}
    group = private | {"card", "area", "level", "role", "title"}
    for name, wanted in (("private message", private), ("group message", group)):
        for fields, _ in await of_kind(name):
            assert fields["sender"].keys() == wanted
            assert None not in fields["sender"].values()


@pytest.mark.proves(351)
async def test_a_file_has_four_fields() -> None:
    for fields, _ in await of_kind("group file upload"):
        assert list(fields["file"]) == ["id", "name", "size", "busid"]


@pytest.mark.parametrize(
    ("name", "field", "sub_types"),
    [
        pytest.param(
            "message_received",
            "relation",
            {"friend": "friend", "group": "group", "other": "other"},
            marks=pytest.mark.proves(465),
        ),
        pytest.param(
            "member_joined",
            "how",
            {"approve": "approve", "invite": "invite"},
            marks=pytest.mark.proves(468),
        ),
    ],
)
def test_sub_types(name: str, field: str, sub_types: Mapping[str, str]) -> None:
    given = next(i["given"] for i in GOLDENS if i["given"]["type"] == name)
    for value, sub_type in sub_types.items():
        fields = as_bots_see(given | {field: value})
        assert fields
        assert fields["sub_type"] == sub_type


@pytest.mark.proves(466)
def test_sub_types_of_group_messages() -> None:
    chat = {"kind": "group", "id": "g2001"}
    given = next(i["given"] for i in GOLDENS if i["given"]["type"] == "message_received")
    mask = {"id": "u77", "name": "mask", "flag": "f"}
    for extra, sub_type in (
        ({}, "normal"),
        ({"anonymous": mask}, "anonymous"),
        ({"notice": True}, "notice"),
    ):
        fields = as_bots_see(given | {"chat": chat, **extra})
        assert fields
        assert fields["sub_type"] == sub_type


@pytest.mark.proves(467)
async def test_who_left_and_who_was_kicked() -> None:
    for fields, _ in await of_kind("group member decrease"):
        by_themselves = fields["operator_id"] == fields["user_id"]
        kick = "kick_me" if fields["user_id"] == fields["self_id"] else "kick"
        assert fields["sub_type"] == ("leave" if by_themselves else kick)


@pytest.mark.proves(469)
async def test_a_recalled_message_has_the_number_that_it_came_with() -> None:
    for name in ("private message", "group message", "group recall", "friend recall"):
        for fields, _ in await of_kind(name):
            assert is_type(fields["message_id"], "number", "int32")
            assert fields["message_id"] > 0


@pytest.mark.proves(464)
async def test_a_heartbeat_says_what_get_status_says() -> None:
    answer = shown((await call("get_status", {})).data)
    async with session_with() as (session, _):
        assert json.loads(session.heartbeat(9))["status"] == answer


@pytest.mark.proves(292)
def test_messages_are_text_by_default() -> None:
    assert Config().post_message_format == "string"


@pytest.mark.proves(470)
def test_defaults_of_the_heartbeat() -> None:
    assert (Config().enable_heartbeat, Config().heartbeat_interval) == (False, 15000)
