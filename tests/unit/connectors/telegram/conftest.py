"""A fake Telegram, and replicas of the connector on one installation in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from tests.fakes.telegram_api import FakeTelegram

from connectors.telegram import Config, Connector
from onebus.ids import Account, AccountId, Platform
from onebus.testing.memory import Memory, MemoryKit

ACCOUNT = Account(Platform("telegram"), AccountId("demo"))
ALICE, BOB, GROUP, ADMINED = 7001, 7002, -1001234567890, -1001111111111
SECRET = "webhook-secret-canary"


class Replicas:
    """What all replicas share."""

    def __init__(self, api: FakeTelegram, http: aiohttp.ClientSession) -> None:
        self.api = api
        self.http = http
        self.memory = Memory()
        self.later_s = 0.0

    def connector(self, **changes: Any) -> Connector:
        settings: dict[str, Any] = {
            "token": self.api.token,
            "base_url": self.api.base,
            "poll_timeout_s": 5,
            "album_window_s": 0.3,
            "webhook_secret": SECRET,
            "webhook_url": "http://127.0.0.1:9/telegram/demo/webhook",
            "request_timeout_s": 5,
        }
        kit = MemoryKit(self.memory, ACCOUNT, self.http, self.now_s)
        return Connector(msgspec.convert(settings | changes, Config), kit)

    def now_s(self) -> float:
        return 1_767_300_000 + self.later_s

    @asynccontextmanager
    async def running(self, **changes: Any) -> AsyncIterator[Connector]:
        """A replica that owns the account, and receives."""
        connector = self.connector(**changes)
        await connector.open()
        receiving = asyncio.ensure_future(connector.run())
        try:
            yield connector
        finally:
            receiving.cancel()
            ended = await asyncio.gather(receiving, return_exceptions=True)
            await connector.kit.save_cursors()  # type: ignore[attr-defined]
            assert isinstance(ended[0], asyncio.CancelledError), ended


@pytest.fixture
async def api() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram().serve() as fake:
        fake.world.user(ALICE, "Alice", username="alice")
        fake.world.user(BOB, "Bob")
        for group, title in ((GROUP, "Tea party"), (ADMINED, "Court")):
            fake.world.group(group, title)
            fake.world.set_member(group, ALICE, "creator", is_anonymous=False)
            fake.world.set_member(group, BOB, "member")
        rights = dict.fromkeys(
            (
                "can_restrict_members",
                "can_delete_messages",
                "can_pin_messages",
                "can_manage_tags",
                "can_change_info",
                "can_invite_users",
                "can_promote_members",
                "can_manage_chat",
            ),
            True,
        )
        fake.world.set_member(ADMINED, fake.world.bot, "administrator", **rights)
        yield fake


@pytest.fixture
async def replicas(api: FakeTelegram) -> AsyncIterator[Replicas]:
    async with aiohttp.ClientSession() as http:
        yield Replicas(api, http)
