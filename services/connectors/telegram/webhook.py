"""Telegram's calls: verify, decode, append, answer. Any replica serves any of them.

Telegram waits for the answer before it sends the next update of the chat, and calls again until it
gets a 200. Source: https://core.telegram.org/bots/api#setwebhook
"""

import hmac
from hashlib import sha256

from connectors.telegram.config import Config
from connectors.telegram.decode import Inbound
from connectors.telegram.intake import Intake
from onebus.codec import CodecError, decode_any, encode
from onebus.connector import Kit, WebhookReply, WebhookRequest
from onebus.errors import ActionError, BusError

MAX_BODY_BYTES = 1 << 20
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105  # its name, not its value


class Webhook:
    """The calls for one account at one replica."""

    def __init__(self, config: Config, kit: Kit, intake: Intake) -> None:
        self._secret = config.webhook_secret
        self._kit = kit
        self._intake = intake

    async def handle(self, request: WebhookRequest) -> WebhookReply:
        """Answer one call. The log has the update before Telegram gets a 200."""
        if not self._authentic(request):
            self._kit.logger.info("refused a call of the webhook: its secret is not ours")
            return _refusal(401, "not authentic")
        if request.method != "POST":
            return _refusal(405, "only POST")
        if len(request.body) > MAX_BODY_BYTES:
            return _refusal(413, "body too large")
        try:
            return await self._receive(decode_any(request.body))
        except CodecError as error:
            self._kit.logger.warning("refused a call of the webhook: %s", error)
            return _refusal(400, "not an update")
        except (BusError, ActionError) as error:
            self._kit.logger.warning("no answer to an update, so that it comes again: %s", error)
            return _refusal(503, "try again")

    def _authentic(self, request: WebhookRequest) -> bool:
        """Compared as digests: of equal length, whatever was sent."""
        given = request.headers.get(SECRET_HEADER, "")
        same = hmac.compare_digest(_digest(given), _digest(self._secret))
        return bool(self._secret) and same

    async def _receive(self, update: object) -> WebhookReply:
        """What cannot be understood is taken all the same: it would only come again."""
        if not isinstance(update, dict):
            return _refusal(400, "not an update")
        inbound = await self._intake.decoded(update)
        if inbound:
            await self._intake.take(inbound)
        return _answer(inbound)


def _answer(inbound: Inbound | None) -> WebhookReply:
    """A 200; where a button was pressed it is let go in the same breath.

    Source: https://core.telegram.org/bots/api#making-requests-when-getting-updates
    """
    if not inbound or not inbound.callback:
        return WebhookReply()
    call = {"method": "answerCallbackQuery", "callback_query_id": inbound.callback}
    return WebhookReply(body=encode(call), content_type="application/json")


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


def _refusal(status: int, text: str) -> WebhookReply:
    return WebhookReply(status, text.encode())
