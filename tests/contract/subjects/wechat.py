"""WeChat: pushes signed by wechatpy, and the fake of its API that wechatpy's client passes too."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from aiohttp import web
from tests.fakes.wechat_api import FakeWeChat
from tests.fakes.wechat_push import WeChatPlatform

from connectors.wechat.decode import decode, parse_xml
from connectors.wechat.encode import Draft, custom_message, encode_segments
from connectors.wechat.template import template_message
from onebus.connector import WebhookRequest
from onebus.event import Chat, private_chat
from onebus.ids import UserId
from onebus.segment import Card, Segment
from onebus.testing import subject
from onebus.testing.play import Replica
from onebus.testing.subject import Golden

SECRET = "app-secret-canary"
TOKEN = "webhook-token-canary"
USERS = ("oAnn", "oBob")


def _message(draft: Draft) -> dict[str, Any]:
    if isinstance(draft, Card):
        return template_message("OPENID", draft)
    return custom_message("OPENID", draft)


class Subject(subject.Subject):
    canaries = (SECRET, TOKEN, "TOKEN-CANARY")
    replay_window_s = 300.0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._api = FakeWeChat(secret=SECRET)
        self.platform = WeChatPlatform(token=TOKEN)
        self._signed: dict[int, WebhookRequest] = {}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        self._api.on_send = self._answer
        for user in USERS:
            self._api.followers.follow(user)
        async with self._api.serve():
            yield

    def config(self) -> dict[str, Any]:
        return {
            "app_id": self._api.app_id,
            "app_secret": SECRET,
            "token": TOKEN,
            "api_base": self._api.base,
            "passive_window_s": 0.01,
            "request_timeout_s": 2,
        }

    @property
    def chats(self) -> Sequence[Chat]:
        return [private_chat(UserId(user)) for user in USERS]

    def decodes(self) -> Mapping[str, Golden]:
        def inbound(given: str) -> Any:
            pushed = decode(parse_xml(given.encode()), self.account)
            events = msgspec.to_builtins(pushed.events)
            for event in events:
                del event["account"], event["v"]
            return {"key": pushed.key, "replyable": pushed.replyable, "events": events}

        return {"inbound": inbound}

    def encodes(self) -> Mapping[str, Golden]:
        def outbound(given: Any) -> Any:
            encoded = encode_segments(msgspec.convert(given, tuple[Segment, ...]))
            messages = [_message(draft) for draft in encoded.drafts]
            return {"messages": messages, "degraded": encoded.degraded}

        return {"outbound": outbound}

    def signed(self, number: int) -> WebhookRequest:
        text = self.platform.text(f"update {number}", "oAnn", number + 1)
        return self._signed.setdefault(number, self.request(self.platform, text))

    def request(self, platform: WeChatPlatform, xml: str) -> WebhookRequest:
        push = platform.push(xml, self.now_s())
        return WebhookRequest("POST", push.query, {}, push.body)

    async def deliver_unknown(self, replica: Replica) -> None:
        request = self.request(self.platform, self.platform.event("teleported"))
        reply = await replica.connector.webhook(request)
        assert (reply.status, reply.body) == (200, b"success")

    def forgeries(self, number: int) -> Mapping[str, WebhookRequest]:
        true = self.request(self.platform, self.platform.text("forged", message=number + 1))
        others = {
            what: self.request(platform, platform.text("forged"))
            for what, platform in self.other_platforms().items()
        }

        def changed(**query: str | None) -> WebhookRequest:
            kept = {k: v for k, v in {**true.query, **query}.items() if v is not None}
            return WebhookRequest("POST", kept, {}, true.body)

        return {
            **others,
            "missing": changed(signature=None, msg_signature=None),
            "empty": changed(signature="", msg_signature=""),
            "wrong": changed(signature="0" * 40, msg_signature="0" * 40),
            "another time": changed(timestamp=str(int(self.now_s()) + 1)),
            "another nonce": changed(nonce="1"),
            "no time": changed(timestamp=None),
        }

    def other_platforms(self) -> Mapping[str, WeChatPlatform]:
        """Who else might sign a push."""
        return {"another account's": WeChatPlatform(token="other")}

    def unsafe_configs(self) -> Sequence[Mapping[str, Any]]:
        return [{"token": ""}, {"token": " "}, {"app_secret": ""}, {"encoding_aes_key": "short"}]

    def wrong_credentials(self) -> Mapping[str, Any]:
        return {"app_secret": "another-secret"}

    def _answer(self, user: str, text: str) -> web.Response | Literal[0] | None:
        refusal = self.refusal(user, text)
        if refusal is None:
            return None
        if refusal.status == 0:
            return 0
        wait = {"Retry-After": f"{refusal.retry_after_s:g}"} if refusal.status == 429 else {}
        return web.Response(status=refusal.status, headers=wait)
