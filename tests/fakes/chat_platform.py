"""A platform that does at once whatever a test wants: `chatter`, over a real host and bus."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
from msgspec import Struct
from tests.fakes.outage import eventually

from onebus import action as act
from onebus import subjects
from onebus.action import Request, Response, Sent
from onebus.bus import Bus
from onebus.caller import Caller
from onebus.codec import decode, encode
from onebus.connector import Connector, SelfInfo
from onebus.directory import Directory
from onebus.embedded import EmbeddedNats
from onebus.event import User, group_chat
from onebus.host import ConnectorHost
from onebus.ids import ChatId, MessageId, UserId, parse_account
from onebus.kit import Outside
from onebus.lease import Sessions
from onebus.segment import Text, plain_text
from onebus.service import Role

ACCOUNT = parse_account("chatter.one")


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to configure."""


class Behaviour:
    """What the platform does; shared by all connectors of one test."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.opened = 0
        self.closed = 0
        self.on_open: Callable[[], Awaitable[None]] = _nothing
        self.on_run: Callable[[], Awaitable[None]] = asyncio.Event().wait  # type: ignore[assignment]
        self.on_send: Callable[[act.SendMessage], Awaitable[Any]] = _accept


async def _nothing() -> None:
    pass


async def _accept(action: act.SendMessage) -> Sent:
    return Sent(MessageId(f"m-{plain_text(action.segments)}"), 7)


def connector(behaviour: Behaviour) -> type[Connector[Config]]:
    """A connector class whose objects behave like this."""

    class Chatter(Connector[Config]):
        Config = Config

        async def open(self) -> SelfInfo:
            behaviour.opened += 1
            await behaviour.on_open()
            return SelfInfo(User(UserId("bot"), "Bot"))

        async def run(self) -> None:
            await behaviour.on_run()

        async def close(self) -> None:
            behaviour.closed += 1

        async def send_message(self, action: act.SendMessage) -> Sent:
            result: Sent = await behaviour.on_send(action)
            behaviour.sent.append(plain_text(action.segments))
            return result

        async def get_friends(self, _: act.GetFriends) -> tuple[User, ...]:
            return (User(UserId("a"), "A"), User(UserId("b"), "B"))

    return Chatter


class Replica:
    """One process of the connector."""

    def __init__(
        self, bus: Bus, kind: type[Connector[Config]], http: aiohttp.ClientSession
    ) -> None:
        self.bus = bus
        self.sessions = Sessions(bus)
        self.host = ConnectorHost(bus, self.sessions, kind, {ACCOUNT: Config()}, Outside(http))
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self.tasks = [asyncio.ensure_future(r.run()) for r in (self.sessions, self.host)]

    async def kill(self) -> None:
        for task in self.tasks:
            task.cancel()
        results = await asyncio.gather(*self.tasks, return_exceptions=True)
        faults = [r for r in results if r and not isinstance(r, asyncio.CancelledError)]
        self.tasks = []
        assert not faults, faults


class Stage:
    """A frontend's side of it: the directory and a caller, and as many replicas as wanted."""

    def __init__(self, nats: EmbeddedNats, stack: AsyncExitStack) -> None:
        self.nats = nats
        self._stack = stack
        self.behaviour = Behaviour()

    async def open(self) -> None:
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession())
        self.bus = await self._connection("frontend")
        self.sessions = Sessions(self.bus)
        self.directory = Directory(self.bus, self.sessions)
        self.caller = Caller(self.bus, self.directory)
        for role in (self.sessions, self.directory):
            self._background(role)

    async def replica(self, kind: type[Connector[Config]] | None = None) -> Replica:
        bus = await self._connection("connector")
        made = Replica(bus, kind or connector(self.behaviour), self.http)
        self._stack.push_async_callback(made.kill)
        made.start()
        return made

    async def _connection(self, name: str) -> Bus:
        bus = await self._stack.enter_async_context(Bus(self.nats.options(), name))
        await bus.wait_ready(5)
        return bus

    def _background(self, role: Role) -> None:
        task = asyncio.ensure_future(role.run())

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(end)


@asynccontextmanager
async def stage(nats: EmbeddedNats) -> AsyncIterator[Stage]:
    """Everything but the replicas."""
    async with AsyncExitStack() as stack:
        made = Stage(nats, stack)
        await made.open()
        yield made


def said(text: str, chat: str = "lobby") -> act.SendMessage:
    """The action that says something in a group."""
    return act.SendMessage(group_chat(ChatId(chat)), (Text(text),))


async def serving(on: Stage) -> None:
    """Wait until the account is online."""
    await eventually(lambda: on.directory.online(ACCOUNT), 10)


async def raw(on: Stage, request: Request | bytes) -> Response:
    """What the owner answers, without a caller in between."""
    body = request if isinstance(request, bytes) else encode(request)
    reply = await on.bus.request(f"onebus.{subjects.actions(ACCOUNT)}", body, 5)
    return decode(reply.data, Response)


def request(action: act.AnyAction, left_s: float = 10) -> Request:
    """As a caller puts it on the bus."""
    return Request(account=ACCOUNT, deadline_ms=int((time.time() + left_s) * 1000), action=action)
