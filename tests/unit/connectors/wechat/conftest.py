import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from tests.fakes.wechat_api import FakeWeChat
from tests.fakes.wechat_push import AES_KEY, Push, WeChatPlatform

from connectors.wechat import Config, Connector
from onebus.connector import WebhookReply, WebhookRequest
from onebus.ids import Account, parse_account
from onebus.testing.memory import Memory, MemoryKit

ACCOUNT = parse_account("wechat.my_mp")


class Replicas:
    """Connectors of one account on one Memory, and the platform that talks to them."""

    def __init__(self, http: aiohttp.ClientSession, api: FakeWeChat) -> None:
        self.http = http
        self.api = api
        self.memory = Memory()
        self.platform = WeChatPlatform(app_id=api.app_id)
        self.safe = WeChatPlatform(app_id=api.app_id, aes_key=AES_KEY)
        self.clock: Callable[[], float] = time.time

    def now_s(self) -> float:
        return self.clock()

    def config(self, **changed: Any) -> Config:
        values: dict[str, Any] = {
            "app_id": self.api.app_id,
            "app_secret": self.api.secret,
            "token": self.platform.token,
            "api_base": self.api.base,
            "nickname": "Shop",
            "passive_window_s": 0.05,
        }
        return Config(**(values | changed))

    def connector(self, account: Account = ACCOUNT, **changed: Any) -> Connector:
        kit = MemoryKit(self.memory, account, self.http, self.now_s)
        return Connector(self.config(**changed), kit)

    def safe_connector(self, **changed: Any) -> Connector:
        return self.connector(encoding_aes_key=AES_KEY, **changed)


async def post(connector: Connector, push: Push) -> WebhookReply:
    return await connector.webhook(WebhookRequest("POST", push.query, {}, push.body))


def changed(push: Push, **query: Any) -> Push:
    kept = {key: value for key, value in {**push.query, **query}.items() if value is not None}
    return Push(kept, push.body)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def api() -> AsyncIterator[FakeWeChat]:
    async with FakeWeChat().serve() as fake:
        fake.followers.follow("oUser")
        yield fake


@pytest.fixture
def replicas(http: aiohttp.ClientSession, api: FakeWeChat) -> Replicas:
    return Replicas(http, api)
