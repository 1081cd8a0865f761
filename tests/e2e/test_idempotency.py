"""Idempotency keys as a bot has them, through processes that die."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.nats_server import nats_server
from tests.e2e.processes import Account, free_port, onebus, write_config
from tests.fakes.wechat_api import FakeWeChat
from tests.fakes.wechat_push import AES_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Account]:
    """The sandbox, over HTTP and WebSocket."""
    folder = tmp_path_factory.mktemp("idempotency")
    port = free_port()
    path = write_config(
        folder / "config.yaml",
        port=port,
        general={
            "onebot.v11": {
                "use_ws": True,
                "enable_cors": True,
                "cors_origins": ["https://panel.example"],
            }
        },
    )
    async with (
        onebus("up", "-c", str(path), "--data-dir", str(folder / "data")) as up,
        aiohttp.ClientSession() as http,
    ):
        await up.says("HTTP  ")
        account = Account(http, f"http://127.0.0.1:{port}")
        await account.online()
        yield account


async def keyed(account: Account, action: str, key: str, **params: Any) -> dict[str, Any]:
    """A call with the key in the header."""
    url = f"{account.base}/onebot/v11/{action}"
    headers = {"Idempotency-Key": key}
    async with account.http.post(url, json=params, headers=headers) as response:
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer


async def said(account: Account, user: str) -> list[str]:
    messages = await account.messages(user=user)
    return [message["message"][0]["data"]["text"] for message in messages]


async def test_the_same_key_sends_one_message_however_it_comes(demo: Account) -> None:
    bot = await demo.ws()
    call = {"user_id": "alice", "message": "once"}
    answers = await asyncio.gather(
        *(keyed(demo, "send_private_msg", "k-1", **call) for _ in range(5)),
        demo.call("send_private_msg", **call, idempotency_key="k-1"),
        bot.call("send_private_msg", **call, idempotency_key="k-1"),
    )
    assert {answer["status"] for answer in answers} == {"ok"}
    assert len({answer["data"]["message_id"] for answer in answers}) == 1
    accepted = await demo.call("send_private_msg_async", **call, idempotency_key="k-1")
    assert accepted["status"] == "async"
    await demo.ok("send_private_msg", user_id="alice", message="and then", idempotency_key="k-2")
    assert await said(demo, "alice") == ["once", "and then"]
    await bot.close()


async def test_a_key_is_for_one_content_and_one_action(demo: Account) -> None:
    sent = await keyed(demo, "send_private_msg", "k-3", user_id="bob", message="this")
    assert sent["status"] == "ok"
    other = await keyed(demo, "send_private_msg", "k-3", user_id="bob", message="that")
    assert other["retcode"] == 1400
    assert "used for another call" in other["message"]
    message_id = sent["data"]["message_id"]
    recalled = await keyed(demo, "delete_msg", "k-3", message_id=message_id)
    assert recalled["status"] == "ok"
    assert await keyed(demo, "delete_msg", "k-3", message_id=message_id) == recalled
    assert (await keyed(demo, "get_login_info", "k-3"))["status"] == "ok"


async def test_what_is_no_key_is_refused(demo: Account) -> None:
    call = {"user_id": "carol", "message": "no"}
    for wrong in ("with space", "ü", "x" * 129, ["k"], {"k": 1}):
        answer = await demo.call("send_private_msg", **call, idempotency_key=wrong)
        assert answer["retcode"] == 1400, wrong
    both = await keyed(demo, "send_private_msg", "k-4", **call, idempotency_key="k-5")
    assert both["retcode"] == 1400
    both = await keyed(demo, "send_private_msg", "k-4", **call, idempotency_key=["k-4"])
    assert both["retcode"] == 1400
    limited = await keyed(demo, "send_private_msg_rate_limited", "k-4", **call)
    assert limited["retcode"] == 1400
    assert "_rate_limited" in limited["message"]
    assert await said(demo, "carol") == []
    for none in ("", None):
        await demo.ok("send_private_msg", **call, idempotency_key=none)
    assert await said(demo, "carol") == ["no", "no"]


async def test_a_quick_operation_hands_its_key_on(demo: Account) -> None:
    await demo.say("who is there?", user="dave")
    context = {"post_type": "message", "message_type": "private", "user_id": "dave"}
    operation = {"reply": "me"}
    for _ in range(2):
        await demo.ok(
            ".handle_quick_operation", context=context, operation=operation, idempotency_key="k-6"
        )
    assert await said(demo, "dave") == ["who is there?", "me"]


async def test_a_page_may_send_the_header(demo: Account) -> None:
    url = f"{demo.base}/onebot/v11/send_private_msg"
    headers = {
        "Origin": "https://panel.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "idempotency-key",
    }
    async with demo.http.options(url, headers=headers) as response:
        assert response.status == 204
        assert "Idempotency-Key" in response.headers["Access-Control-Allow-Headers"]


async def test_what_a_dead_owner_had_begun_is_unknown_to_its_successor_and_not_repeated(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(FakeWeChat().serve())
        api.followers.follow("oUser")
        nats = await stack.enter_async_context(nats_server(tmp_path / "nats"))
        http = await stack.enter_async_context(aiohttp.ClientSession())

        def config(name: str) -> tuple[str, str]:
            port = free_port()
            account = {
                "app_id": api.app_id,
                "app_secret": api.secret,
                "token": "webhook-token-canary",
                "encoding_aes_key": AES_KEY,
                "api_base": api.base,
            }
            path = tmp_path / f"{name}.yaml"
            write_config(path, bus=nats.settings, port=port, wechat__my_mp=account)
            return str(path), f"http://127.0.0.1:{port}"

        path, base = config("frontend")
        frontend = await stack.enter_async_context(onebus("frontend", "http", "-c", path))
        await frontend.says("listening on")
        account = Account(http, base, "my_mp", platform="wechat")
        call = {"user_id": "oUser", "message": "once at most"}
        async with onebus("connector", "wechat", "-c", config("owner")[0]) as owner:
            await account.online()
            done = await keyed(account, "send_private_msg", "done", **call)
            assert done["status"] == "ok"
            api.hang.clear()
            begun = asyncio.ensure_future(keyed(account, "send_private_msg", "begun", **call))
            await api.wait_for_sent(2)  # the platform has it, and has not answered
            await owner.kill()
        begun.cancel()  # its bot does not wait either
        api.hang.set()
        async with onebus("connector", "wechat", "-c", config("successor")[0]) as successor:
            await successor.says("online as")
            await account.online()
            for _ in range(2):
                again = await keyed(account, "send_private_msg", "begun", **call)
                assert again["retcode"] == 10006, again
            assert await keyed(account, "send_private_msg", "done", **call) == done
            assert len(api.sent) == 2
            other = await keyed(account, "send_private_msg", "new", **call)
            assert other["status"] == "ok"
            assert len(api.sent) == 3
