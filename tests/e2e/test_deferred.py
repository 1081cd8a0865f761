"""`_async` and `_rate_limited`, with services that die while calls are queued."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.e2e.nats_server import NatsServer, nats_server
from tests.e2e.processes import Account, Running, free_port, onebus, write_config

from onebus import subjects
from onebus.bus import Bus
from onebus.event import MessageSent, group_chat
from onebus.ids import Account as NativeAccount
from onebus.ids import AccountId, ChatId, Platform
from onebus.log import Log
from onebus.segment import Text

DEMO = NativeAccount(Platform("sandbox"), AccountId("demo"))
LOBBY = group_chat(ChatId("lobby"))
CALLS = 30
INTERVAL_MS = 100
ACCEPTED = {"status": "async", "retcode": 1, "data": None}
CUT_SHORT = "was cut short when its owner ended"


class Roles:
    """A server, and roles as processes of their own."""

    def __init__(self, nats: NatsServer, folder: Path) -> None:
        self.nats = nats
        self.folder = folder

    def config(self, name: str) -> tuple[str, str]:
        """A configuration file, and the address that it gives."""
        port = free_port()
        onebot = {"use_http": True, "use_ws": True, "rate_limit_interval": INTERVAL_MS}
        path = write_config(
            self.folder / f"{name}.yaml",
            port=port,
            bus=self.nats.settings,
            general={"onebot.v11": onebot},
            sandbox__lenient={"onebot.v11": {"async_as_ok": True}},
        )
        return str(path), f"http://127.0.0.1:{port}"

    @asynccontextmanager
    async def connector(self, name: str = "connector") -> AsyncIterator[tuple[Running, str]]:
        path, base = self.config(name)
        async with onebus("connector", "sandbox", "-c", path) as process:
            await process.says("listening on")
            yield process, base

    @asynccontextmanager
    async def frontend(self) -> AsyncIterator[tuple[Running, str]]:
        path, base = self.config("frontend")
        async with onebus("frontend", "http", "ws", "-c", path) as process:
            await process.says("listening on")
            yield process, base

    async def sent(self, count: int, *, least_s: float = 40) -> list[MessageSent]:
        """What the account wrote into the lobby, once it is as much."""
        async with Bus(self.nats.options, "test") as bus:
            await bus.wait_ready(10)
            where = subjects.messages_of(DEMO, LOBBY)
            async with asyncio.timeout(least_s):
                while True:
                    events = [stored.event for stored in await Log(bus).read(where)]
                    found = [event for event in events if isinstance(event, MessageSent)]
                    if len(found) >= count:
                        return found
                    await asyncio.sleep(0.1)

    async def all_done(self) -> None:
        """Wait until no action waits for its turn."""
        async with Bus(self.nats.options, "test") as bus:
            await bus.wait_ready(10)
            stream = f"{bus.prefix}_deferred"
            async with asyncio.timeout(40):
                state = (await bus.api(f"STREAM.INFO.{stream}"))["state"]
                for sequence in range(state["first_seq"], state["last_seq"] + 1):
                    while (entry := await bus.at(stream, sequence)) and entry.body:
                        await asyncio.sleep(0.1)


@pytest.fixture
async def roles(tmp_path: Path) -> AsyncIterator[Roles]:
    async with nats_server(tmp_path / "nats") as server:
        yield Roles(server, tmp_path)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def queue_calls(account: Account, count: int = CALLS) -> None:
    for number in range(count):
        answer = await account.call(
            "send_group_msg_rate_limited", group_id="lobby", message=f"call {number}"
        )
        assert answer.items() >= ACCEPTED.items(), answer


def numbers(sent: list[MessageSent]) -> list[int]:
    texts = [event.segments[0] for event in sent]
    return [int(text.text.removeprefix("call ")) for text in texts if isinstance(text, Text)]


@pytest.mark.proves(81)
async def test_a_frontend_killed_after_its_answers_loses_nothing(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    async with roles.connector():
        async with roles.frontend() as (frontend, base):
            account = Account(http, base)
            await account.online()
            await queue_calls(account)
            await frontend.kill()
        sent = await roles.sent(CALLS)
        await roles.all_done()
    assert numbers(sent) == list(range(CALLS))
    # The interval is between two starts, and a message's own time a little later than its start.
    assert sent[-1].time_ms - sent[0].time_ms >= (CALLS - 2) * INTERVAL_MS
    assert len(await roles.sent(CALLS)) == CALLS


async def test_a_connector_killed_midway_loses_and_doubles_nothing(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    async with roles.frontend() as (_, base):
        account = Account(http, base)
        async with roles.connector() as (connector, _):
            await account.online()
            await queue_calls(account)
            await roles.sent(8)
            await connector.kill()
        before = numbers(await roles.sent(8))
        async with roles.connector("successor") as (successor, _):
            await roles.all_done()
            sent = numbers(await roles.sent(CALLS - 1))
            reported = successor.output.count(CUT_SHORT)
    assert before == list(range(len(before)))
    assert len(before) < CALLS
    assert sent == sorted(set(sent))
    missing = set(range(CALLS)) - set(sent)
    assert len(missing) <= reported <= 1
    assert missing <= {len(before)}  # only the one that was being started


async def test_a_connector_that_is_stopped_hands_the_queue_over(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    async with roles.frontend() as (_, base), roles.connector("second") as (second, _):
        account = Account(http, base)
        await account.online()
        async with roles.connector("first") as (first, _):
            await queue_calls(account)
            await roles.sent(5)
            second.signal(signal.SIGTERM)
            assert await second.ended() == 0
            await roles.all_done()
            sent = await roles.sent(CALLS)
            assert CUT_SHORT not in first.output
    assert numbers(sent) == list(range(CALLS))


async def test_calls_wait_for_an_account_that_is_offline(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    async with roles.frontend() as (_, base):
        account = Account(http, base)
        async with roles.connector():
            await account.online()
        await queue_calls(account, 3)
        async with roles.connector("successor"):
            sent = await roles.sent(3)
    assert numbers(sent) == [0, 1, 2]


async def test_answers(roles: Roles, http: aiohttp.ClientSession) -> None:
    async with roles.frontend() as (_, base), roles.connector():
        account, lenient = Account(http, base), Account(http, base, "lenient")
        await account.online()
        await lenient.online()
        good: dict[str, Any] = {"group_id": "lobby", "message": "hi"}
        for form in ("_async", "_rate_limited"):
            for name, params in {
                "send_msg": good,
                "get_login_info": {},
                "can_send_image": {},
            }.items():
                assert (await account.call(name + form, **params)).items() >= ACCEPTED.items()
            answer = await lenient.call(f"send_msg{form}", **good)
            assert (answer["status"], answer["retcode"], answer["data"]) == ("ok", 0, None)
            for name in ("clean_data_dir", "send_msg_async", "nonsense"):
                answer = await account.call(name + form)
                assert (answer["status"], answer["retcode"]) == ("failed", 1404)
        # What runs later can only be accepted; what is kept is looked at first.
        assert (await account.call("send_msg_async")).items() >= ACCEPTED.items()
        answer = await account.call("send_msg_rate_limited", group_id="lobby")
        assert (answer["status"], answer["retcode"], answer["data"]) == ("failed", 1400, None)
        answer = await account.call("delete_msg_rate_limited", message_id=12345)
        assert (answer["status"], answer["retcode"]) == ("failed", 10002)


async def test_quick_operations_have_both_forms(roles: Roles, http: aiohttp.ClientSession) -> None:
    async with roles.frontend() as (_, base), roles.connector() as (connector, sandbox):
        account = Account(http, base, sandbox_base=sandbox)
        await account.online()
        bot = await account.ws("/event")
        await bot.frame()
        for number, form in enumerate(("_async", "_rate_limited")):
            await account.say("hello", group="lobby")
            event = await bot.event()
            operation = {"reply": f"call {number}", "at_sender": False, "delete": True}
            answer = await account.call(
                f".handle_quick_operation{form}", context=event, operation=operation
            )
            assert answer.items() >= ACCEPTED.items(), answer
            assert numbers(await roles.sent(number + 1)) == list(range(number + 1))
        # The bot is no admin there; so the recall had its turn too, after the reply.
        await connector.says("deferred recall_message: forbidden")
        await bot.close()


async def test_sends_keep_their_order_whoever_waits_for_them(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    async with roles.frontend() as (_, base), roles.connector():
        account = Account(http, base)
        await account.online()
        bot = await account.ws("/api")
        for number in range(40):
            form = "_async" if number % 2 else ""
            params = {"group_id": "lobby", "message": f"call {number}"}
            await bot.ws.send_json({"action": f"send_group_msg{form}", "params": params})
        sent = await roles.sent(40)
        await bot.close()
    assert numbers(sent) == list(range(40))


async def test_a_failed_async_call_is_logged_without_its_message(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    async with roles.frontend() as (frontend, base), roles.connector():
        account = Account(http, base)
        await account.online()
        await account.call("send_msg_async", message_type="whispered canary")
        line = await frontend.says("send_msg_async failed: 1400")
    assert " info " in line
    assert "canary" not in line


async def test_a_stopping_frontend_finishes_what_nobody_waits_for(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    async with roles.connector(), roles.frontend() as (frontend, base):
        account = Account(http, base)
        await account.online()
        for number in range(20):
            await account.call("send_group_msg_async", group_id="lobby", message=f"call {number}")
        frontend.signal(signal.SIGTERM)
        assert await frontend.ended() == 0
        assert numbers(await roles.sent(20)) == list(range(20))


async def test_without_nats_a_call_is_not_accepted(
    roles: Roles, http: aiohttp.ClientSession
) -> None:
    async with roles.frontend() as (frontend, base), roles.connector():
        account = Account(http, base)
        await account.online()
        await roles.nats.kill()
        await frontend.says("lost NATS")
        async with asyncio.timeout(4):
            answer = await account.call(
                "send_group_msg_rate_limited", group_id="lobby", message="call 0"
            )
        assert (answer["status"], answer["retcode"], answer["data"]) == ("failed", 10008, None)
