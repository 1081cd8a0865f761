"""The forward WebSocket as the standard has it: frames, echo, events, wrong requests.

Source: https://github.com/botuniverse/onebot-11/blob/master/communication/ws.md
"""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from aiohttp import WSMsgType
from tests.e2e.processes import Account, Bot, onebus, write_config
from tests.e2e.raw import masked, raw_socket

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATHS = ["", "/", "/ws", "/ws/", "/api", "/api/", "/event", "/event/"]


class Up(SimpleNamespace):
    """A running `onebus up`: an open account, and one with heartbeats."""

    port: int
    account: Account
    beating: Account
    http: aiohttp.ClientSession


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    folder = tmp_path_factory.mktemp("ws")
    beating = {"use_ws": True, "enable_heartbeat": True, "heartbeat_interval": 50}
    config = write_config(
        folder / "config.yaml",
        sandbox__beating={"onebot.v11": beating},
    )
    port = yaml.safe_load(config.read_text())["port"]
    base = f"http://localhost:{port}"
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        await process.says("the log keeps")
        accounts = {name: Account(http, base, name) for name in ("demo", "beating")}
        for account in accounts.values():
            await account.online()
        yield Up(
            port=port,
            account=accounts["demo"],
            beating=accounts["beating"],
            http=http,
        )


async def answer(bot: Bot, frame: str | bytes) -> str:
    """The next frame after one is sent, as it came."""
    if isinstance(frame, bytes):
        await bot.ws.send_bytes(frame)
    else:
        await bot.ws.send_str(frame)
    message = await bot.ws.receive(15)
    assert message.type is WSMsgType.TEXT, message
    return str(message.data)


@pytest_asyncio.fixture(loop_scope="module")
async def api(up: Up) -> AsyncIterator[Bot]:
    bot = await up.account.ws("/api")
    yield bot
    await bot.close()


ECHOES = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "-0",
    "1.0",
    "1e2",
    "1E+02",
    "1e400",
    "-1e-400",
    "0.1000000000000000055511151231257827",
    "9007199254740993",
    "18446744073709551616",
    "123456789012345678901234567890123456789012345678901234567890",
    '""',
    '"a"',
    r'"\u00e9\n\/\"\\"',
    r'"\ud83d\ude00"',
    '"é😀\u2028"',
    "[]",
    "{}",
    "[ 1 , [ 2.50 ] ]",
    '{"b": {"a": [1.0, null]}, "a": 1e2, "b": 1}',
    '{"seq":1}',
    "[" * 60 + "]" * 60,
    f'"{"x" * 100_000}"',
]


@pytest.mark.proves(40, 41)
@pytest.mark.parametrize("action", ["get_status", "nosuch"])
@pytest.mark.parametrize("echo", ECHOES, ids=lambda echo: str(echo)[:20])
async def test_an_echo_comes_back_to_the_byte(up: Up, api: Bot, echo: str, action: str) -> None:
    text = await answer(api, f'{{"action":"{action}","params":{{}},"echo":{echo}}}')
    assert text.endswith(f',"echo":{echo}}}')


@pytest.mark.proves(44)
@pytest.mark.parametrize(
    "frame",
    [
        '{"action":1,"echo":7}',
        '{"action":null,"echo":7}',
        '{"echo":7}',
        '{"action":"get_status","params":[],"echo":7}',
        '{"action":"get_status","params":[{}],"echo":7}',
        '{"action":"get_status","params":"{}","echo":7}',
        '{"action":"get_status","params":0,"echo":7}',
        '{"action":"get_status","params":{"x":1e400},"echo":7}',
    ],
)
async def test_a_wrong_request_is_1400_with_its_echo(api: Bot, frame: str) -> None:
    got = json.loads(await answer(api, frame))
    assert (got["status"], got["retcode"], got["data"], got["echo"]) == ("failed", 1400, None, 7)


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "1",
        "null",
        '"x"',
        "nonsense",
        "{'action': 1}",
        '{"action":"x"}{}',
        b"\xff",
        b'{"action":"get_status","echo":"\xff"}',
        b'{"\xff":1}',
        b"\x00",
    ],
)
async def test_what_is_no_request_is_1400_and_the_socket_stays(
    api: Bot, frame: str | bytes
) -> None:
    got = json.loads(await answer(api, frame))
    assert (got["status"], got["retcode"], got["data"]) == ("failed", 1400, None)
    assert "echo" not in got
    assert (await api.call("get_status"))["retcode"] == 0


