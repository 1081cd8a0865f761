"""Actions over HTTP as the standard has them: methods, parameters, refusals.

Source: https://github.com/botuniverse/onebot-11/blob/master/communication/http.md
"""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import aiohttp
import pytest
import pytest_asyncio
import yaml
from tests.e2e.processes import Account, onebus, write_config
from tests.e2e.raw import Reply, ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "s3cret/+ tökén"
BASE = "/sandbox/demo/onebot/v11"
LOCKED = "/sandbox/locked/onebot/v11"
JSON = "Content-Type: application/json"
FORM = "Content-Type: application/x-www-form-urlencoded"
BEARER = f"Authorization: Bearer {TOKEN}"


class Up(SimpleNamespace):
    """A running `onebus up`: an open account, one with a token, one without HTTP."""

    port: int
    account: Account


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    folder = tmp_path_factory.mktemp("http")
    config = write_config(
        folder / "config.yaml",
        sandbox__locked={"onebot.v11": {"access_token": TOKEN}},
        sandbox__deaf={"onebot.v11": {"use_http": False}},
    )
    port = yaml.safe_load(config.read_text())["port"]
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        await process.says("the log keeps")
        account = Account(http, f"http://localhost:{port}")
        await account.online()
        yield Up(port=port, account=account)


def good(reply: Reply) -> object:
    """The data of a success."""
    assert reply.status == 200, reply
    assert reply.headers["content-type"] == "application/json"
    answer = reply.json()
    assert (answer["status"], answer["retcode"]) == ("ok", 0), answer
    return answer["data"]


@pytest.mark.proves(4, 5, 6)
@pytest.mark.parametrize("body", [None, b"", b"null", b"{}", b" \n"])
@pytest.mark.parametrize("action", ["get_status", "get_status/"])
async def test_get_and_post_with_and_without_a_slash(
    up: Up, action: str, body: bytes | None
) -> None:
    assert good(await ask(up.port, f"{BASE}/{action}", body=body)) == {"online": True, "good": True}


PARAMS = {"user_id": "123", "message": "a&b=c d+é", "auto_escape": "yes"}


@pytest.mark.proves(7, 8, 9, 10)
@pytest.mark.parametrize(
    ("query", "header", "body"),
    [
        (urlencode(PARAMS), "X: get", None),
        (urlencode(PARAMS), JSON, b""),
        ("", FORM, urlencode(PARAMS).encode()),
        ("", f"{FORM}; charset=utf-8", urlencode(PARAMS, quote_via=quote).encode()),
        ("", JSON, json.dumps(PARAMS).encode()),
        ("", JSON.upper(), json.dumps(PARAMS | {"user_id": 123, "auto_escape": 1}).encode()),
        ("", f"{JSON}; charset=utf-8", json.dumps(PARAMS | {"user_id": 123.0}).encode()),
        ("", "X: no type", json.dumps(PARAMS | {"user_id": " 123 "}).encode()),
    ],
)
async def test_the_same_parameters_in_every_form(
    up: Up, query: str, header: str, body: bytes | None
) -> None:
    """Statements 7 to 11: numbers and booleans may be text, in every form."""
    before = len(await up.account.messages(user="123"))
    data = good(await ask(up.port, f"{BASE}/send_private_msg?{query}", header, body=body))
    assert isinstance(data, dict)
    assert 0 < data["message_id"] < 2**31
    shown = (await up.account.messages(user="123"))[before:]
    assert [m["message"] for m in shown] == [[{"type": "text", "data": {"text": "a&b=c d+é"}}]]


async def test_a_repeated_key_has_its_last_value_and_the_body_goes_before_the_query(
    up: Up,
) -> None:
    query = "user_id=nobody&user_id=twice&message=query&access_token=x"
    good(await ask(up.port, f"{BASE}/send_private_msg?{query}"))
    form = b"message=first&message=form"
    good(await ask(up.port, f"{BASE}/send_private_msg?{query}", FORM, body=form))
    good(await ask(up.port, f"{BASE}/send_private_msg?{query}", JSON, body=b'{"message":"json"}'))
    good(await ask(up.port, f"{BASE}/send_private_msg?{query}", JSON, body=b"null"))
    shown = [m["message"][0]["data"]["text"] for m in await up.account.messages(user="twice")]
    assert shown == ["query", "form", "json", "query"]
    assert await up.account.messages(user="nobody") == []


