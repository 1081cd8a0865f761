"""WeChat's side of a webhook: pushes signed and sealed, and replies opened, all by wechatpy."""

import itertools
import time
from collections.abc import Mapping
from typing import Any

import xmltodict
from msgspec import Struct
from wechatpy.crypto import WeChatCrypto
from wechatpy.replies import BaseReply, deserialize_reply
from wechatpy.utils import WeChatSigner

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


class Push(Struct, frozen=True):
    """One request of the platform."""

    query: Mapping[str, str]
    body: bytes


class WeChatPlatform:
    """Makes the pushes of one account and opens its replies; plaintext without an AES key."""

    def __init__(
        self,
        token: str = "webhook-token-canary",
        app_id: str = "wxtestapp",
        aes_key: str = "",
        us: str = "gh_0123456789ab",
    ) -> None:
        self.token = token
        self.us = us
        self._crypto = WeChatCrypto(token, aes_key, app_id) if aes_key else None
        self._nonces = itertools.count(1_000_000)

    def text(self, content: str, user: str = "oUser", message: int = 1, **more: Any) -> str:
        """The XML of a text message."""
        return self.xml("text", user, MsgId=message, Content=content, **more)

    def event(self, name: str, user: str = "oUser", **more: Any) -> str:
        """The XML of an event."""
        return self.xml("event", user, Event=name, **more)

    def xml(self, kind: str, user: str, **fields: Any) -> str:
        """The XML of any push."""
        common = {
            "ToUserName": self.us,
            "FromUserName": user,
            "CreateTime": int(time.time()),
            "MsgType": kind,
        }
        return str(xmltodict.unparse({"xml": common | fields}, full_document=False))

    def push(self, xml: str | bytes, at_s: float | None = None) -> Push:
        """Sign a body as the account's mode wants it, at this time or now."""
        timestamp, nonce = str(int(time.time() if at_s is None else at_s)), str(next(self._nonces))
        query = {"timestamp": timestamp, "nonce": nonce, "openid": "oUser"}
        query["signature"] = self.sign(timestamp, nonce)
        body = xml.encode() if isinstance(xml, str) else xml
        if self._crypto is not None:
            sealed = self._crypto.encrypt_message(body.decode(), nonce, timestamp)
            parts = xmltodict.parse(sealed)["xml"]
            query |= {"encrypt_type": "aes", "msg_signature": parts["MsgSignature"]}
            outer = {"xml": {"ToUserName": self.us, "Encrypt": parts["Encrypt"]}}
            body = xmltodict.unparse(outer, full_document=False).encode()
        return Push(query, body)

    def sign(self, *parts: str) -> str:
        """The signature over the token and these parts."""
        signer = WeChatSigner()
        signer.add_data(self.token, *parts)
        return str(signer.signature)

    def open_reply(self, body: bytes) -> BaseReply:
        """The reply in a webhook's response; its signature is checked in safe mode."""
        xml = body.decode()
        if self._crypto is not None:
            outer = xmltodict.parse(xml)["xml"]
            xml = self._crypto.decrypt_message(
                xml, outer["MsgSignature"], outer["TimeStamp"], outer["Nonce"]
            )
        return deserialize_reply(xml)
