"""Telegram: the fake Bot API, which python-telegram-bot talks to as well, asked by long polling."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Literal

import msgspec
from aiohttp import web
from tests.fakes.telegram_api import FakeTelegram, error
from tests.fakes.telegram_world import id_of_file

from connectors.telegram import wire
from connectors.telegram.decode import Context, decode_update
from connectors.telegram.encode import Upload, encode_segments, media_in
from onebus import segment as seg
from onebus.connector import WebhookRequest
from onebus.event import Chat, group_chat
from onebus.ids import ChatId, UserId
from onebus.segment import Segment
from onebus.testing import subject
from onebus.testing.play import Replica
from onebus.testing.subject import Golden

TOKEN = "123456789:TOKEN-CANARY-0123456789abcdefghi"
SECRET = "webhook-secret-canary"
HEADER = "X-Telegram-Bot-Api-Secret-Token"
GROUPS = (-1001234567890, -1009876543210)
ANN = 7001
ME = wire.User(123456789, is_bot=True, first_name="Onebus", username="onebus_bot")
FILE = b"a file"
NOW_MS = 1_767_225_700_123


class Subject(subject.Subject):
    canaries = (TOKEN, SECRET)
    pauses = "chat"
    samples: ClassVar[Mapping[str, Segment]] = {
        "image": seg.Image(f"{id_of_file('photo', FILE)}.photo"),
        "voice": seg.Voice(f"{id_of_file('voice', FILE)}.voice"),
        "video": seg.Video(f"{id_of_file('video', FILE)}.video"),
        "file": seg.File(f"{id_of_file('document', FILE)}.document"),
        "emoji": seg.Emoji("5368324170671202286", "👍"),
    }

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.api = FakeTelegram(TOKEN)
        self._messages: dict[int, dict[str, Any]] = {}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        self.api.on_send = self._answer
        self.api.world.user(ANN, "Ann")
        for kind in ("photo", "voice", "video", "document"):
            self.api.world.keep(kind, FILE)
        for group in GROUPS:
            self.api.world.group(group, "A group")
        async with self.api.serve():
            yield

    def config(self) -> dict[str, Any]:
        return {
            "token": TOKEN,
            "base_url": self.api.base,
            "webhook_secret": SECRET,
            "poll_timeout_s": 2,
            "group_messages_per_min": 6000,
            "request_timeout_s": 2,
        }

    @property
    def chats(self) -> Sequence[Chat]:
        return [group_chat(ChatId(str(group))) for group in GROUPS]

    def decodes(self) -> Mapping[str, Golden]:
        def updates(given: Any) -> Any:
            context = Context(self.account, ME, {"alice": UserId("7001")})
            inbound = msgspec.to_builtins(decode_update(given, context, NOW_MS))
            for event in [*inbound["events"], *filter(None, [inbound["quoted"]])]:
                del event["account"], event["v"]
            assert inbound.pop("id") == given["update_id"]
            return {key: value for key, value in inbound.items() if value}

        return {"updates": updates}

    def encodes(self) -> Mapping[str, Golden]:
        def messages(given: Any) -> Any:
            segments = msgspec.convert(given["segments"], tuple[Segment, ...])
            uploads: dict[Segment, Upload] = {}
            for segment in media_in(segments):
                content_type, size_bytes = given["files"][segment.file]
                field = f"file{len(uploads)}"
                uploads.setdefault(segment, Upload(field, content_type, size_bytes))
            names = {UserId(user): name for user, name in given.get("names", {}).items()}
            return msgspec.to_builtins(encode_segments(segments, uploads, names))

        return {"messages": messages}

    async def deliver(self, replica: Replica, number: int) -> None:
        """Under a number of its own each time, as it can be after a week without updates."""
        update = await self.api.happen("message", self._message(number))
        await self.api.wait_confirmed_up_to(update)

    async def deliver_unknown(self, replica: Replica) -> None:
        update = await self.api.happen("teleportation", {"from": {"id": ANN}}, new_kind=True)
        await self.api.wait_confirmed_up_to(update)

    def signed(self, number: int) -> WebhookRequest:
        return self._request(number, {HEADER: SECRET})

    def forgeries(self, number: int) -> Mapping[str, WebhookRequest]:
        return {
            "missing": self._request(number, {}),
            "empty": self._request(number, {HEADER: ""}),
            "wrong": self._request(number, {HEADER: SECRET[:-1] + "x"}),
            "another account's": self._request(number, {HEADER: "another-secret"}),
            "the token": self._request(number, {HEADER: TOKEN}),
            "not ascii": self._request(number, {HEADER: "tökén"}),
        }

    def unsafe_configs(self) -> Sequence[Mapping[str, Any]]:
        webhook = {"mode": "webhook", "webhook_url": "https://bots.example/hook"}
        return [webhook | {"webhook_secret": secret} for secret in ("", " ", "a b")]

    def wrong_credentials(self) -> Mapping[str, Any]:
        return {"token": "123456789:another-token-another-token-another"}

    def _message(self, number: int) -> dict[str, Any]:
        if number not in self._messages:
            text = f"update {number}"
            self._messages[number] = self.api.world.message(GROUPS[0], ANN, text=text)
        return self._messages[number]

    def _request(self, number: int, headers: Mapping[str, str]) -> WebhookRequest:
        update = {"update_id": 5000 + number, "message": self._message(number)}
        return WebhookRequest("POST", {}, headers, json.dumps(update).encode())

    def _answer(self, chat: str, text: str) -> web.Response | Literal[0] | None:
        refusal = self.refusal(chat, text)
        if refusal is None:
            return None
        if refusal.status == 0:
            return 0
        if refusal.status >= 500:
            return web.Response(status=refusal.status, text="<html>an error page</html>")
        wait = {"retry_after": refusal.retry_after_s}
        return error(429, "Too Many Requests: retry later", wait)