SEGMENTS = '[{"type":"text","data":{"text":"[CQ:at,qq=all]"}}]'


@pytest.mark.parametrize(
    ("form", "message", "shown"),
    [
        ("form", SEGMENTS, "[CQ:at,qq=all]"),
        ("form", "[1,2]", "[1,2]"),
        ("form", "{}", "{}"),
        ("json", json.loads(SEGMENTS), "[CQ:at,qq=all]"),
        ("json", json.loads(SEGMENTS)[0], "[CQ:at,qq=all]"),
        ("json", "&#91;1&amp;2&#93;", "[1&2]"),
        ("json", '[{"type":"text"}]', '[{"type":"text"}]'),
        ("json", "[CQ:text,text=x]", "x"),
    ],
)
async def test_a_message_as_text_segments_or_one_segment(
    up: Up, form: str, message: object, shown: str
) -> None:
    """In a JSON body a string is always CQ text; in a form it may be segments written as JSON."""
    params = {"user_id": "shapes", "message": message}
    if form == "form":
        body, header = urlencode(params).encode(), FORM
    else:
        body, header = json.dumps(params).encode(), JSON
    good(await ask(up.port, f"{BASE}/send_private_msg", header, body=body))
    last = (await up.account.messages(user="shapes"))[-1]
    assert last["message"] == [{"type": "text", "data": {"text": shown}}]


@pytest.mark.parametrize("value", ["true", "TRUE", " 1 ", "yes", "on", "1"])
async def test_words_for_true(up: Up, value: str) -> None:
    query = urlencode({"user_id": "flags", "message": "[CQ:face,id=1]", "auto_escape": value})
    good(await ask(up.port, f"{BASE}/send_private_msg?{query}"))
    last = (await up.account.messages(user="flags"))[-1]
    assert last["message"] == [{"type": "text", "data": {"text": "[CQ:face,id=1]"}}]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({}, "`user_id` is missing"),
        ({"user_id": None, "message": "x"}, "`user_id` is missing"),
        ({"user_id": "", "message": "x"}, "`user_id` is missing"),
        ({"user_id": 0, "message": "x"}, "`user_id` is missing"),
        ({"user_id": 1.5, "message": "x"}, "`user_id` is 1.5"),
        ({"user_id": True, "message": "x"}, "`user_id` is 1"),
        ({"user_id": [1], "message": "x"}, "`user_id` is [1]"),
        ({"user_id": 2**64, "message": "x"}, f"`user_id` is {2**64}"),
        ({"user_id": "a"}, "`message` must be"),
        ({"user_id": "a", "message": ""}, "`message` is empty"),
        ({"user_id": "a", "message": []}, "`message` is empty"),
        ({"user_id": "a", "message": 7}, "`message` must be"),
        ({"user_id": "a", "message": ["x"]}, "`message[0]` must be"),
        ({"user_id": "a", "message": "x", "auto_escape": "maybe"}, "`auto_escape` is maybe"),
        ({"user_id": "a", "message": "x", "auto_escape": 2}, "`auto_escape` is 2"),
    ],
)
async def test_wrong_parameters_are_1400_by_name(
    up: Up, params: dict[str, object], named: str
) -> None:
    answer = await up.account.call("send_private_msg", **params)
    assert (answer["status"], answer["retcode"], answer["data"]) == ("failed", 1400, None)
    assert named in answer["message"]
    assert answer["wording"]


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"message_type": "channel", "user_id": "a", "message": "x"}, 1400),
        ({"message": "x"}, 1400),
        ({"message_type": "group", "user_id": "a", "message": "x"}, 1400),
        ({"message_type": "private", "user_id": "kinds", "group_id": "g", "message": "p"}, 0),
        ({"user_id": "kinds", "group_id": "kinds", "message": "g"}, 0),
        ({"message_type": "", "user_id": "kinds", "message": "u"}, 0),
    ],
)
async def test_send_msg_goes_where_its_type_says(
    up: Up, params: dict[str, str], status: int
) -> None:
    assert (await up.account.call("send_msg", **params))["retcode"] == status
    if status == 0:
        where = {"group": "kinds"} if params["message"] == "g" else {"user": "kinds"}
        last = (await up.account.messages(**where))[-1]
        assert last["message"][0]["data"]["text"] == params["message"]


