"""Section A: the same account by all transports at once, over a real `onebus up`.

Source: https://github.com/botuniverse/onebot-11/tree/master/communication
"""

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from tests.e2e.processes import Account, Bot, free_port, onebus, write_config
from tests.e2e.receivers import Posted, Receiver, Socket, receiver

TOKEN = "conformance-token"
SECRET = "conformance-secret"
TEXT = "héllo 你好 😀\u2028"
PATHS = ["", "/", "/ws", "/ws/", "/api", "/api/", "/event", "/event/"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Up(SimpleNamespace):
    """An account with a token, and its bots: three sockets and two addresses that we serve."""

    account: Account
    there: Receiver
    sockets: dict[str, Socket]
    posts: dict[str, list[Posted]]

    async def posted(self, path: str) -> Posted:
        """The next event at this address."""
        while not self.posts[path]:
            post = await self.there.post()
            self.posts[post.path].append(post)
        return self.posts[path].pop(0)

    async def message(self, path: str) -> Posted:
        """The next message at this address."""
        while (post := await self.posted(path)).event["post_type"] != "message":
            pass
        return post


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    folder, port = tmp_path_factory.mktemp("transports"), free_port()
    block = {
        "access_token": TOKEN,
        "ws_reverse": [
            {"url": f"ws://127.0.0.1:{port}/universal", "reconnect_interval": 200},
            {
                "url": f"ws://127.0.0.1:{port}/split",
                "use_universal": False,
                "reconnect_interval": 200,
            },
        ],
        "http_reverse": [
            {"url": f"http://127.0.0.1:{port}/signed", "secret": SECRET},
            f"http://127.0.0.1:{port}/plain",
        ],
    }
    config = write_config(
        folder / "config.yaml", sandbox__demo={"onebot.v11": block}, sandbox__open={}
    )
    async with (
        receiver(port) as there,
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        line = await process.says("HTTP  ")
        account = Account(http, line.split()[1].partition("/sandbox/")[0], token=TOKEN)
        await account.online()
        sockets = [await there.socket() for _ in range(3)]
        yield Up(
            account=account,
            there=there,
            sockets={socket.headers["X-Client-Role"]: socket for socket in sockets},
            posts={"/signed": [], "/plain": []},
        )


@pytest.mark.proves(451, 457)
async def test_lifecycle_events(up: Up) -> None:
    """`enable` by HTTP POST alone and in the same way as any event, `connect` first on sockets."""
    for path in ("/signed", "/plain"):
        post = await up.posted(path)
        assert (post.event["meta_event_type"], post.event["sub_type"]) == ("lifecycle", "enable")
        assert post.headers["Content-Type"] == "application/json"
        assert post.headers["X-Self-ID"] == str(post.event["self_id"])
        assert ("X-Signature" in post.headers) == (path == "/signed")
    for role in ("Universal", "Event"):
        assert (await up.sockets[role].frame())["sub_type"] == "connect"
    bot = await up.account.ws("/event")
    assert (await bot.frame())["sub_type"] == "connect"
    await bot.close()
    assert up.sockets["API"].frames.empty()
    assert not up.posts["/signed"] + up.posts["/plain"]
    assert up.there.posts.empty()


@pytest.mark.proves(1, 2, 25, 37, 50, 54)
async def test_an_event_is_the_same_everywhere(up: Up) -> None:
    bots = [await up.account.ws(path) for path in ("", "/event")]
    for bot in bots:
        await bot.frame()
    await up.account.say(TEXT, user="alice")
    body = (await up.message("/plain")).body
    assert json.loads(body)["message"] == TEXT
    assert TEXT.encode() in body
    assert (await up.message("/signed")).body == body
    for bot in bots:
        assert await _text(bot) == body.decode()
        await bot.close()
    for role in ("Universal", "Event"):
        assert await up.sockets[role].event() == json.loads(body)
    assert up.sockets["API"].frames.empty()


async def _text(bot: Bot) -> str:
    message = await bot.ws.receive(15)
    assert message.type is aiohttp.WSMsgType.TEXT
    return str(message.data)


@pytest.mark.proves(51)
async def test_a_socket_gets_no_signature(up: Up) -> None:
    bot = await up.account.ws("/event")
    await bot.frame()
    await up.account.say("plain", user="alice")
    post = await up.message("/signed")
    frame = await _text(bot)
    assert json.loads(frame) == post.event
    assert post.headers["X-Signature"].removeprefix("sha1=") not in frame
    assert "signature" not in frame.lower()
    await bot.close()


@pytest.mark.proves(29, 72)
async def test_a_post_without_a_secret_has_neither_signature_nor_token(up: Up) -> None:
    """The account has a token, which is for those who come to us."""
    await up.account.say("unsigned", user="bob")
    for path in ("/plain", "/signed"):
        post = await up.message(path)
        while post.event["raw_message"] != "unsigned":
            post = await up.message(path)
        assert "Authorization" not in post.headers
        assert ("X-Signature" in post.headers) == (path == "/signed")


@pytest.mark.proves(30)
@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b""), (200, b"  ")])
async def test_an_empty_answer_is_no_quick_operation(up: Up, status: int, body: bytes) -> None:
    """What is answered after it is carried out, so nothing of the first was."""
    user = f"quick{status}{len(body)}"

    async def respond(post: Posted) -> web.Response:
        if post.path == "/plain" and post.event.get("raw_message") == "two":
            return web.json_response({"reply": "answer to two"})
        return web.Response(status=status, body=body)

    up.there.respond = respond
    await up.account.say("one", user=user)
    await up.account.say("two", user=user)
    shown = await up.account.wait_for_messages(3, user=user)
    texts = [message["message"][0]["data"]["text"] for message in shown]
    assert texts == ["one", "two", "answer to two"]


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("header", marks=pytest.mark.proves(68)),
        pytest.param("query", marks=pytest.mark.proves(69)),
        pytest.param("nowhere", marks=pytest.mark.proves(70)),
        pytest.param("wrong", marks=pytest.mark.proves(70)),
    ],
)
async def test_where_the_token_is_asked_for(up: Up, how: str) -> None:
    """Over HTTP and in the handshake of a socket. Others here have no token, and are not asked."""
    token = f"{TOKEN}x" if how == "wrong" else TOKEN
    headers = {"Authorization": f"Bearer {token}"} if how in ("header", "wrong") else {}
    params = {"access_token": TOKEN} if how == "query" else {}
    expected = {"nowhere": 401, "wrong": 403}.get(how, 200)
    base, http = f"{up.account.base}/onebot/v11", up.account.http
    async with http.get(f"{base}/get_status", headers=headers, params=params) as response:
        assert response.status == expected
    for path in ("", "/api", "/event"):
        if expected == 200:
            await (await http.ws_connect(base + path, headers=headers, params=params)).close()
            continue
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(base + path, headers=headers, params=params)
        assert refused.value.status == expected
    other = up.account.base.replace("/demo", "/open")
    async with http.get(f"{other}/onebot/v11/get_status") as response:
        assert response.status == 200


