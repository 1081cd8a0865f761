"""Bots that onebus goes to: reverse WebSocket and HTTP POST on the wire."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from tests.e2e.nats_server import nats_server
from tests.e2e.processes import Account, free_port, onebus, write_config
from tests.e2e.pushing import SECRET, TOKEN, Blocks, Ports, Up, pushing
from tests.e2e.receivers import Posted, Receiver, receiver

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _bots(ports: Ports) -> Blocks:
    """An account for each test, so that none sees another's events."""

    def url(scheme: str, name: str, path: str = "") -> str:
        return f"{scheme}://127.0.0.1:{ports[name]}{path}"

    reverse = {"use_ws_reverse": True, "ws_reverse_reconnect_interval": 200}
    yield (
        "raw",
        {**reverse, "ws_reverse_url": url("ws", "raw", "/bot?x=1"), "access_token": TOKEN},
    )
    yield "refused", {**reverse, "ws_reverse_url": url("ws", "refused"), "access_token": TOKEN}
    yield (
        "filtered",
        {
            "ws_reverse": [
                {
                    "url": url("ws", "filtered"),
                    "events": ["notice"],
                    "message_format": "array",
                    "enable_heartbeat": True,
                    "heartbeat_interval": 200,
                    "reconnect_interval": 200,
                    "use_universal": False,
                }
            ]
        },
    )
    yield "post", {"http_reverse": [{"url": url("http", "post", "/in"), "secret": SECRET}]}
    yield (
        "moved",
        {"http_reverse": [url("http", "moved", "/a")], "secret": SECRET, "post_timeout": 0},
    )
    yield "hung", {"http_reverse": [{"url": url("http", "hung"), "timeout": 300}]}
    yield "slow", {"http_reverse": [url("http", "slow"), url("http", "fast")], "post_timeout": 0}


NAMES = ("raw", "refused", "filtered", "post", "moved", "hung", "slow", "fast")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    async with pushing(tmp_path_factory.mktemp("push"), NAMES, _bots) as there:
        yield there


def signature(post: Posted) -> str:
    return "sha1=" + hmac.new(SECRET.encode(), post.body, hashlib.sha1).hexdigest()


async def test_reverse_websocket_on_the_wire(up: Up) -> None:
    """communication/ws-reverse.md; ws.md for what follows the handshake."""
    account = up.account("raw", TOKEN)
    async with receiver(up.ports["raw"]) as there:
        socket = await there.socket()
        me = await account.ok("get_login_info")
        assert socket.path == "/bot"
        assert socket.headers["X-Self-ID"] == str(me["user_id"])
        assert socket.headers["X-Client-Role"] == "Universal"
        assert socket.headers["Authorization"] == f"Bearer {TOKEN}"
        first = await socket.frame()
        assert (first["meta_event_type"], first["sub_type"]) == ("lifecycle", "connect")
        await account.say("héllo 你好", user="alice")
        event = await socket.event()
        assert event["message"] == "héllo 你好"
        assert event["self_id"] == me["user_id"]
        assert "echo" not in event
        answer = await socket.call("send_private_msg", user_id=event["user_id"], message="hi")
        assert answer["status"] == "ok"
        unknown = await socket.call("no_such_action")
        assert (unknown["status"], unknown["retcode"]) == ("failed", 1404)


async def test_a_bot_that_comes_back_is_found_again(up: Up) -> None:
    """One connection at a time, the lifecycle event first on each, no event twice."""
    account = up.account("raw", TOKEN)
    for round_ in range(2):
        async with receiver(up.ports["raw"]) as there:
            socket = await there.socket()
            assert (await socket.frame())["sub_type"] == "connect"
            await account.say(f"round {round_}", user="bob")
            assert (await socket.event())["raw_message"] == f"round {round_}"
            await socket.call("get_status")  # its answer comes after our pong was taken
            await socket.ws.close()
            again = await there.socket()
            assert (await again.frame())["sub_type"] == "connect"
            await account.say("once", user="bob")
            assert (await again.event())["raw_message"] == "once"
            await again.call("get_status")
            assert there.most_open == 1
            assert again.frames.empty()


async def test_a_wrong_token_is_said_once_with_a_hint(up: Up) -> None:
    async with receiver(up.ports["refused"]) as there:
        there.refuse = 403
        for _ in range(4):
            await asyncio.wait_for(there.attempts.get(), 20)
        there.refuse = 0
        socket = await there.socket()
        await socket.frame()
        await up.process.says("sandbox.refused: Universal at")
        lines = [line for line in up.process.lines if "sandbox.refused: Universal" in line]
        refused = [line for line in lines if "HTTP 403" in line]
        assert len(refused) == 1
        assert "compare access_token" in refused[0]
        assert await up.process.says(f"at ws://127.0.0.1:{up.ports['refused']}: connected")