async def test_an_answer_has_all_of_its_members(up: Up) -> None:
    reply = await ask(up.port, f"{BASE}/get_version_info")
    answer = reply.json()
    assert list(answer) == ["status", "retcode", "data", "message", "wording"]
    assert answer["data"]["protocol_version"] == "v11"
    assert {"app_name", "app_version"} <= answer["data"].keys()
    sent = await up.account.ok("send_private_msg", user_id="gone", message="x")
    assert await up.account.ok("delete_msg", message_id=str(sent["message_id"])) is None
    assert await up.account.ok("can_send_image") == {"yes": True}


@pytest.mark.parametrize("number", [-1, 0, 1, 2**31 - 1, 2**31, 2**63 - 1, "x", "1e3"])
@pytest.mark.parametrize("action", ["get_msg", "delete_msg"])
async def test_a_number_of_no_message_is_a_failure(up: Up, action: str, number: int | str) -> None:
    answer = await up.account.call(action, message_id=number)
    assert answer["status"] == "failed"
    assert answer["retcode"] == (1400 if number == 0 else 10002)
    assert answer["data"] is None


ORDER = [
    # account, token, method, action, content type, body: each request has all later faults too.
    ("PUT", "/sandbox/nobody/onebot/v11/nosuch", "text/plain", "X: none", 404),
    ("PUT", f"{LOCKED}/nosuch", "text/plain", "X: none", 401),
    ("PUT", f"{LOCKED}/nosuch", "text/plain", "Authorization: Bearer wrong", 403),
    ("PUT", f"{LOCKED}/nosuch", "text/plain", BEARER, 405),
    ("POST", f"{LOCKED}/nosuch", "text/plain", BEARER, 404),
    ("POST", f"{LOCKED}/get_status", "text/plain", BEARER, 406),
    ("POST", f"{LOCKED}/get_status", "application/json", BEARER, 400),
    ("GET", f"{LOCKED}/get_status", "text/plain", BEARER, 200),
]


@pytest.mark.parametrize(("method", "target", "kind", "token", "status"), ORDER)
async def test_refusals_come_in_order(
    up: Up, method: str, target: str, kind: str, token: str, status: int
) -> None:
    headers = (f"Content-Type: {kind}", token)
    reply = await ask(up.port, target, *headers, body=b"{", method=method, source="127.0.0.2")
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()
    if status == 401:
        assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_other_methods_are_405(up: Up, method: str) -> None:
    reply = await ask(up.port, f"{BASE}/get_status", method=method)
    assert reply.status == 405
    assert reply.headers["allow"] == "GET, POST"
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.proves(16)
@pytest.mark.parametrize("action", ["nosuch", "SEND_MSG", "send_msg%2F", "%00", "%ED%A0%80"])
async def test_an_unknown_action_is_404_and_1404(up: Up, action: str) -> None:
    for body in (None, b"{}"):
        reply = await ask(up.port, f"{BASE}/{action}", body=body)
        answer = reply.json()
        assert reply.status == 404
        assert (answer["status"], answer["retcode"], answer["data"]) == ("failed", 1404, None)


@pytest.mark.parametrize(
    "target", ["/", "/nosuch", f"{BASE}/get_status/x", "/sandbox/deaf/onebot/v11/get_status"]
)
async def test_an_unknown_path_is_404(up: Up, target: str) -> None:
    reply = await ask(up.port, target)
    assert reply.status == 404
    assert reply.json()["error"]


@pytest.mark.proves(14)
@pytest.mark.parametrize(
    "kind", ["text/plain", "text/json", "multipart/form-data; boundary=x", "application/xml", "x"]
)
async def test_a_foreign_content_type_is_406(up: Up, kind: str) -> None:
    reply = await ask(up.port, f"{BASE}/get_status", f"Content-Type: {kind}", body=b"{}")
    assert reply.status == 406


