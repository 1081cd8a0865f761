"""Telegram keeps the contract when it is called by webhook, too."""

from collections.abc import Mapping
from typing import Any

from tests.contract.subjects import telegram

from onebus.connector import WebhookRequest
from onebus.testing import subject
from onebus.testing.contract import ConnectorContract
from onebus.testing.play import Replica


class WebhookSubject(telegram.Subject):
    """Each update by a call of its own."""

    def config(self) -> dict[str, Any]:
        return super().config() | {"mode": "webhook", "webhook_url": "https://bots.example/hook"}

    async def deliver(self, replica: Replica, number: int) -> None:
        await subject.Subject.deliver(self, replica, number)

    async def deliver_unknown(self, replica: Replica) -> None:
        headers: Mapping[str, str] = {telegram.HEADER: telegram.SECRET}
        body = b'{"update_id": 1, "teleportation": {}}'
        reply = await replica.connector.webhook(WebhookRequest("POST", {}, headers, body))
        assert reply.status == 200


class TestTelegramByWebhook(ConnectorContract):
    platform = "telegram"
    subject = WebhookSubject
