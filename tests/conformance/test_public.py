"""Section B2 and B3: each action, each param and each field of the answer, over a real session.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/public.md and `hidden.md`.
"""

import re
from typing import Any

import pytest
from tests.conformance.calling import CALLS, call, good
from tests.conformance.statements import rows
from tests.conformance.wire import is_array, is_type

from frontends.onebot_v11.config import Config

ACTION = r"`(?P<action>[.\w]+)`"
PARAM = rf"{ACTION} param (?P<names>.+?): (?P<type>\w+)(?: \(\w+\))?, "
FIELD = r"response field `(?P<field>\w+)`: (?P<type>\w+)(?: \((?P<bits>int\d+)\))?"

WRONG: dict[str, list[Any]] = {
    "number": [[1], {"a": 1}, True, 1.5],
    "boolean": ["maybe", 2, [True], {}],
    "string": [["x"], {"a": "x"}],
    "message": [5, True, [5], [{"data": {}}]],
    "object": ["{", "x", 5, [1]],
}
WORDS: dict[bool, list[Any]] = {
    True: [1, "1", "true", "True", "yes"],
    False: [0, "0", "false", "FALSE", "no"],
}


def same_values(kind: str, value: Any) -> list[Any]:
    """Other ways to write a value of this type."""
    if kind == "number":
        return [str(value), float(value)]
    return WORDS[value] if kind == "boolean" else []


def names_in(match: re.Match[str]) -> list[str]:
    return re.findall(r"`(\w+)`", match["names"])


@pytest.mark.parametrize("row", rows(rf"{ACTION} exists(?: \(.*)?"))
async def test_exists(row: re.Match[str]) -> None:
    outcome = await good(row["action"])
    retcode = 0 if outcome.answer["status"] == "ok" else 1
    assert outcome.answer["retcode"] == retcode
    assert outcome.answer.keys() >= {"status", "retcode", "data"}


@pytest.mark.parametrize("row", rows(rf"{ACTION} succeeds with `data: null`\.?"))
async def test_answers_null(row: re.Match[str]) -> None:
    outcome = await good(row["action"])
    assert outcome.answer["data"] is None
    assert len(outcome.asked) == 1


@pytest.mark.parametrize("row", rows(rf"{ACTION} takes no parameters"))
async def test_takes_no_params(row: re.Match[str]) -> None:
    plain = await good(row["action"], {})
    assert plain == await good(row["action"], {"x": 1, "access_token": "t"})
    assert plain.asked or plain.data is not None


async def check_value(row: re.Match[str], name: str) -> None:
    """It arrives in every way to write it; what is of another type is refused by name."""
    known, kind = CALLS[row["action"]], row["type"]
    value = known.params[name]
    for written in (value, *same_values(kind, value)):
        outcome = await good(row["action"], known.params | {name: written})
        assert outcome.arrived.items() >= known.arrives[name].items(), written
    for wrong in WRONG[kind]:
        outcome = await call(row["action"], known.params | {name: wrong})
        assert outcome.refused(name), wrong


@pytest.mark.parametrize("row", rows(PARAM + "required(?:[;,].*)?"))
async def test_required_param(row: re.Match[str]) -> None:
    known, (name,) = CALLS[row["action"]], names_in(row)
    await check_value(row, name)
    without = {key: value for key, value in known.params.items() if key != name}
    for params in (without, without | {name: None}, without | {name: ""}):
        assert (await call(row["action"], params)).refused(name)


@pytest.mark.parametrize("row", rows(PARAM + "default (?P<default>.+?)(?: \\(.*)?"))
async def test_param_with_a_default(row: re.Match[str]) -> None:
    known, (name,) = CALLS[row["action"]], names_in(row)
    await check_value(row, name)
    without = {key: value for key, value in known.params.items() if key != name}
    for params in (without, without | {name: None}, without | {name: ""}):
        outcome = await good(row["action"], params)
        assert outcome.arrived.items() >= known.defaults[name].items()


@pytest.mark.parametrize(
    "row", rows(r"`get_\w+` param `(?P<name>\w+)`: string, required \((?P<choices>`.+`)\)")
)
async def test_param_of_some_words(row: re.Match[str]) -> None:
    action = re.findall(r"`(\w+)`", row[0])[0]
    known, name = CALLS[action], row["name"]
    (field,) = known.arrives[name]
    for word in re.findall(r"`(\w+)`", row["choices"]):
        assert (await good(action, known.params | {name: word})).arrived[field] == word
    for params in (known.params | {name: "nonsense"}, known.params | {name: ""}):
        assert (await call(action, params)).refused(name)


@pytest.mark.parametrize("row", rows(rf"{ACTION} {FIELD}.*"))
async def test_answer_field(row: re.Match[str]) -> None:
    known = CALLS[row["action"]]
    data = (await good(row["action"])).data
    expected = known.answers
    if isinstance(expected, list):
        (data,), (expected,) = data, expected
    field = row["field"]
    assert is_type(data[field], row["type"], row["bits"] or "int64")
    assert data[field] == expected[field]


