"""The platform's pushes: verify, decode, append, and answer with the bot's reply if it is quick.

Any replica serves any push. The platform waits 5 s, then tries again, three times in all; a retry
finds the reply that was given before, or waits for the one that is still to come.
"""

import asyncio
import hmac
import secrets
from collections.abc import Mapping
from hashlib import sha256

from connectors.wechat.config import Config, aes_key
from connectors.wechat.crypto import NotAuthentic, check_signature, decrypt, encrypt, sign
from connectors.wechat.decode import BadXml, Inbound, decode, parse_xml
from connectors.wechat.encode import sealed_reply, text_reply
from onebus.connector import Kit, WebhookReply, WebhookRequest
from onebus.errors import BusError, RateLimited
from onebus.ids import MessageId
from onebus.passive import Held, Offer
from onebus.segment import plain_text

MAX_BODY_BYTES = 256 * 1024
MAX_ECHO = 1024
MAX_SKEW_S = 300
TIMESTAMP_CHARS = 10
APPEND_TIMEOUT_S = 4.0
MIN_APPEND_TIMEOUT_S = 0.25

SUCCESS = WebhookReply(body=b"success")
"""The answer that makes the platform neither complain to the user nor try again."""


class Webhook:
    """The pushes of one account at one replica."""

    def __init__(self, config: Config, kit: Kit) -> None:
        self._config = config
        self._kit = kit
        self._key = aes_key(config.encoding_aes_key)

    async def handle(self, request: WebhookRequest) -> WebhookReply:
        """Answer one request. The log has the event before the platform gets a 200."""
        ends_at = asyncio.get_running_loop().time() + self._config.passive_window_s
        if len(request.body) > MAX_BODY_BYTES:
            return _refusal(413, "body too large")
        try:
            if request.method == "GET":
                return self._echo(request.query)
            inbound = await self._open(request)
            return await self._receive(inbound, ends_at)
        except NotAuthentic as error:
            self._kit.logger.info("refused a push: %s", error)
            return _refusal(401, "not authentic")
        except BadXml as error:
            self._kit.logger.warning("refused a push: %s", error)
            return _refusal(400, str(error))
        except (BusError, RateLimited) as error:
            self._kit.logger.warning("no answer to a push, so that it comes again: %s", error)
            return _refusal(503, "try again")

    def _echo(self, query: Mapping[str, str]) -> WebhookReply:
        """Prove to the platform that the address is ours; safe mode does not change this.

        Source: https://developers.weixin.qq.com/doc/offiaccount/Getting_Started/message-push.html
        """
        self._check(query, "signature")
        echo = query.get("echostr", "")
        if not 0 < len(echo) <= MAX_ECHO:
            return _refusal(400, "echostr is missing or too long")
        return WebhookReply(body=echo.encode())

    def _check(self, query: Mapping[str, str], name: str, *parts: str) -> None:
        """Check a signature and the age of what it covers. Raises NotAuthentic."""
        timestamp, nonce = query.get("timestamp", ""), query.get("nonce", "")
        check_signature(query.get(name, ""), self._config.token, timestamp, nonce, *parts)
        # Exactly as long as it is today: the signature does not say where the timestamp ends.
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) == TIMESTAMP_CHARS):
            raise NotAuthentic("timestamp is not a number")
        skew_s = self._kit.now_ms() / 1000 - int(timestamp)
        if abs(skew_s) > MAX_SKEW_S:
            raise NotAuthentic(f"timestamp is {skew_s:.0f} s off; is this machine's clock right?")

    async def _open(self, request: WebhookRequest) -> Inbound:
        """The verified push. Raises NotAuthentic, BadXml or BusError."""
        if self._key is not None:
            plain = self._decrypted(request, self._key)
        else:
            self._check(request.query, "signature")
            await self._check_unchanged(request)
            plain = request.body
        fields = parse_xml(plain)
        if self._key is None and "MsgType" not in fields and "Encrypt" in fields:
            raise BadXml("the push is encrypted: set encoding_aes_key, or choose plaintext mode")
        return decode(fields, self._kit.account)

    def _decrypted(self, request: WebhookRequest, key: bytes) -> bytes:
        """The message of an encrypted push; its signature covers the sealed text."""
        if not request.query.get("msg_signature"):
            raise NotAuthentic("not encrypted, but encoding_aes_key is set")
        sealed = parse_xml(request.body).get("Encrypt", "")
        self._check(request.query, "msg_signature", sealed)
        return decrypt(sealed, key, self._config.app_id)

    async def _check_unchanged(self, request: WebhookRequest) -> None:
        """One signature, one body: in plaintext mode the signature does not cover the body.

        Whoever has seen a signed URL could otherwise use it for a message of their own.
        """
        key, digest = f"body-{request.query['signature']}", sha256(request.body).digest()
        if await self._kit.passive.remember(key, digest):
            return
        if not hmac.compare_digest(await self._kit.passive.recall(key) or b"", digest):
            raise NotAuthentic("the signature belongs to another body")

    async def _receive(self, inbound: Inbound, ends_at: float) -> WebhookReply:
        if inbound.failure:
            self._kit.logger.warning("%s", inbound.failure)
        if not inbound.events:
            self._kit.ignore(inbound.kind)
            return SUCCESS
        if not inbound.replyable:
            await self._append(inbound, ends_at)
            return SUCCESS
        if given := await self._kit.passive.recall(_reply_key(inbound)):
            return self._reply(given)
        async with self._kit.passive.hold(inbound.chat) as held:
            await self._append(inbound, ends_at)
            return await self._answer(inbound, held, ends_at)

    async def _append(self, inbound: Inbound, ends_at: float) -> None:
        for event in inbound.events:
            timeout_s = min(APPEND_TIMEOUT_S, max(_left_s(ends_at), MIN_APPEND_TIMEOUT_S))
            await self._kit.append(event, timeout_s=timeout_s)

    async def _answer(self, inbound: Inbound, held: Held, ends_at: float) -> WebhookReply:
        """The event is in the log: whatever happens to the reply now, the platform gets its 200."""
        try:
            offer = await held.next_offer(_left_s(ends_at))
            if offer is not None and (reply := await self._take(inbound, offer)):
                return self._reply(reply)
            given = await self._kit.passive.recall(_reply_key(inbound))
        except BusError as error:
            self._kit.logger.warning("no passive reply: %s", error)
            return SUCCESS
        return self._reply(given) if given else SUCCESS

    async def _take(self, inbound: Inbound, offer: Offer) -> bytes | None:
        """Make an offer the reply; None, refused, when the push was answered already.

        Remembered before it is accepted: a retry must find whatever its sender was told.
        """
        reply = text_reply(
            plain_text(offer.segments),
            to_user=inbound.chat.id,
            from_us=inbound.us,
            time_s=self._kit.now_ms() // 1000,
        ).encode()
        try:
            first = await self._kit.passive.remember(_reply_key(inbound), reply)
        except BusError:
            await offer.refuse()
            raise
        if not first:
            await offer.refuse()
            return None
        try:
            await offer.accept(MessageId(f"passive-{inbound.key}"))
        except BusError as error:
            # It is remembered, so it goes out; its sender was told that the outcome is unknown.
            self._kit.logger.warning("the sender of a passive reply was lost: %s", error)
        return reply

    def _reply(self, xml: bytes) -> WebhookReply:
        """A reply as the platform wants it: sealed and signed in safe mode."""
        if self._key is not None:
            sealed = encrypt(xml, self._key, self._config.app_id)
            timestamp, nonce = str(self._kit.now_ms() // 1000), secrets.token_hex(8)
            signature = sign(self._config.token, timestamp, nonce, sealed)
            xml = sealed_reply(sealed, signature, timestamp, nonce).encode()
        return WebhookReply(body=xml, content_type="application/xml")


def _reply_key(inbound: Inbound) -> str:
    """Under what the reply to a push is remembered; a message id holds within its chat only."""
    return f"reply-{inbound.chat.id}-{inbound.key}"


def _left_s(ends_at: float) -> float:
    return max(ends_at - asyncio.get_running_loop().time(), 0)


def _refusal(status: int, text: str) -> WebhookReply:
    return WebhookReply(status, text.encode())