async def test_a_split_bot_with_settings_of_its_own(up: Up) -> None:
    """API gets no events; Event ignores what it is sent; filter, format and heartbeat hold."""
    account = up.account("filtered")
    async with receiver(up.ports["filtered"]) as there:
        sockets = [await there.socket(), await there.socket()]
        by_role = {socket.headers["X-Client-Role"]: socket for socket in sockets}
        api, events = by_role["API"], by_role["Event"]
        assert "Authorization" not in api.headers
        assert (await events.frame())["sub_type"] == "connect"
        assert (await events.frame())["meta_event_type"] == "heartbeat"
        native = await account.say("unwanted", user="carol", group="lobby")
        sent = await api.call("send_group_msg", group_id="lobby", message="[CQ:face,id=1]x")
        read = await api.call("get_msg", message_id=sent["data"]["message_id"])
        assert isinstance(read["data"]["message"], list)
        await events.ws.send_json({"action": "get_status", "echo": "ignored"})
        url = f"{account.sandbox}/api/messages/{native}"
        params = {"user": "carol", "group": "lobby"}
        async with up.http.delete(url, params=params) as response:
            assert response.status == 200
        event = await events.event()
        assert (event["post_type"], event["notice_type"]) == ("notice", "group_recall")
        beat = await events.frame()
        assert (beat["meta_event_type"], beat["interval"]) == ("heartbeat", 200)
        assert api.frames.empty()


@pytest.mark.proves(26, 27, 28)
async def test_post_on_the_wire(up: Up) -> None:
    """communication/http-post.md, and event/meta.md: `enable` is for HTTP POST."""
    account = up.account("post")
    me = await account.ok("get_login_info")
    async with receiver(up.ports["post"]) as there:
        await account.say("héllo 你好 \u2028 😀", user="alice")
        while "message" not in (post := await there.post()).event:
            assert post.event["meta_event_type"] == "lifecycle"
        assert post.path == "/in"
        assert post.headers.getall("Content-Type") == ["application/json"]
        assert post.headers["X-Self-ID"] == str(me["user_id"]) == str(post.event["self_id"])
        assert post.headers["X-Signature"] == signature(post)
        assert "Authorization" not in post.headers
        assert post.event["message"] == "héllo 你好 \u2028 😀"
        compact = json.dumps(post.event, ensure_ascii=False, separators=(",", ":")).encode()
        assert post.body == compact


@pytest.mark.proves(31)
async def test_an_answer_is_a_quick_operation_whatever_its_type(up: Up) -> None:
    account = up.account("post")
    answers = {
        "reply": web.Response(body=b'{"reply": "quick"}', content_type="text/plain"),
        "text": web.Response(text="ok"),
        "list": web.json_response([1]),
        "empty": web.json_response({}),
        "refused": web.json_response({"reply": "not this"}, status=500),
        "large": web.Response(body=b'{"reply": "large"'.ljust(1 << 20) + b"}"),
    }

    async def respond(post: Posted) -> web.Response:
        if post.event["post_type"] == "meta_event":
            return web.Response(status=204)
        return answers[post.event["raw_message"]]

    async with receiver(up.ports["post"]) as there:
        there.respond = respond
        for text in (*(key for key in answers if key != "reply"), "reply"):
            await account.say(text, user="quinn")
            assert (await there.posted()).event["raw_message"] == text
        shown = await account.wait_for_messages(len(answers) + 1, user="quinn")
        said = [message["message"][-1]["data"]["text"] for message in shown if message["from_bot"]]
        assert said == ["quick"]


async def test_a_redirect_is_not_followed(up: Up) -> None:
    account = up.account("moved")
    elsewhere = f"http://127.0.0.1:{up.ports['moved']}/b"

    async def respond(_: Posted) -> web.Response:
        return web.Response(status=307, headers={"Location": elsewhere})

    async with receiver(up.ports["moved"]) as there:
        there.respond = respond
        for text in ("one", "two"):
            await account.say(text, user="alice")
            assert (await there.posted()).event["raw_message"] == text
        await up.process.says("HTTP 307; redirects are not followed")
        assert there.posts.empty()


