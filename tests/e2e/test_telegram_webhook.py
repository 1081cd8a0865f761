"""Telegram by webhook, end to end: it calls one replica, which dies amid that and comes back."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from tests.e2e.nats_server import nats_server
from tests.e2e.processes import Account, free_port, onebus, write_config
from tests.fakes.telegram_api import TOKEN, FakeTelegram

SECRET = "webhook-secret-canary"
ALICE, GROUP = 7001, -1001234567890
COUNT = 40


async def test_what_telegram_calls_us_with_arrives_once_whoever_dies(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(FakeTelegram().serve())
        api.world.user(ALICE, "Alice")
        api.world.group(GROUP, "Tea party")
        nats = await stack.enter_async_context(nats_server(tmp_path / "nats"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        called = free_port()

        def config(name: str, port: int) -> str:
            settings = {
                "token": TOKEN,
                "base_url": api.base,
                "mode": "webhook",
                "webhook_secret": SECRET,
                "group_messages_per_min": 6000,
            }
            # The address is what `public_url` says, and the same at every replica.
            shared = {"bus": nats.settings, "public_url": f"http://127.0.0.1:{called}"}
            path = tmp_path / f"{name}.yaml"
            return str(write_config(path, telegram__my_bot=settings, port=port, **shared))

        target = ("connector", "telegram", "-c", config("called", called))
        first = await stack.enter_async_context(onebus(*target))
        await first.says("listening on")
        await first.says("online as Onebus")
        assert api.webhook["url"] == f"http://127.0.0.1:{called}/telegram/my_bot/webhook"
        other = ("connector", "telegram", "-c", config("other", 0))
        second = await stack.enter_async_context(onebus(*other))
        frontends = ("frontend", "http", "ws", "-c", config("frontends", 0))
        line = await (await stack.enter_async_context(onebus(*frontends))).says("listening on")
        base = f"http://127.0.0.1:{line.rpartition(':')[2]}"
        account = Account(http, base, "my_bot", platform="telegram")
        await account.online()
        bot = await account.ws()
        texts = [f"line {number}" for number in range(COUNT)]
        for text in texts[: COUNT // 2]:
            await api.say(GROUP, ALICE, text)
        got = [(await bot.event())["raw_message"] for _ in range(5)]
        await first.kill()
        for text in texts[COUNT // 2 :]:
            await api.say(GROUP, ALICE, text)
        await api.delivered_in_vain()
        third = await stack.enter_async_context(onebus(*target))
        while len(got) < COUNT:
            got.append((await bot.event(timeout_s=40))["raw_message"])
        assert got == texts
        await api.wait_confirmed()
        # Until somebody has the account again, a call says that it is offline: nothing was sent.
        say = {"group_id": str(GROUP), "message": "still here"}
        async with asyncio.timeout(40):
            while (answer := await account.call("send_group_msg", **say))["retcode"] == 10009:
                await asyncio.sleep(0.2)
        assert answer["retcode"] == 0, answer
        assert [one["text"] for one in api.sent] == ["still here"]
        forged = f"http://127.0.0.1:{called}/telegram/my_bot/webhook"
        async with http.post(forged, json={"update_id": 1}) as response:
            assert response.status == 401
        await bot.close()
        for running in (first, second, third):
            assert TOKEN not in running.output
            assert SECRET not in running.output
            assert "Traceback" not in running.output
