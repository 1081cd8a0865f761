"""WeChat in safe mode keeps the contract too: pushes are sealed, and signed over what is sealed."""

from collections.abc import Mapping
from typing import Any

from tests.contract.subjects import wechat
from tests.fakes.wechat_push import AES_KEY, WeChatPlatform

from onebus.connector import WebhookRequest
from onebus.testing.contract import ConnectorContract


class SafeSubject(wechat.Subject):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.platform = WeChatPlatform(token=wechat.TOKEN, aes_key=AES_KEY)

    def config(self) -> dict[str, Any]:
        return super().config() | {"encoding_aes_key": AES_KEY}

    def other_platforms(self) -> Mapping[str, WeChatPlatform]:
        plain = WeChatPlatform(token=wechat.TOKEN)
        key = AES_KEY[::-1]
        return {
            "another account's": WeChatPlatform(token="other", aes_key=AES_KEY),
            "another app's": WeChatPlatform(token=wechat.TOKEN, aes_key=AES_KEY, app_id="wxother"),
            "sealed with another key": WeChatPlatform(token=wechat.TOKEN, aes_key=key),
            "not sealed": plain,
        }

    def forgeries(self, number: int) -> Mapping[str, WebhookRequest]:
        old = self.request(self.platform, self.platform.text("old"))
        fresh = self.request(self.platform, self.platform.text("fresh"))
        mixed = WebhookRequest("POST", fresh.query, {}, old.body)
        return {**super().forgeries(number), "another body": mixed}


class TestWechatSafe(ConnectorContract):
    platform = "wechat"
    subject = SafeSubject
