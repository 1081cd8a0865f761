"""HTTP: we call the upstream's API, and it posts its events to our webhook, at any replica.

Source: OneBot V11, communication/http.md and http-post.md. A post is believed by `X-Signature`, an
HMAC-SHA1 over its very bytes; the standard has no time there, so the event's own `time`, which it
covers, must be a recent one. The same post again is the same entry of the log.
"""

import asyncio
import hmac
from hashlib import sha1

from aiohttp import web

from connectors.onebot11.answers import Reply, decode_reply, online_of
from connectors.onebot11.config import Config
from connectors.onebot11.decode import decode_event
from connectors.onebot11.fields import Fields, Unreadable, number_of
from connectors.onebot11.inbox import Inbox
from connectors.onebot11.link import TOKEN_REFUSED
from onebus.api import Answer, Call, Options
from onebus.codec import CodecError, decode_any
from onebus.connector import Kit, WebhookReply, WebhookRequest
from onebus.errors import ActionError, AuthFailed, BusError, NotReady, OnebusError, RateLimited

LOOK_S = 10.0
"""How often the upstream is asked whether it is there and online."""
TAKEN = WebhookReply(200, b"{}", "application/json")
"""An empty quick operation: NapCat and LLOneBot read JSON whatever the status."""

_RETCODES = {404: 1404, 400: 1400, 406: 1400, 405: 1404}


class Post:
    """The upstream's HTTP API and what it posts; see `link.Upstream`."""

    def __init__(self, config: Config, kit: Kit, inbox: Inbox) -> None:
        self._config = config
        self._kit = kit
        self._inbox = inbox
        token = config.access_token
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        secrets = (token, config.secret)
        options = Options(name="the upstream", secrets=secrets, timeout_s=config.call_timeout)
        self._api = kit.api(config.url, options=options)
        self._why: OnebusError = NotReady("the upstream was not reached yet")

    async def connect(self) -> None:
        """There is nothing to be connected."""
        await self._kit.ready()

    async def serve(self) -> None:
        """Ask again and again whether it is there, until it is not."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                status = await self.call("get_status", {}, writes=False)
            except ActionError as error:
                self._why = NotReady(str(error))
                return
            if status.retcode in TOKEN_REFUSED:
                self._why = AuthFailed("the upstream refuses the access_token")
                return
            if status.done and not online_of(status.data):
                self._why = NotReady("the upstream says that it is offline")
                return

    async def call(self, action: str, params: Fields, *, writes: bool) -> Reply:
        """Call an action. Raises ActionError."""
        call = Call("POST", f"/{action}", headers=self._headers, json=params, writes=writes)
        return _reply(await self._api.call(call))

    def lost(self) -> OnebusError:
        """Why it was lost."""
        return self._why

    async def close(self) -> None:
        """There is nothing to be closed."""

    def routes(self) -> list[web.RouteDef]:
        """None beside the webhook."""
        return []

    async def webhook(self, request: WebhookRequest) -> WebhookReply:
        """Verify, decode, append; nothing is answered by a quick operation."""
        if request.method != "POST":
            return WebhookReply(405, b"the upstream posts here")
        given = request.headers.get("X-Signature", "")
        if not signed(request.body, self._config.secret, given):
            self._kit.logger.info("refused a post: its X-Signature is missing or wrong")
            return WebhookReply(401, b"not authentic")
        try:
            fields = decode_any(request.body)
        except CodecError:
            fields = None
        if not isinstance(fields, dict):
            return WebhookReply(400, b"no JSON object")
        if (
            abs(self._kit.now_ms() / 1000 - number_of(fields.get("time")))
            > self._config.post_window
        ):
            self._kit.logger.info("refused a post: its event is too old, or a clock is wrong")
            return WebhookReply(401, b"too old")
        return await self._take(fields)

    async def _take(self, fields: Fields) -> WebhookReply:
        if not self._inbox.wanted(fields):
            return TAKEN
        try:
            for event in decode_event(fields, self._kit.account).events:
                await self._inbox.before(event)
                await self._kit.append(event)
        except Unreadable as error:
            self._inbox.unread(f"an event that cannot be read ({error})")
        except (BusError, RateLimited) as error:
            self._kit.logger.warning("no answer to a post, so that it comes again: %s", error)
            return WebhookReply(503, b"try again")
        return TAKEN


def signed(body: bytes, secret: str, given: str) -> bool:
    """Whether `X-Signature` is right. Source: communication/http-post.md, "签名"."""
    expected = "sha1=" + hmac.new(secret.encode(), body, sha1).hexdigest()
    return bool(secret) and hmac.compare_digest(
        expected.encode(), given.strip().encode(errors="surrogateescape")
    )


def _reply(answer: Answer) -> Reply:
    """A refusal by status has the number that the same has on a WebSocket."""
    try:
        fields = decode_any(answer.body)
    except CodecError:
        fields = None
    if isinstance(fields, dict) and ("retcode" in fields or "status" in fields):
        return decode_reply(fields)
    if answer.ok:
        return Reply(1200, status="failed", wording="it answered something else than OneBot V11")
    retcode = _RETCODES.get(answer.status, answer.status)
    return Reply(retcode, status="failed", wording=f"HTTP {answer.status}")
