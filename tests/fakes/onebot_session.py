"""A session of OneBot V11 over a bus in memory, and a platform that does what a test tells it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
from msgspec import Raw
from msgspec.structs import replace

from frontends.onebot_v11.config import Config
from frontends.onebot_v11.feed import Feeds, Translation
from frontends.onebot_v11.session import Session
from frontends.onebot_v11.shared import Shared
from onebus import connector
from onebus.action import Action, Request, Response, SendMessage, action_name
from onebus.bucket import Entry
from onebus.codec import decode, encode
from onebus.connector import SelfInfo
from onebus.directory import AccountRecord, Directory
from onebus.errors import ActionError, error_data
from onebus.event import Event, MessageSent, User
from onebus.frontend import FrontendMedia
from onebus.ids import Account, AccountId, MessageId, Platform, UserId
from onebus.lease import Sessions
from onebus.segment import Forward, Segment
from onebus.subjects import account_key
from onebus.testing.memory import Memory, MemoryKit
from onebus.testing.memory_bus import MemoryBus, MemoryLog

ACCOUNT = Account(Platform("telegram"), AccountId("demo"))
ME = User(UserId("9"), "Bot")


class NoConfig(msgspec.Struct):
    """Nothing to be set."""


class Incapable(connector.Connector[NoConfig]):
    """A platform that can do nothing but be there."""

    Config = NoConfig

    async def open(self) -> SelfInfo:
        return SelfInfo(ME)


class OwnerBus(MemoryBus):
    """A bus with an owner of the account behind it.

    `answers`: action → its result, or the ActionError it ends with. What is not there is refused as
    a platform does that cannot do it; but `send_message` is sent and logged while `sends` is true.
    """

    def __init__(self, incapable: Incapable) -> None:
        super().__init__()
        self.asked: list[Action[Any]] = []
        self.answers: dict[str, Any] = {}
        self.sends = True
        self._incapable = incapable
        self._log = MemoryLog(self)

    async def request(
        self,
        subject: str,
        body: bytes,
        timeout_s: float,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Any:
        action = decode(body, Request).action
        try:
            result = await self._do(action)
            response = Response(result=Raw(encode(result)))
        except ActionError as error:
            response = Response(error=error_data(error))
        return SimpleNamespace(data=encode(response))

    async def _do(self, action: Any) -> Any:
        name = action_name(action)
        sends = self.sends and isinstance(action, SendMessage)
        if name not in self.answers and not sends:
            return await getattr(self._incapable, name)(action)
        self.asked.append(action)
        if name not in self.answers:
            return await self._send(action)
        if isinstance(answer := self.answers[name], ActionError):
            raise answer
        return answer

    async def _send(self, action: SendMessage) -> Any:
        event = MessageSent(
            account=ACCOUNT,
            time_ms=1_700_000_000_000,
            chat=action.chat,
            message=MessageId(f"s{len(self.asked)}"),
            sender=ME,
            segments=tuple(map(_numbered, action.segments)),
        )
        return {"message": event.message, "sequence": await self._log.append(event)}


def _numbered(segment: Segment) -> Segment:
    """The platform gives every forward an id."""
    return replace(segment, id="f1") if isinstance(segment, Forward) else segment


@asynccontextmanager
async def session_with(
    *events: Event, config: Config | None = None, capabilities: tuple[str, ...] = ("send:image",)
) -> AsyncIterator[tuple[Session, OwnerBus]]:
    """A session whose log holds these events, numbered from 1, and the bus below it."""
    async with aiohttp.ClientSession() as http:
        incapable = Incapable(NoConfig(), MemoryKit(Memory(), ACCOUNT, http))
        bus = OwnerBus(incapable)
        directory = Directory(bus, Sessions(bus))
        record = AccountRecord(ACCOUNT, ME, None, capabilities, "1", "s", online=True)
        directory._take(account_key(ACCOUNT), Entry("", encode(record), 1))
        shared = Shared(bus, directory, FrontendMedia())
        shared.log = log = MemoryLog(bus)
        for event in events:
            await log.append(event)
        feeds = Feeds(bus, log, lambda _: Translation(session.translate, session.translate_known))
        session = Session(shared, ACCOUNT, config or Config(), feeds)
        yield session, bus