@pytest.mark.proves(58, 60, 61, 71)
@pytest.mark.parametrize("role", ["API", "Event", "Universal"])
async def test_what_a_handshake_says(up: Up, role: str) -> None:
    me = await up.account.ok("get_login_info")
    headers = up.sockets[role].headers
    assert headers["X-Self-ID"] == str(me["user_id"])
    assert headers.getall("X-Client-Role") == [role]
    assert headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.proves(59)
async def test_two_clients_of_one_url_are_two_connections(up: Up) -> None:
    api, event = up.sockets["API"], up.sockets["Event"]
    assert api.path == event.path == "/split"
    assert api.ws is not event.ws
    assert not api.ws.closed
    assert not event.ws.closed


@pytest.mark.proves(57, 62)
async def test_a_reverse_socket_answers_as_a_forward_one(up: Up) -> None:
    forward = await up.account.ws("/api")
    for action, params in (("get_login_info", {}), ("nosuch", {}), ("send_msg", {"user_id": "x"})):
        over_forward = await forward.call(action, **params)
        for role in ("API", "Universal"):
            answer: dict[str, Any] = await up.sockets[role].call(action, **params)
            assert answer | {"echo": 0} == over_forward | {"echo": 0}
    await forward.close()


@pytest.mark.proves(35, 36, 38, 55)
@pytest.mark.parametrize("path", PATHS)
async def test_paths(up: Up, path: str) -> None:
    """What each carries; it stays open until the bot closes it, and then others work on."""
    bot = await up.account.ws(path)
    if "/api" not in path:
        assert (await bot.frame())["sub_type"] == "connect"
        await up.account.say("event", user="paths")
        assert (await bot.event())["raw_message"] == "event"
    if "/event" not in path:
        await bot.ws.send_json({"action": "get_login_info", "params": {}, "echo": "e"})
        answer = await bot.frame()
        assert (answer["status"], answer["echo"]) == ("ok", "e")
    assert not bot.ws.closed
    await bot.close()
    assert bot.ws.close_code == 1000
    assert (await up.account.call("get_status"))["retcode"] == 0


@pytest.mark.proves(17, 18)
@pytest.mark.parametrize(
    ("action", "params", "retcode"),
    [
        ("get_status", {}, 0),
        ("get_login_info_async", {}, 1),
        ("send_msg", {}, 1400),
        ("get_msg", {"message_id": 1}, 10002),
    ],
)
async def test_http_is_200_whatever_became_of_the_action(
    up: Up, action: str, params: dict[str, Any], retcode: int
) -> None:
    url = f"{up.account.base}/onebot/v11/{action}"
    async with up.account.http.post(url, json=params, headers=up.account.headers) as response:
        answer = await response.json()
        assert response.status == 200
        assert response.content_type == "application/json"
    assert answer["retcode"] == retcode
    assert answer.keys() >= {"status", "retcode", "data"}