def segments(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


@pytest.mark.proves(74)
@pytest.mark.parametrize("action", ["send_private_msg", "send_group_msg", "send_msg"])
async def test_a_message_in_its_three_forms(action: str) -> None:
    segment = {"type": "text", "data": {"text": "a"}}
    params = CALLS[action].params | {"auto_escape": False}
    for message in ("a", [segment], segment):
        assert (await good(action, params | {"message": message})).arrived["segments"] == segments(
            "a"
        )


@pytest.mark.proves(96)
async def test_send_msg_goes_where_its_type_says() -> None:
    user, group = {"user_id": 10, "message": "x"}, {"group_id": 2001, "message": "x"}
    here, there = {"kind": "private", "id": "10"}, {"kind": "group", "id": "2001"}
    for params, chat in (
        (user | group | {"message_type": "private"}, here),
        (user | group | {"message_type": "group"}, there),
        (user, here),
        (group, there),
    ):
        assert (await good("send_msg", params)).arrived["chat"] == chat
    assert (await call("send_msg", user | {"message_type": "both"})).refused("message_type")


@pytest.mark.parametrize(
    "row", rows(r"`send_msg` param `(?P<name>\w+)`: number, conditional \(.* (?P<kind>\w+)\)")
)
async def test_send_msg_needs_the_id_of_its_type(row: re.Match[str]) -> None:
    name, kind = row["name"], row["kind"]
    params = {"user_id": 10, "group_id": 2001, "message_type": kind, "message": "x"}
    for value in (params[name], str(params[name])):
        chat = (await good("send_msg", params | {name: value})).arrived["chat"]
        assert chat == {"kind": kind, "id": str(params[name])}
    del params[name]
    assert (await call("send_msg", params)).refused(name)


@pytest.mark.proves(111)
async def test_who_sent_a_message() -> None:
    sender = (await good("get_msg")).data["sender"]
    assert (sender["user_id"], sender["nickname"], sender["role"]) == (10, "Alice", "owner")


@pytest.mark.proves(112)
@pytest.mark.parametrize("message_format", ["string", "array"])
async def test_get_msg_has_the_message_as_events_have_it(message_format: Any) -> None:
    config = Config(post_message_format=message_format)
    message = (await call("get_msg", {"message_id": 1}, config=config)).data["message"]
    assert isinstance(message, str) if message_format == "string" else is_array(message)


@pytest.mark.proves(115)
async def test_a_forward_is_an_array_of_nodes() -> None:
    message = (await good("get_forward_msg")).data["message"]
    assert is_array(message)
    assert message == CALLS["get_forward_msg"].answers["message"]
    assert [segment["type"] for segment in message] == ["node"]


ANONYMOUS = {"id": 1, "name": "x", "flag": "from object"}


@pytest.mark.proves(132)
@pytest.mark.parametrize("as_text", [False, True])
async def test_the_anonymous_object_wins(as_text: bool) -> None:
    params: dict[str, Any] = {"group_id": 2001, "anonymous": ANONYMOUS, "flag": "f2"}
    if as_text:
        params["anonymous"] = '{"id": 1, "name": "x", "flag": "from object"}'
    outcome = await good("set_group_anonymous_ban", params, as_text=as_text)
    assert outcome.arrived["anonymous_flag"] == "from object"
    assert outcome.arrived["user"] is None
    for wrong in WRONG["object"]:
        outcome = await call("set_group_anonymous_ban", params | {"anonymous": wrong})
        assert outcome.refused("anonymous")


@pytest.mark.proves(133)
@pytest.mark.parametrize("name", ["anonymous_flag", "flag"])
async def test_the_flag_of_an_anonymous_under_two_names(name: str) -> None:
    outcome = await good("set_group_anonymous_ban", {"group_id": 2001, name: "f2"})
    assert outcome.arrived["anonymous_flag"] == "f2"
    assert (await call("set_group_anonymous_ban", {"group_id": 2001})).refused("flag")


@pytest.mark.proves(175)
@pytest.mark.parametrize("name", ["sub_type", "type"])
@pytest.mark.parametrize("kind", ["add", "invite"])
async def test_the_kind_of_a_request_under_two_names(name: str, kind: str) -> None:
    outcome = await good("set_group_add_request", {"flag": "f", name: kind})
    assert outcome.arrived["kind"] == kind
    for params in ({"flag": "f"}, {"flag": "f", name: "join"}):
        assert (await call("set_group_add_request", params)).refused("sub_type", "type")


@pytest.mark.parametrize("row", rows(rf"{ACTION}: Response is a JSON ARRAY.*"))
async def test_answers_an_array(row: re.Match[str]) -> None:
    """Each element has the fields of the action for one."""
    data = (await good(row["action"])).data
    assert len(data) == len(CALLS[row["action"]].answers) == 1
    assert data[0].items() >= CALLS[row["action"]].answers[0].items()
    one = {"get_group_list": "get_group_info", "get_group_member_list": "get_group_member_info"}
    if alone := one.get(row["action"]):
        assert data[0].keys() == (await good(alone)).data.keys()


@pytest.mark.proves(238)
@pytest.mark.parametrize(
    "kind", ["talkative", "performer", "legend", "strong_newbie", "emotion", "all"]
)
async def test_holders_of_honors(kind: str) -> None:
    """The platform is asked for one kind; all lists are there, each holder with four fields."""
    outcome = await good("get_group_honor_info", {"group_id": 2001, "type": kind})
    assert outcome.arrived["kind"] == kind
    lists = [value for key, value in outcome.data.items() if key.endswith("_list")]
    assert len(lists) == 5
    for (holder,) in lists:
        assert list(holder) == ["user_id", "nickname", "avatar", "description"]
        assert is_type(holder["user_id"], "number")
    current = outcome.data["current_talkative"]
    assert list(current) == ["user_id", "nickname", "avatar", "day_count"]
    assert is_type(current["day_count"], "number", "int32")


@pytest.mark.proves(249)
async def test_credentials_are_cookies_and_token() -> None:
    merged = (await good("get_credentials")).data
    cookies, token = (await good("get_cookies")).data, (await good("get_csrf_token")).data
    assert merged == {**cookies, "csrf_token": token["token"]}


@pytest.mark.proves(277)
async def test_a_restart_is_async_without_a_suffix() -> None:
    answer = (await good("set_restart")).answer
    assert (answer["status"], answer["retcode"], answer["data"]) == ("async", 1, None)
