"""Roles in processes of their own against an external nats-server."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.nats_server import NatsServer, nats_server
from tests.e2e.processes import BIN, Account, Running, spawn, write_config

from onebus import subjects
from onebus.bus import Bus
from onebus.event import group_chat, private_chat
from onebus.ids import Account as OnebusAccount
from onebus.ids import AccountId, ChatId, Platform, UserId
from onebus.log import Log

pytestmark = pytest.mark.asyncio(loop_scope="module")
DEMO = OnebusAccount(Platform("sandbox"), AccountId("demo"))


class Roles(SimpleNamespace):
    """The processes, by name, and how to reach them."""

    nats: NatsServer
    folder: Path
    http: aiohttp.ClientSession
    running: dict[str, Running]
    bases: dict[str, str]

    async def start(self, name: str, *arguments: str) -> None:
        """Start a role, or start it again on the same port."""
        config = self.folder / f"{name}.yaml"
        if not config.exists():
            write_config(config, bus=self.nats.settings)
        command = (str(BIN / "onebus"), *arguments, "-c", str(config))
        running = await spawn(name, *command)
        line = await running.says("listening on")
        await running.says("connected to NATS")
        self.running[name] = running
        self.bases[name] = f"http://127.0.0.1:{line.rpartition(':')[2]}"

    def account(self, frontend: str) -> Account:
        sandbox = self.bases["sandbox"]
        return Account(self.http, self.bases[frontend], sandbox_base=sandbox)

    async def count(self, where: str) -> int:
        """How many entries the log has at a filter."""
        async with Bus(self.nats.options, "test") as bus:
            await bus.wait_ready(10)
            return len(await Log(bus).read(where))


COMMANDS = {
    "sandbox": ("connector", "sandbox"),
    "http": ("frontend", "http"),
    "ws1": ("frontend", "ws"),
    "ws2": ("frontend", "ws"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def roles(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Roles]:
    folder = tmp_path_factory.mktemp("roles")
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server(folder / "nats"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        started = Roles(nats=nats, folder=folder, http=http, running={}, bases={})
        try:
            for name, arguments in COMMANDS.items():
                await started.start(name, *arguments)
            await started.account("http").online()
            yield started
        finally:
            codes = [await running.stop() for running in started.running.values()]
        assert codes == [0] * len(codes)
        assert all("Traceback" not in r.output for r in started.running.values())


async def test_two_frontends_agree_on_every_number(roles: Roles) -> None:
    bots = [await roles.account(name).ws() for name in ("ws1", "ws2")]
    http = roles.account("http")
    await http.say("which numbers?", user="alice", group="lobby")
    first, second = [await bot.event() for bot in bots]
    assert first == second
    read = await http.ok("get_msg", message_id=first["message_id"])
    assert read["raw_message"] == "which numbers?"
    assert (read["user_id"], read["group_id"]) == (first["user_id"], first["group_id"])
    answer = await bots[1].call("send_group_msg", group_id=first["group_id"], message="these")
    shown = await http.wait_for_messages(2, group="lobby")
    assert shown[1]["message"] == [{"type": "text", "data": {"text": "these"}}]
    again = await bots[0].call("get_msg", message_id=answer["data"]["message_id"])
    assert again["data"]["raw_message"] == "these"
    for bot in bots:
        await bot.close()


@pytest.mark.parametrize("name", ["http", "ws1"])
async def test_a_frontend_may_be_killed_and_comes_back_with_the_same_numbers(
    roles: Roles, name: str
) -> None:
    other = await roles.account("ws2").ws()
    await roles.account("http").say("before", user="bob", group="kept")
    before = await other.event()
    await roles.running[name].kill()
    await roles.start(name, *COMMANDS[name])
    await roles.account("http").online()
    back = await roles.account("ws1").ws()
    await roles.account("http").say("after", user="bob", group="kept")
    after, seen = await back.event(), await other.event()
    assert after == seen
    same = ("self_id", "user_id", "group_id")
    assert [after[key] for key in same] == [before[key] for key in same]
    read = await roles.account("http").ok("get_msg", message_id=before["message_id"])
    assert read["raw_message"] == "before"
    await back.close()
    await other.close()


async def test_a_killed_connector_loses_and_repeats_nothing(roles: Roles) -> None:
    account, bot = roles.account("http"), await roles.account("ws1").ws()
    first = await account.ok("send_private_msg", user_id="carol", message="1")
    await roles.running["sandbox"].kill()
    answer = await account.call("send_private_msg", user_id="carol", message="lost?")
    assert answer["retcode"] in (10006, 10009, 10010), answer
    await roles.start("sandbox", *COMMANDS["sandbox"])
    account = roles.account("http")
    await account.online(timeout_s=15)
    await account.say("2", user="carol")
    assert (await bot.event())["raw_message"] == "2"
    third = await account.ok("send_private_msg", user_id="carol", message="3")
    assert third["message_id"] != first["message_id"]
    texts = [m["message"][0]["data"]["text"] for m in await account.messages(user="carol")]
    assert texts == ["1", "2", "3"]
    assert await roles.count(subjects.messages_of(DEMO, private_chat(UserId("carol")))) == 3
    await bot.close()


async def test_a_second_connector_changes_nothing_and_takes_over(roles: Roles) -> None:
    bot = await roles.account("ws2").ws()
    await roles.start("sandbox2", "connector", "sandbox")
    second = Account(roles.http, roles.bases["http"], sandbox_base=roles.bases["sandbox2"])
    account = roles.account("http")
    for number in range(10):
        via = account if number % 2 else second
        await via.say(str(number), user="dave", group="both")
    events = [await bot.event() for _ in range(10)]
    assert [event["raw_message"] for event in events] == [str(n) for n in range(10)]
    assert len({event["message_id"] for event in events}) == 10
    sent = await account.ok("send_group_msg", group_id=events[0]["group_id"], message="answer")
    assert await roles.count(subjects.messages_of(DEMO, group_chat(ChatId("both")))) == 11
    seen = [await via.messages(group="both") for via in (account, second)]
    assert seen[0] == seen[1]
    # A clean stop hands the account over at once.
    assert await roles.running.pop("sandbox").stop() == 0
    roles.bases["sandbox"] = roles.bases["sandbox2"]
    async with asyncio.timeout(10):
        later = await account.ok("send_private_msg", user_id="dave", message="still here")
    assert later["message_id"] != sent["message_id"]
    await bot.close()


async def test_sigint_ends_a_role_cleanly(roles: Roles) -> None:
    await roles.start("ws3", "frontend", "ws")
    bot = await roles.account("ws3").ws()
    assert (await bot.frame())["meta_event_type"] == "lifecycle"
    roles.running["ws3"].signal(signal.SIGINT)
    message = await bot.ws.receive(timeout=10)
    assert message.type == aiohttp.WSMsgType.CLOSE
    assert message.data == aiohttp.WSCloseCode.GOING_AWAY
    assert await roles.running.pop("ws3").ended() == 0
