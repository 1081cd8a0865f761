"""Hostile input and curious pages against a running onebus: refused, cheap, and never logged.

Every test leaves the process as it was: the last ones look at its pid, its memory and all it said.
"""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, quote_plus

import aiohttp
import pytest
import pytest_asyncio
import yaml
from tests.e2e.processes import Account, Running, onebus, write_config
from tests.e2e.raw import ask, break_off, raw_socket

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "canary/T0ken+of the bots"
PAGE_TOKEN = "canary&Page=token"
SECRET_KEY = "canary-secret-key-0123456789"
CANARIES = (TOKEN, PAGE_TOKEN, SECRET_KEY)
BASE = "/sandbox/demo/onebot/v11"
BEARER = f"Authorization: Bearer {TOKEN}"
JSON = "Content-Type: application/json"
QUICK_S = 3.0
"""Most that a refusal may take here, where other tests run too."""


class Up(SimpleNamespace):
    """A running `onebus up` that logs everything: two accounts with tokens."""

    port: int
    process: Running
    account: Account
    second: Account
    http: aiohttp.ClientSession


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    folder = tmp_path_factory.mktemp("security")
    config = write_config(
        folder / "config.yaml",
        secret_key=SECRET_KEY,
        general={"onebot.v11": {"use_ws": True, "access_token": TOKEN}},
        sandbox__second={},
        sandbox__paged={"access_token": PAGE_TOKEN},
    )
    config.chmod(0o600)
    port = yaml.safe_load(config.read_text())["port"]
    base = f"http://localhost:{port}"
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        await process.says("the log keeps")
        account, second = (Account(http, base, name, token=TOKEN) for name in ("demo", "second"))
        await account.online()
        await second.online()
        yield Up(port=port, process=process, account=account, second=second, http=http)


SEND = f"{BASE}/send_private_msg?user_id=victim&message=csrf"


@pytest.mark.parametrize(
    "headers",
    [
        ("Origin: https://evil.example",),
        ("Origin: null",),
        ("Origin: ",),
        ("Origin: http://localhost:1",),
        ("Origin: http://localhost.evil.example",),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"),
    ],
)
async def test_pages_of_others_are_refused(up: Up, headers: tuple[str, ...]) -> None:
    """S5, with the token: a browser may have it in an address that somebody gave away."""
    for body in (None, b"{}"):
        reply = await ask(up.port, SEND, BEARER, *headers, body=body)
        assert reply.status == 403
        assert "access-control-allow-origin" not in reply.headers
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Version: 13")
    for path in ("", "/api", "/event"):
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
        reply = await ask(up.port, f"{BASE}{path}", BEARER, *upgrade, key, *headers)
        assert reply.status == 403
    assert await up.account.messages(user="victim") == []