@pytest.mark.proves(33)
async def test_a_bot_that_is_away_or_hangs_is_said_once(up: Up) -> None:
    """What may have reached it is never posted again; what cannot have is, when it is back."""
    account = up.account("hung")
    label = f"sandbox.hung: events for http://127.0.0.1:{up.ports['hung']}"
    for count in (1, 2):
        await account.say(f"away {count}", user="alice")
    away = await up.process.says(f"{label}: ")
    assert "is the bot running" in away
    released = asyncio.Event()

    async def respond(post: Posted) -> web.Response:
        if post.event.get("raw_message", "").startswith("hang"):
            await released.wait()
        return web.Response(status=204)

    said = ["hang 1", "hang 2", "go"]
    async with receiver(up.ports["hung"]) as there:
        there.respond = respond
        for text in said:
            await account.say(text, user="alice")
        posted = [(await there.posted()).event["raw_message"] for _ in range(5)]
        assert posted == ["away 1", "away 2", *said]
        await up.process.says(f"{label}: delivered")
        released.set()
    assert sum(f"{label}: connection refused" in line for line in up.process.lines) == 1
    assert sum(f"{label}: no answer in time" in line for line in up.process.lines) == 1
    given_up = [line for line in up.process.lines if "sandbox.hung" in line and "given up" in line]
    assert [" warning " in line for line in given_up] == [True, False]


async def test_a_slow_bot_delays_nobody_else(up: Up) -> None:
    """Neither another bot, nor another chat; its own chat keeps its order."""
    account = up.account("slow")
    released = asyncio.Event()

    async def respond(post: Posted) -> web.Response:
        if post.event.get("raw_message") == "first":
            await released.wait()
        return web.Response(status=204)

    async with receiver(up.ports["slow"]) as slow, receiver(up.ports["fast"]) as fast:
        slow.respond = respond
        for text in ("first", "second"):
            await account.say(text, user="ann", group="a")
        await account.say("other chat", user="ann", group="b")
        there = [(await fast.posted()).event["raw_message"] for _ in range(3)]
        assert sorted(there) == ["first", "other chat", "second"]
        assert there.index("first") < there.index("second")
        here = [(await slow.posted()).event["raw_message"] for _ in range(2)]
        assert sorted(here) == ["first", "other chat"]
        released.set()
        assert (await slow.posted()).event["raw_message"] == "second"


async def test_one_process_serves_a_target_and_another_takes_over(tmp_path: Path) -> None:
    """After `kill -9` within 8 s of the sessions' end; at once after an orderly stop."""
    async with nats_server(tmp_path / "nats") as nats, receiver(port := free_port()) as there:
        block = {
            "ws_reverse": [{"url": f"ws://127.0.0.1:{port}/", "reconnect_interval": 200}],
            "http_reverse": [f"http://127.0.0.1:{port}/"],
        }
        changes = {"bus": nats.settings, "sandbox__demo": {"onebot.v11": block}}
        paths = [write_config(tmp_path / f"{i}.yaml", **changes) for i in range(3)]
        names = ("ws-reverse", "http-post")
        async with (
            aiohttp.ClientSession() as http,
            onebus("connector", "sandbox", "-c", str(paths[0])) as connector,
            onebus("frontend", *names, "-c", str(paths[1])) as one,
        ):
            line = await connector.says("listening on")
            sandbox = Account(http, f"http://{line.rsplit(maxsplit=1)[1]}")
            socket = await there.socket()
            await socket.frame()
            assert (await there.post()).event["sub_type"] == "enable"
            async with onebus("frontend", *names, "-c", str(paths[2])) as two:
                await two.says("listening on")
                await sandbox.say("one", user="alice")
                assert (await socket.event())["raw_message"] == "one"
                assert (await there.posted()).event["raw_message"] == "one"
                await one.kill()
                second = await there.socket()
                assert (await second.frame())["sub_type"] == "connect"
                assert (await there.post()).event["sub_type"] == "enable"
                await sandbox.say("two", user="alice")
                # What was acknowledged in the last second before a death may come again.
                assert await _next_but("one", second.event) == "two"
                assert await _next_but("one", _event_of(there)) == "two"
                assert there.most_open == 1
                assert there.posts.empty()
                assert await two.stop() == 0
                await asyncio.wait_for(second.closed.wait(), 10)
                assert second.ws.close_code == 1001
                assert (await there.post()).event["sub_type"] == "disable"


async def _next_but(known: str, event: Callable[[], Awaitable[dict[str, Any]]]) -> str:
    """The next message that is not the one known already."""
    while (text := str((await event())["raw_message"])) == known:
        pass
    return text


def _event_of(there: Receiver) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def event() -> dict[str, Any]:
        return (await there.posted()).event

    return event