@pytest.mark.proves(39, 42)
@pytest.mark.parametrize("params", ["", ',"params":null', ',"params":{}', ',"params":{"x":1}'])
async def test_params_may_be_missing_null_or_empty(api: Bot, params: str) -> None:
    got = json.loads(await answer(api, f'{{"action":"get_status"{params}}}'))
    assert (got["status"], got["retcode"]) == ("ok", 0)
    assert list(got) == ["status", "retcode", "data", "message", "wording"]


async def test_binary_text_is_as_good_as_text(api: Bot) -> None:
    got = json.loads(await answer(api, b'{"action":"get_status","echo":"\xc3\xa9"}'))
    assert (got["retcode"], got["echo"]) == (0, "é")


@pytest.mark.proves(47)
@pytest.mark.parametrize("action", ["nosuch", "", "SEND_MSG", "a\n\u202e", ".handle_quick"])
async def test_an_unknown_action_is_1404_and_the_socket_stays(api: Bot, action: str) -> None:
    got = await api.call(action)
    assert (got["status"], got["retcode"], got["data"]) == ("failed", 1404, None)
    assert (await api.call("get_status"))["retcode"] == 0


@pytest.mark.proves(43)
async def test_http_and_ws_answer_alike(up: Up, api: Bot) -> None:
    for action, params in (("get_login_info", {}), ("get_msg", {"message_id": "1"})):
        over_ws = await api.call(action, **params)
        over_ws.pop("echo")
        assert over_ws == await up.account.call(action, **params)


@pytest.mark.parametrize("path", [path for path in PATHS if "/api" not in path])
async def test_one_lifecycle_goes_before_everything(up: Up, path: str) -> None:
    bot = await up.account.ws(path)
    await bot.ws.send_json({"action": "get_status", "echo": "early"})
    first = await bot.frame()
    assert first["post_type"] == "meta_event"
    assert (first["meta_event_type"], first["sub_type"]) == ("lifecycle", "connect")
    me = await up.account.ok("get_login_info")
    assert first["self_id"] == me["user_id"]
    assert isinstance(first["time"], int)
    assert "echo" not in first
    await up.account.say("after", user="lifecycle")
    rest = [await bot.frame()]
    if "/event" not in path:
        rest.append(await bot.frame())
    kinds = [frame.get("post_type", "answer") for frame in rest]
    assert sorted(kinds) == sorted(["message"] + ["answer"] * (len(rest) - 1))
    await bot.close()


@pytest.mark.parametrize("path", ["/api", "/api/"])
async def test_api_carries_no_events(up: Up, path: str) -> None:
    bot, events = await up.account.ws(path), await up.account.ws("/event")
    assert (await events.frame())["meta_event_type"] == "lifecycle"
    await up.account.say("not for you", user="api")
    await events.event()  # it was delivered to those who want it
    await bot.ws.send_json({"action": "get_status", "echo": "only"})
    assert (await bot.frame())["echo"] == "only"
    await bot.close()
    await events.close()


@pytest.mark.proves(52)
@pytest.mark.parametrize("path", ["/event", "/event/"])
async def test_event_does_nothing_with_what_it_is_sent(up: Up, path: str) -> None:
    bot = await up.account.ws(path)
    assert (await bot.frame())["meta_event_type"] == "lifecycle"
    for frame in ('{"action":"send_private_msg","params":{"user_id":"x","message":"y"}}', "{", ""):
        await bot.ws.send_str(frame)
    await bot.ws.send_json({"reply": "quick", "at_sender": False})
    user = f"mute{len(path)}"
    await up.account.say("still here", user=user)
    assert (await bot.frame())["raw_message"] == "still here"
    assert len(await up.account.messages(user=user)) == 1
    assert await up.account.messages(user="x") == []
    await bot.close()