@pytest.mark.parametrize(
    "host", ["attacker.test", "attacker.test:80", "127.0.0.1.nip.io", "0.0.0.0", "[::", "", "a b"]
)
async def test_a_rebound_name_is_refused(up: Up, host: str) -> None:
    """S5: DNS that answers with this machine's address does not make it theirs."""
    reply = await ask(up.port, SEND, BEARER, host=host or " ")
    assert reply.status in (400, 421)
    if host:
        both = await ask(up.port, SEND, BEARER, f"Origin: http://{host}", host=host)
        assert both.status in (400, 403, 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9", "[::1]:80"])
async def test_this_machines_own_names_are_served(up: Up, host: str) -> None:
    assert (await ask(up.port, f"{BASE}/get_status", BEARER, host=host)).status == 200


async def test_our_own_page_and_a_typed_address_are_served(up: Up) -> None:
    for headers in (
        (f"Origin: http://localhost:{up.port}", "Sec-Fetch-Site: same-origin"),
        ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"),
    ):
        reply = await ask(up.port, f"{BASE}/get_status", BEARER, *headers)
        assert reply.status == 200
    link = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate")
    assert (await ask(up.port, "/sandbox/demo/", *link)).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x"])
async def test_what_a_form_of_another_page_can_send_is_406(up: Up, kind: str) -> None:
    body = b'{"user_id":"victim","message":"csrf"}'
    reply = await ask(up.port, SEND, BEARER, f"Content-Type: {kind}", body=body)
    assert reply.status == 406
    assert await up.account.messages(user="victim") == []


EMPTY_TEXTS = b",".join([b'{"type":"text","data":{"text":""}}'] * 700_000)
BOMBS = {
    "arrays": (b"[" * 1_000_000, 400),
    "objects": (b'{"a":' * 1_000_000, 400),
    "closed": (b"[" * 100_000 + b"]" * 100_000, 400),
    "nested message": (b'{"user_id":"x","message":' + b"[" * 70 + b"]" * 70 + b"}", 400),
    "empty texts": (b'{"user_id":"x","message":[' + EMPTY_TEXTS + b"]}", 400),
    "many texts": (
        b'{"user_id":"x","message":['
        + b",".join([b'{"type":"text","data":{"text":"a"}}'] * 20_000)
        + b"]}",
        200,
    ),
    "many codes": (b'{"user_id":"x","message":"' + b"[CQ:face,id=1]" * 500_000 + b'"}', 200),
    "open codes": (b'{"user_id":"x","message":"' + b"[CQ:" * 1_000_000 + b'"}', 400),
    "strings": (b'{"user_id":"x","message":["' + b'","' * 3_000_000 + b'"]}', 200),
    "quotes": (b'{"a":"' + b'\\"' * 5_000_000, 400),
    "long text": (b'{"user_id":"x","message":"' + b"a" * (20 << 20) + b'"}', 200),
    "long number": (b'{"user_id":' + b"9" * 5_000_000 + b"}", 400),
    "long id": (b'{"user_id":"' + b"9" * 5_000_000 + b'","message":"x"}', 200),
    "many nodes": (
        b'{"user_id":"x","message":['
        + b",".join([b'{"type":"node","data":{"content":"a"}}'] * 101)
        + b"]}",
        200,
    ),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_a_quick_refusal(up: Up, name: str) -> None:
    """S9. Over HTTP and WebSocket: what cannot be read is 400 here and 1400 there."""
    body, status = BOMBS[name]
    began = time.monotonic()
    reply = await ask(up.port, f"{BASE}/send_private_msg", BEARER, JSON, body=body)
    assert time.monotonic() - began < QUICK_S
    assert reply.status == status
    if status == 200:
        assert reply.json()["retcode"] == 1400
    assert len(reply.body) < 1000
    bot = await up.account.ws("/api")
    frame = b'{"action":"send_private_msg","echo":1,"params":' + body + b"}"
    began = time.monotonic()
    await bot.ws.send_str(frame.decode())
    answer = await bot.frame()
    assert time.monotonic() - began < QUICK_S
    assert (answer["status"], answer["retcode"], answer["data"]) == ("failed", 1400, None)
    assert (await bot.call("get_status"))["retcode"] == 0
    await bot.close()


async def test_a_segment_bomb_in_a_form_is_refused(up: Up) -> None:
    form = "Content-Type: application/x-www-form-urlencoded"
    body = b"user_id=x&message=" + quote(b"[" + EMPTY_TEXTS + b"]").encode()[: 30 << 20]
    reply = await ask(up.port, f"{BASE}/send_private_msg", BEARER, form, body=body)
    assert reply.status == 200
    assert reply.json()["retcode"] == 1400


@pytest.mark.parametrize("size", [33 << 20, 1 << 40])
async def test_a_body_beyond_the_limit_is_413_before_it_is_read(up: Up, size: int) -> None:
    header = f"Content-Length: {size}"
    began = time.monotonic()
    reply = await ask(up.port, f"{BASE}/get_status", BEARER, JSON, header, method="POST")
    assert reply.status == 413
    assert time.monotonic() - began < QUICK_S


async def test_a_body_of_unknown_length_is_413_once_it_is_too_long(up: Up) -> None:
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    reply = await ask(
        up.port,
        f"{BASE}/get_status",
        BEARER,
        JSON,
        "Transfer-Encoding: chunked",
        body=chunk * 33,
    )
    assert reply.status in (0, 413)


@pytest.mark.parametrize("encoding", ["deflate", "gzip", "br", "zstd", "x"])
async def test_compressed_bodies_are_415(up: Up, encoding: str) -> None:
    """A bomb is never unpacked, and what only claims to be compressed is no fault of ours."""
    header = f"Content-Encoding: {encoding}"
    reply = await ask(up.port, f"{BASE}/get_status", BEARER, JSON, header, body=b"\x78\x9c" * 20)
    assert reply.status == 415


async def test_a_peer_that_breaks_off_is_no_fault_of_ours(up: Up) -> None:
    """What was logged of it is looked at below."""
    target = f"{BASE}/get_status"
    await break_off(up.port, target, BEARER, JSON, "Content-Length: 100", body=b"{")
    chunked = "Transfer-Encoding: chunked"
    await break_off(up.port, target, BEARER, JSON, chunked, body=b"5\r\n{")
    broken = await ask(up.port, target, BEARER, JSON, chunked, body=b"2\r\n{}\r\nzz\r\n")
    assert broken.status in (0, 400)
    async with raw_socket(up.port, f"{BASE}/api?access_token={quote(TOKEN, safe='')}") as socket:
        socket.write(b"\x81\xfe")
    assert (await up.account.call("get_status"))["retcode"] == 0


@pytest.mark.parametrize("text", ["[CQ:at,qq=all]", "&#91;CQ:at,qq=all&#93;", "a,&amp;]["])
async def test_what_a_person_writes_never_becomes_a_code(up: Up, text: str) -> None:
    """S15: over the whole way, in the string format."""
    bot = await up.account.ws()
    await up.account.say(text, user="mallory")
    event = await bot.event()
    escaped = text.replace("&", "&amp;").replace("[", "&#91;").replace("]", "&#93;")
    assert event["message"] == event["raw_message"] == escaped
    back = await bot.call("send_private_msg", user_id=event["user_id"], message=event["message"])
    assert back["retcode"] == 0
    shown = (await up.account.messages(user="mallory"))[-1]["message"]
    assert shown == [{"type": "text", "data": {"text": text}}]
    await bot.close()


async def test_a_message_of_another_account_does_not_exist(up: Up) -> None:
    """S21: by number, over both transports, received and sent; nothing of it shows."""
    listener = await up.account.ws("/event")
    await up.account.say("secret of demo", user="alice")
    received = (await listener.event())["message_id"]
    await listener.close()
    sent = (await up.account.ok("send_private_msg", user_id="alice", message="secret"))[
        "message_id"
    ]
    bot = await up.second.ws("/api")
    for number in (received, sent, str(sent)):
        for action in ("get_msg", "delete_msg"):
            over_ws = await bot.call(action, message_id=number)
            for answer in (await up.second.call(action, message_id=number), over_ws):
                assert (answer["retcode"], answer["data"]) == (10002, None)
                assert "secret" not in json.dumps(answer)
        for message in (f"[CQ:reply,id={number}]hi", reply_to(number)):
            answer = await up.second.call("send_private_msg", user_id="bob", message=message)
            assert answer["retcode"] == 0
            assert "`reply` was left out" in answer["message"]
            assert "secret" not in json.dumps(answer)
    shown = await up.second.messages(user="bob")
    assert {part["type"] for m in shown for part in m["message"]} == {"text"}
    alone = await up.second.call("send_private_msg", user_id="bob", message=reply_to(sent)[:1])
    assert alone["retcode"] == 1400
    assert not any(m["recalled"] for m in await up.account.messages(user="alice"))
    await bot.close()


def reply_to(number: int | str) -> list[dict[str, object]]:
    return [
        {"type": "reply", "data": {"id": number}},
        {"type": "text", "data": {"text": "hi"}},
    ]


FAKE = "x\n2026-01-01 [ERROR] fake"
HOSTILE = (FAKE, f"\x1b[2J{FAKE}", "\u202e\u2066\x9b31m", "a\r\nb\x00")


@pytest.mark.parametrize("text", HOSTILE)
async def test_names_that_act_on_a_terminal_are_inert(up: Up, text: str) -> None:
    """S17: in every place that takes a text; what was logged is looked at below."""
    await up.account.call(quote(text, safe=""))
    await up.account.call("send_private_msg", user_id=text, message=text)
    await up.account.call("send_group_msg", group_id="lobby", message=text)
    await up.account.call("get_group_member_info", group_id=text, user_id=text)
    await up.account.say(text, user="terminal")
    await ask(up.port, f"/sandbox/{quote(text, safe='')}/onebot/v11/x")
    body = {"user": "named", "name": text}
    async with up.http.post(f"{up.account.sandbox}/api/users", json=body) as response:
        assert response.status == 400
    bot = await up.account.ws("/api")
    assert (await bot.call(text))["retcode"] == 1404
    await bot.close()


async def test_tokens_are_in_no_answer(up: Up) -> None:
    """S18: wrong guesses near the token, tokens in addresses, status, version, faults."""
    near = [TOKEN[:-1], f"{TOKEN}x", quote(TOKEN)]
    targets = [f"{BASE}/{action}" for action in ("get_status", "get_version_info", "nosuch", "api")]
    for target in targets:
        for token in (TOKEN, *near):
            reply = await ask(up.port, f"{target}?access_token={quote_plus(token)}")
            assert TOKEN.encode() not in reply.body
    page = f"/sandbox/paged/?access_token={quote(PAGE_TOKEN, safe='')}"
    reply = await ask(up.port, page)
    assert reply.status == 302
    assert PAGE_TOKEN not in str(reply)
    await ask(up.port, f"/sandbox/paged/api/state?access_token={quote(PAGE_TOKEN)}x")
    broken = f"Authorization: Bearer {TOKEN}{'x' * 20_000}"
    assert (await ask(up.port, f"{BASE}/get_status", broken)).status in (400, 431)
    assert (await ask(up.port, f"{BASE}/\x01?access_token={quote(TOKEN)}")).status == 400


async def test_the_process_is_alive_and_said_no_secret(up: Up) -> None:
    """Last: one process all along, of a bounded size, and every line of it is clean."""
    assert up.process.process.returncode is None
    assert await up.account.ok("get_status") == {"online": True, "good": True}
    status = Path(f"/proc/{up.process.process.pid}/status").read_text()
    peak_mib = int(status.partition("VmHWM:")[2].split()[0]) >> 10
    assert peak_mib < 400
    said = up.process.output
    for canary in CANARIES:
        for form in (canary, quote(canary), quote(canary, safe=""), quote_plus(canary)):
            assert form not in said
    assert "Traceback" not in said, said
    assert not [line for line in up.process.lines if line.startswith("2026-01-01")]
    assert not set(said) & set("\x1b\x9b\u202e\u2066\x00\r")
    assert not [line for line in up.process.lines if " error " in line], said
