"""Telegram's Bot API as a real server on a free port, as strict as the platform.

Checked from the other side: python-telegram-bot talks to it in a test, so that this fake and the
connector cannot share one misreading. Sources: https://core.telegram.org/bots/api and the texts of
https://github.com/tdlib/telegram-bot-api.
"""

import asyncio
import contextlib
import json
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import aiohttp
from aiohttp import web
from tests.fakes.telegram_checks import Refused
from tests.fakes.telegram_methods import METHODS
from tests.fakes.telegram_world import World

TOKEN = "123456789:TOKEN-CANARY-0123456789abcdefghi"
ON_REQUEST = ("chat_member", "message_reaction", "message_reaction_count")
"""Updates that come only when they are asked for by name."""
RETRY_S = 0.05
MAX_RETRY_S = 0.5


class FakeTelegram:
    """One bot's side of the API.

    `calls` has every call as method and parameters, `sent` the messages that were made. While
    `hang` is cleared an accepted call gets no answer.
    """

    on_send: Callable[[str, str], web.Response | Literal[0] | None] = staticmethod(lambda *_: None)
    """Asked for each call that would write: a refusal, 0 to cut the connection, or None."""

    def __init__(self, token: str = TOKEN, username: str = "onebus_bot") -> None:
        self.token = token
        self.world = World(int(token.partition(":")[0]), username)
        self.base = ""
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.counts: Counter[str] = Counter()
        self.script: dict[str, deque[tuple[int, str, dict[str, Any]]]] = defaultdict(deque)
        self.hang = asyncio.Event()
        self.hang.set()
        self.webhook: dict[str, Any] = {}
        self.deliveries: list[int] = []
        """The status of each call of the webhook."""
        self.unmeasured: list[str] = []
        """Calls that did not say how long they are."""
        self.allowed: list[str] = []
        self.confirmed: list[int] = []
        self._queue: list[dict[str, Any]] = []
        self._next_update = 1000
        self._changed = asyncio.Condition()
        self._poll = 0

    @property
    def sent(self) -> list[dict[str, Any]]:
        return self.world.sent

    @property
    def pending(self) -> list[int]:
        """Updates that the bot has not confirmed."""
        return [update["update_id"] for update in self._queue]

    def answer_next(self, method: str, code: int, text: str, **parameters: Any) -> None:
        """Answer the next call of a method with an error; 5xx is a page without JSON."""
        self.script[method].append((code, text, parameters))

    async def happen(self, kind: str, body: dict[str, Any], *, new_kind: bool = False) -> int:
        """Something happens: an update of this kind, if the bot gets such. Returns its id.

        `new_kind`: of one that came up after the bot last said what it wants.
        """
        async with self._changed:
            update_id = self._next_update
            self._next_update += 1
            wanted = kind in self.allowed if self.allowed else kind not in ON_REQUEST
            if wanted or new_kind:
                self._queue.append({"update_id": update_id, kind: body})
            self._changed.notify_all()
        return update_id

    async def say(self, chat: int, user: int, text: str = "", **more: Any) -> dict[str, Any]:
        """Somebody writes a message; `more` has fields of it."""
        message = self.world.message(chat, user, **({"text": text} if text else {}), **more)
        kind = "channel_post" if message["chat"]["type"] == "channel" else "message"
        await self.happen(kind, message)
        return message

    async def wait_for(self, method: str, count: int = 1, timeout_s: float = 10) -> dict[str, Any]:
        """The parameters of the `count`th call of a method."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: len(self.of(method)) >= count)
        return self.of(method)[count - 1]

    async def wait_for_sent(self, count: int, timeout_s: float = 15) -> list[dict[str, Any]]:
        """The messages that the bot has sent as soon as there are `count`."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: len(self.sent) >= count)
        return self.sent

    async def wait_confirmed(self, timeout_s: float = 15) -> None:
        """Wait until the bot has taken every update."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: not self._queue)

    async def wait_confirmed_up_to(self, update_id: int, timeout_s: float = 15) -> None:
        """Wait until the bot has taken this update."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: update_id in self.confirmed)

    async def delivered_in_vain(self, timeout_s: float = 15) -> None:
        """Wait until a call of the webhook had no answer, or another one than 200."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: any(status != 200 for status in self.deliveries))

    async def counted(self, method: str, count: int, timeout_s: float = 10) -> None:
        """Wait until a method was called so often, refused calls included."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: self.counts[method] >= count)

    async def polled(self, count: int, timeout_s: float = 15) -> None:
        """Wait until updates have been asked for so often."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: self._poll >= count)

    async def polled_again(self, timeout_s: float = 15) -> None:
        """Wait for the next time that updates are asked for, refused ones included."""
        before = self.counts["getUpdates"]
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: self.counts["getUpdates"] > before)

    def of(self, method: str) -> list[dict[str, Any]]:
        """The parameters of all calls of a method so far."""
        return [params for name, params in self.calls if name == method]

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["FakeTelegram"]:
        """Listen on a free loopback port; `base` is the URL to configure."""
        application = web.Application(client_max_size=60 << 20)
        application.router.add_route("*", "/file/{bot}/{path:.*}", self._file)
        application.router.add_route("*", "/{bot}/{method}", self._call)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        delivering = asyncio.ensure_future(self._deliver())
        try:
            yield self
        finally:
            self.hang.set()
            delivering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await delivering
            await runner.cleanup()

    async def _call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if request.match_info["bot"] != f"bot{self.token}":
            return error(401, "Unauthorized")
        params = await _parameters(request)
        if request.content_length is None and request.method == "POST":
            self.unmeasured.append(method)
        async with self._changed:
            self.counts[method] += 1
            self._changed.notify_all()
        if self.script[method]:
            code, text, parameters = self.script[method].popleft()
            if code >= 500:
                return web.Response(status=code, text="<html>an error page</html>")
            return error(code, text, parameters)
        if method.startswith("send"):
            text = params.get("text", "") or params.get("caption", "")
            refusal = self.on_send(str(params.get("chat_id")), text)
            if refusal == 0 and request.transport:
                request.transport.abort()
            if isinstance(refusal, web.Response):
                return refusal
        try:
            result = await self._result(method, params)
        except Refused as refused:
            return error(refused.code, refused.text)
        async with self._changed:
            self.calls.append((method, params))
            self._changed.notify_all()
        await self.hang.wait()
        return _json({"ok": True, "result": result})

    async def _result(self, method: str, params: dict[str, Any]) -> Any:
        match method.lower():
            case "getupdates":
                return await self._get_updates(params)
            case "setwebhook":
                return await self._set_webhook(params)
            case "deletewebhook":
                self.webhook = {}
                return True
            case "getwebhookinfo":
                return {
                    "has_custom_certificate": False,
                    "url": self.webhook.get("url", ""),
                    "pending_update_count": len(self._queue),
                }
        if method not in METHODS:
            raise Refused(404, "Not Found: method not found")
        result = METHODS[method](self.world, params)
        for kind, body in self.world.taken_effects():
            await self.happen(kind, body)
        return result

    async def _get_updates(self, params: dict[str, Any]) -> Any:
        """Source: https://core.telegram.org/bots/api#getupdates"""
        if self.webhook:
            raise Refused(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook"
                " to delete the webhook first",
            )
        async with self._changed:
            self._poll = poll = self._poll + 1
            self._changed.notify_all()
            if "allowed_updates" in params:
                self.allowed = params["allowed_updates"]
            self._confirm(int(params.get("offset", 0)))
            try:
                async with asyncio.timeout(float(params.get("timeout", 0))):
                    await self._changed.wait_for(lambda: self._queue or self._poll != poll)
            except TimeoutError:
                pass
            if self._poll != poll:
                raise Refused(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot"
                    " instance is running",
                )
            return self._queue[: int(params.get("limit", 100))]

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            offset = self._queue[offset:][0]["update_id"] if self._queue else 0
        gone = [update for update in self._queue if update["update_id"] < offset]
        self.confirmed += [update["update_id"] for update in gone]
        self._queue = [update for update in self._queue if update["update_id"] >= offset]
        self._changed.notify_all()

    async def _set_webhook(self, params: dict[str, Any]) -> bool:
        if not params.get("url", "").startswith(("https://", "http://127.0.0.1")):
            raise Refused(
                400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook"
            )
        async with self._changed:
            self.webhook = params
            self.allowed = params.get("allowed_updates", self.allowed)
            self._changed.notify_all()
        return True

    async def _deliver(self) -> None:
        """Call the webhook, one update after the other, again until it answers 200."""
        async with aiohttp.ClientSession() as http:
            retry_s = RETRY_S
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: self.webhook and self._queue)
                    update = self._queue[0]
                status, answer = await self._post(http, update)
                async with self._changed:
                    self.deliveries.append(status)
                    self._changed.notify_all()
                if status != 200:
                    await asyncio.sleep(retry_s)
                    retry_s = min(2 * retry_s, MAX_RETRY_S)
                    continue
                retry_s = RETRY_S
                async with self._changed:
                    if update in self._queue:
                        self._queue.remove(update)
                    self.confirmed.append(update["update_id"])
                    if "method" in answer:
                        self.calls.append((answer.pop("method"), answer))
                    self._changed.notify_all()

    async def _post(
        self, http: aiohttp.ClientSession, update: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.webhook.get("secret_token", "")}
        try:
            async with http.post(self.webhook["url"], json=update, headers=headers) as response:
                body = await response.read()
                return response.status, json.loads(body) if body.startswith(b"{") else {}
        except aiohttp.ClientError:
            return 0, {}

    async def _file(self, request: web.Request) -> web.Response:
        if request.match_info["bot"] != f"bot{self.token}":
            return error(401, "Unauthorized")
        found = self.world.file_at(request.match_info["path"])
        if found is None:
            return error(404, "Not Found")
        return web.Response(body=found.body, content_type="application/octet-stream")


async def _parameters(request: web.Request) -> dict[str, Any]:
    """Query, JSON, form or multipart: https://core.telegram.org/bots/api#making-requests."""
    params: dict[str, Any] = {name: _plain(value) for name, value in request.query.items()}
    if request.content_type == "application/json":
        given: dict[str, Any] = json.loads(await request.read() or b"{}")
        return params | given
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            params[name] = (value.filename, value.content_type, value.file.read())
        else:
            params[name] = _plain(str(value))
    return params


def _plain(text: str) -> Any:
    """What is no text is JSON in a form."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list | int | bool) else text


def _json(value: dict[str, Any], status: int = 200) -> web.Response:
    return web.json_response(value, status=status)


def error(code: int, text: str, parameters: dict[str, Any] | None = None) -> web.Response:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": text}
    if parameters:
        body["parameters"] = parameters
    return _json(body, code)