@pytest.mark.proves(54)
async def test_every_listener_gets_every_event_once_in_order(up: Up) -> None:
    bots = [await up.account.ws(path) for path in ("", "/ws", "/event", "/event")]
    for i in range(20):
        await up.account.say(f"{i}", user="order")
    for bot in bots:
        events = [await bot.event() for _ in range(20)]
        assert [event["raw_message"] for event in events] == [f"{i}" for i in range(20)]
        assert all("echo" not in event for event in events)
        ids = [event["message_id"] for event in events]
        assert ids == sorted(set(ids))
        await bot.close()


async def test_heartbeats_say_how_the_account_is(up: Up) -> None:
    bot = await up.beating.ws()
    frames = [await bot.frame() for _ in range(4)]
    assert [frame["meta_event_type"] for frame in frames] == ["lifecycle"] + ["heartbeat"] * 3
    for beat in frames[1:]:
        assert beat["status"] == {"online": True, "good": True}
        assert (beat["interval"], beat["post_type"]) == (50, "meta_event")
        assert beat["self_id"] == frames[0]["self_id"]
    await bot.close()


async def test_no_heartbeat_on_api(up: Up) -> None:
    """Four of them went by elsewhere meanwhile."""
    bot, other = await up.beating.ws("/api"), await up.beating.ws("/event")
    for _ in range(5):
        await other.frame()
    await bot.ws.send_json({"action": "get_status", "echo": "first"})
    assert (await bot.frame())["echo"] == "first"
    await bot.close()
    await other.close()


async def test_sends_into_one_chat_keep_their_order(up: Up, api: Bot) -> None:
    for i in range(100):
        await api.ws.send_json(
            {"action": "send_private_msg", "params": {"user_id": "fifo", "message": f"{i}"}}
        )
    numbers = [(await api.frame())["data"]["message_id"] for _ in range(100)]
    shown = await up.account.wait_for_messages(100, user="fifo")
    assert [m["message"][0]["data"]["text"] for m in shown] == [f"{i}" for i in range(100)]
    assert len(set(numbers)) == 100


async def test_calls_at_once_are_each_answered_once(api: Bot) -> None:
    names = ["get_login_info", "get_group_list", "nosuch", "get_msg", "get_status"]
    for i in range(100):
        await api.ws.send_json({"action": names[i % 5], "echo": {"call": i}})
    echoes = [(await api.frame())["echo"]["call"] for _ in range(100)]
    assert sorted(echoes) == list(range(100))
    await api.ws.send_json({"action": "get_status", "echo": "last"})
    assert (await api.frame())["echo"] == "last"


async def test_sockets_do_not_see_each_others_answers(up: Up) -> None:
    bots = [await up.account.ws("/api") for _ in range(5)]

    async def own(number: int, bot: Bot) -> list[Any]:
        for i in range(20):
            await bot.ws.send_json({"action": "get_login_info", "echo": [number, i]})
        return [(await bot.frame())["echo"] for _ in range(20)]

    for number, echoes in enumerate(await asyncio.gather(*map(own, range(5), bots))):
        assert sorted(echoes) == [[number, i] for i in range(20)]
    for bot in bots:
        await bot.close()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (masked(0x81, b"\xff"), 1007),
        (masked(0x81, b"", size=1 << 40), 1009),
        (masked(0x83, b"x"), 1002),
        (masked(0xC1, b"x"), 1002),
        (masked(0x80, b"x"), 1002),
        (masked(0x09, b"x"), 1002),
        (masked(0x88, (1000).to_bytes(2, "big")), 1000),
    ],
    ids=["no-utf8", "huge", "reserved", "rsv", "continuation", "split-ping", "bye"],
)
async def test_a_frame_against_the_protocol_closes_only_its_socket(
    up: Up, frame: bytes, code: int
) -> None:
    """Source: RFC 6455, 5.2 to 5.5 and 7.4."""
    async with raw_socket(up.port, "/sandbox/demo/onebot/v11/api") as socket:
        socket.write(frame)
        assert await socket.close_code() == code
    assert await up.account.ok("get_status") == {"online": True, "good": True}
