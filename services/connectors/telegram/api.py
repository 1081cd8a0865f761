"""Calls of the Bot API for one account.

The token is part of every URL; it leaves this module in no error and no log (`onebus.api`).
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from aiohttp import FormData
from msgspec import Struct

from connectors.telegram import wire
from connectors.telegram.answers import Migrated, action_error
from connectors.telegram.config import Config
from connectors.telegram.decode import ALLOWED_UPDATES, convert
from connectors.telegram.wire import Envelope, Fields
from onebus.api import Answer, Call, Download, Options, Pause, broken
from onebus.codec import CodecError, decode, encode
from onebus.connector import Kit
from onebus.errors import ActionError
from onebus.media import Media
from onebus.media_http import MediaBody
from onebus.pace import Limits, Rate

T = TypeVar("T")

BURST = 3
"""Telegram lets short bursts into a private chat pass, of one message a second on the average."""
UPLOAD_S = 115.0
POLL_MARGIN_S = 10.0
MAX_UPDATES = 100
MAX_ANSWER_BYTES = 32 << 20
"""A hundred updates that are as large as they can be."""
MAX_MOVED = 1_000


class Part(Struct, frozen=True):
    """A file that goes along with a call; it is read anew for each attempt."""

    field: str
    media: Media


class BotApi:
    """The methods of one bot. Every one raises ActionError."""

    def __init__(self, config: Config, kit: Kit) -> None:
        self._token = config.token
        self._poll_s = config.poll_timeout_s
        self._group = Rate(config.group_messages_per_min, 60)
        self._private = Rate(BURST, BURST)
        options = Options(
            "Telegram",
            secrets=tuple(filter(None, (config.token, config.webhook_secret))),
            timeout_s=config.request_timeout_s,
            max_bytes=MAX_ANSWER_BYTES,
            pause=_pause,
        )
        self._moved: OrderedDict[str, int] = OrderedDict()
        """Groups that have become supergroups, and are elsewhere now."""
        self._api = kit.api(
            config.base_url, Limits(account=Rate(config.messages_per_s, 1)), options
        )

    async def read(self, method: str, kind: type[T], **params: Any) -> T:
        """Ask for something; nothing is changed by it."""
        return await self._made(method, params, kind)

    async def change(self, method: str, **params: Any) -> None:
        """Change something, which Telegram answers with True."""
        await self._made(method, params, bool, writes=True)

    async def send(self, method: str, params: Fields, parts: Sequence[Part] = ()) -> Any:
        """Send a message (or an album), with the bytes that go along; answers what was sent."""
        return await self._made(method, params, object, writes=True, sends=True, parts=parts)

    async def updates(self, offset: int | None, *, wait: bool = True) -> list[dict[str, Any]]:
        """What has happened from this update on, which confirms those before it.

        Source: https://core.telegram.org/bots/api#getupdates
        """
        timeout_s = self._poll_s if wait else 0
        params: dict[str, Any] = {
            "timeout": timeout_s,
            "limit": MAX_UPDATES,
            "allowed_updates": ALLOWED_UPDATES,
        }
        if offset is not None:
            params["offset"] = offset
        call = Call(
            "POST",
            self._path("getUpdates"),
            json=params,
            paced=False,
            timeout_s=timeout_s + POLL_MARGIN_S,
        )
        return self._result(await self._api.call(call), list[dict[str, Any]])

    async def file(self, file_id: str) -> wire.File:
        """Where a file can be had, for an hour at least.

        Source: https://core.telegram.org/bots/api#getfile
        """
        return await self.read("getFile", wire.File, file_id=file_id)

    def download(self, file: wire.File) -> AbstractAsyncContextManager[Download]:
        """The bytes of a file."""
        path = f"/file/bot{self._token}/{file.file_path.lstrip('/')}"
        return self._api.download(Call("GET", path))

    def _path(self, method: str) -> str:
        return f"/bot{self._token}/{method}"

    async def _made(self, method: str, params: Fields, kind: type[T], **more: Any) -> T:
        """A call, once more where the group turns out to have become a supergroup."""
        try:
            call = self._call(method, self._present(params), **more)
            return self._result(await self._api.call(call), kind)
        except Migrated as moved:
            _keep(self._moved, str(params["chat_id"]), moved.to)
        call = self._call(method, self._present(params), **more)
        return self._result(await self._api.call(call), kind)

    def _present(self, params: Fields) -> Fields:
        """The parameters with where the group is now.

        Source: https://core.telegram.org/bots/api#responseparameters, migrate_to_chat_id
        """
        moved_to = self._moved.get(str(params.get("chat_id")))
        return params if moved_to is None else {**params, "chat_id": moved_to}

    def _call(
        self,
        method: str,
        params: Fields,
        *,
        writes: bool = False,
        sends: bool = False,
        parts: Sequence[Part] = (),
    ) -> Call:
        chat = str(params["chat_id"]) if sends else ""
        return Call(
            "POST",
            self._path(method),
            json=None if parts else params,
            data=(lambda: _form(params, parts)) if parts else None,
            writes=writes,
            chat=chat,
            rate=self._private if chat.isdigit() else self._group,
            timeout_s=UPLOAD_S if parts else None,
        )

    def _result(self, answer: Answer, kind: type[T]) -> T:
        envelope = _envelope(answer)
        if envelope is None:  # a page of a proxy; or, with 200, no answer at all
            raise _unreadable(answer) if answer.ok else answer.error()
        if not envelope.ok:
            raise action_error(envelope, self._api.clean(envelope.description))
        try:
            return convert(decode(bytes(envelope.result), object), kind)
        except CodecError:
            error = _unreadable(answer)
        raise error


def _keep(table: OrderedDict[str, int], key: str, value: int) -> None:
    table[key] = value
    if len(table) > MAX_MOVED:
        table.popitem(last=False)


def _unreadable(answer: Answer) -> ActionError:
    return broken(answer.call, "Telegram gave an answer that cannot be read")


def _envelope(answer: Answer) -> Envelope | None:
    try:
        return decode(answer.body, Envelope)
    except CodecError:
        return None


def _pause(answer: Answer) -> Pause | None:
    """A 429 says in its body for how long; it is about the chat, where the call was for one.

    Source: https://core.telegram.org/bots/api#responseparameters
    """
    if answer.status != 429 or not (envelope := _envelope(answer)):
        return None
    return Pause(envelope.parameters.retry_after, chat_only=bool(answer.call.chat))


def _form(params: Mapping[str, Any], parts: Sequence[Part]) -> FormData:
    """The parameters as a form, what is no text as JSON.

    Source: https://core.telegram.org/bots/api#making-requests, "multipart/form-data"
    """
    form = FormData(quote_fields=False)
    for name, value in params.items():
        form.add_field(name, value if isinstance(value, str) else encode(value).decode())
    for part in parts:
        form.add_field(part.field, MediaBody(part.media), filename=part.media.name)
    return form