@pytest.mark.proves(15)
@pytest.mark.parametrize(
    ("header", "body"),
    [
        (JSON, b"{"),
        (JSON, b"[]"),
        (JSON, b"1"),
        (JSON, b'"x"'),
        (JSON, b"{'user_id': 1}"),
        (JSON, b'{"a": NaN}'),
        (JSON, b'{"a": "\xff"}'),
        (JSON, b"user_id=1"),
        ("X: no type", b"user_id=1"),
        (FORM, b"\xff=1"),
        (FORM, b"&".join([b"a=1"] * 2000)),
    ],
)
async def test_a_body_that_is_not_what_it_says_is_400(up: Up, header: str, body: bytes) -> None:
    reply = await ask(up.port, f"{BASE}/get_status", header, body=body)
    assert reply.status == 400
    assert reply.json()["error"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Token", "token"])
async def test_the_token_in_the_header(up: Up, scheme: str) -> None:
    """Koishi says Token; a scheme has no case."""
    good(await ask(up.port, f"{LOCKED}/get_status", f"Authorization: {scheme} {TOKEN}"))


@pytest.mark.parametrize(
    "query",
    [
        f"access_token={quote(TOKEN, safe='')}",
        f"%61ccess_token={''.join(f'%{b:02x}' for b in TOKEN.encode())}",
        urlencode({"access_token": TOKEN}),
        f"access_token=wrong&{urlencode({'access_token': TOKEN})}",
    ],
)
async def test_the_token_in_the_query(up: Up, query: str) -> None:
    good(await ask(up.port, f"{LOCKED}/get_status?{query}"))


async def test_the_header_goes_before_the_query(up: Up) -> None:
    good(await ask(up.port, f"{LOCKED}/get_status?access_token=wrong", BEARER))
    query = urlencode({"access_token": TOKEN})
    wrong = await ask(up.port, f"{LOCKED}/get_status?{query}", "Authorization: Bearer wrong")
    assert wrong.status == 403
    form = urlencode({"access_token": TOKEN}).encode()
    assert (await ask(up.port, f"{LOCKED}/get_status", FORM, body=form)).status == 401


@pytest.mark.proves(12, 13)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 401),
        (("Authorization: Bearer ",), 401),
        (("Authorization:",), 401),
        ((f"Authorization: Basic {TOKEN}",), 401),
        ((f"Authorization: {TOKEN}",), 401),
        ((BEARER, BEARER), 401),
        ((f"Authorization: bearer  {TOKEN}",), 403),
        ((f"Authorization: Bearer {TOKEN}x",), 403),
        ((f"Authorization: Bearer {TOKEN[:-1]}",), 403),
        (("Authorization: Bearer \udcff\udcfe",), 403),
        (("Authorization: Bearer é",), 403),
    ],
)
async def test_no_token_is_401_and_a_wrong_one_403(
    up: Up, headers: tuple[str, ...], status: int
) -> None:
    reply = await ask(up.port, f"{LOCKED}/get_status", *headers, source="127.0.0.3")
    assert reply.status == status
    assert TOKEN.encode() not in reply.body


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ((f"Authorization: Bearer {'x' * 20_000}",), (400, 431)),
        ((f"Authorization: Bearer {'x' * (1 << 20)}",), (0, 400, 431)),
        (("X-A: b",) * 200, (400, 431)),
        (("X-A: b",) * 100_000, (0, 400, 431)),
    ],
)
async def test_headers_beyond_all_measure_are_refused(
    up: Up, headers: tuple[str, ...], statuses: tuple[int, ...]
) -> None:
    reply = await ask(up.port, f"{LOCKED}/get_status", *headers)
    assert reply.status in statuses
    good(await ask(up.port, f"{LOCKED}/get_status", BEARER))


async def test_guessing_is_429_and_the_right_token_still_passes(up: Up) -> None:
    replies = [
        await ask(up.port, f"{LOCKED}/get_status", f"Authorization: Bearer {i}", source="127.0.0.4")
        for i in range(25)
    ]
    assert [reply.status for reply in replies] == [403] * 20 + [429] * 5
    assert replies[-1].headers["retry-after"] == "60"
    good(await ask(up.port, f"{LOCKED}/get_status", BEARER, source="127.0.0.4"))
    assert (await ask(up.port, f"{LOCKED}/get_status", source="127.0.0.5")).status == 401


async def test_many_calls_at_once_are_each_answered(up: Up) -> None:
    calls = (
        up.account.call("send_group_msg", group_id=f"crowd{i % 5}", message=f"{i}")
        for i in range(60)
    )
    answers = await asyncio.gather(*calls)
    numbers = {answer["data"]["message_id"] for answer in answers}
    assert len(numbers) == 60
    for group in range(5):
        assert len(await up.account.messages(group=f"crowd{group}")) == 12
