"""Calls of a platform's HTTP API: paced, refusals told apart, and nothing secret in errors.

One `Api` per account, over the process's one session. What went wrong says whether it was done:

    never sent, or refused with "later"      PlatformUnavailable, RateLimited: certain, nothing done
    sent, and then broken; a 5xx             OutcomeUnknown if the call writes, else unavailable
    any other answer                         comes back, for the connector to read

A call that the platform puts off (429, or what `pause` reads from its answers) was not done: it is
made again when the platform allows it, as long as the action's deadline does. Nothing else is made
again. Exceptions of aiohttp carry URLs, and those carry tokens: none leaves this module, not even
as the cause or context of ours.
"""

import logging
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
from msgspec import Struct
from yarl import URL

from onebus import deadline
from onebus.backoff import Backoff
from onebus.codec import CodecError, decode, encode
from onebus.errors import (
    ActionError,
    BadParams,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
)
from onebus.pace import MAX_WAIT_S, Pacer, Rate

T = TypeVar("T")

MAX_BYTES = 8 << 20
MAX_PAUSE_S = 86_400.0
MARGIN_S = 0.1
"""A call ends so long before its action's deadline: then it can still say what became of it."""
CHUNK_BYTES = 64 << 10

_NOT_PRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_MAX_TEXT = 200


class Call(Struct, frozen=True):
    """One call.

    `writes`: it changes something, so that it must not be repeated blindly, and is made by the
    account's owner alone. `chat`: into which chat, whose rate then counts too; `rate` is that
    chat's own. `paced`: False for a long poll, which waits for pauses alone. The body is `json` or
    `data`; a callable makes it anew for each attempt.
    """

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    json: Any = None
    data: bytes | Callable[[], Any] | None = None
    writes: bool = False
    chat: str = ""
    rate: Rate | None = None
    paced: bool = True
    timeout_s: float | None = None


class Pause(Struct, frozen=True):
    """The platform takes no calls for so long: of the account, or into the call's chat alone."""

    seconds: float | None = None
    chat_only: bool = False


class Answer(Struct, frozen=True):
    """What the platform answered, redirects and refusals included."""

    call: Call
    status: int
    headers: Mapping[str, str]
    body: bytes
    platform: str = "the platform"

    @property
    def ok(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300

    def read(self, kind: type[T]) -> T:
        """The JSON in it. Raises PlatformUnavailable; OutcomeUnknown for a call that writes."""
        try:
            return decode(self.body, kind)
        except CodecError:
            pass
        raise broken(self.call, f"{self.platform} gave an answer that cannot be read")

    def error(self, text: str = "") -> ActionError:
        """A refusal as our error, by its status; `text` is what the platform says of it."""
        said = f"{self.platform} answered HTTP {self.status}" + (f": {text}" if text else "")
        return _BY_STATUS.get(self.status, Forbidden if self.status < 500 else OutcomeUnknown)(said)


_BY_STATUS: Mapping[int, type[ActionError]] = {
    400: BadParams,
    404: NotFound,
    410: NotFound,
    413: BadParams,
    422: BadParams,
    429: RateLimited,
    503: PlatformUnavailable,
}


class Download(Struct, frozen=True):
    """An answer whose body is still to come; `size_bytes`: what it says of its own length."""

    answer: Answer
    size_bytes: int | None
    chunks: AsyncIterator[bytes]


class Options(Struct, frozen=True):
    """How an account's API is called; `name`: the platform, for people.

    `secrets` are cut out of whatever is shown. `pause` is asked of each answer whether it puts the
    call off; 429, and 503 with a Retry-After, do so anyway.
    """

    name: str = "the platform"
    secrets: Sequence[str] = ()
    timeout_s: float = 10.0
    max_bytes: int = MAX_BYTES
    pause: Callable[[Answer], Pause | None] = lambda _: None


def session() -> aiohttp.ClientSession:
    """The session of all accounts of a process: they share no cookies, and wait for no connection.

    How many connections there are is bounded by the accounts, one long poll each, and by the calls
    that each may have under way.
    """
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class Way(Struct, frozen=True):
    """How calls get out of this process. `owned`: whether the account is ours at this moment."""

    http: aiohttp.ClientSession
    owned: Callable[[], bool]
    logger: logging.LoggerAdapter[Any]


class Api:
    """The calls of one account."""

    def __init__(self, way: Way, base_url: str, pacer: Pacer, options: Options) -> None:
        self._way = way
        self._base = base_url.rstrip("/")
        self._pacer = pacer
        self._options = options

    async def call(self, call: Call) -> Answer:
        """Make a call, again when it was put off. Raises ActionError."""
        backoff = Backoff(1, 30)
        while True:
            await self._turn(call)
            outcome = await self._exchange(call)
            if isinstance(outcome, ActionError):
                raise outcome
            pause = self._pause_of(outcome)
            if pause is None:
                break
            self._put_off(call, pause, backoff)
        if outcome.status >= 500:
            raise broken(call, f"{self._options.name} answered HTTP {outcome.status}")
        return outcome

    @asynccontextmanager
    async def download(self, call: Call) -> AsyncIterator[Download]:
        """Read a large answer piece by piece; `max_bytes` does not hold, `timeout_s` for each read.

        Raises ActionError, also while it is read; an answer that is no 2xx is given like one.
        """
        await self._turn(call)
        response = await self._opened(call, whole=False)
        if isinstance(response, ActionError):
            raise response
        try:
            answer = Answer(call, response.status, response.headers, b"", self._options.name)
            yield Download(answer, response.content_length, self._chunks(call, response))
        finally:
            response.close()

    def clean(self, text: str, *secrets: str) -> str:
        """A platform's text for people and logs: one short line without secrets or controls.

        `secrets`: those that came up meanwhile, such as a token.
        """
        for secret in filter(None, (*self._options.secrets, *secrets)):
            text = text.replace(secret, "***")
        return _NOT_PRINTABLE.sub(" ", text)[:_MAX_TEXT].strip()

    async def _turn(self, call: Call) -> None:
        """Wait until it may go out. Raises RateLimited; PlatformUnavailable: not ours any more."""
        left_s = deadline.left_s()
        most_s = MAX_WAIT_S if left_s is None else left_s - MARGIN_S
        if call.paced:
            await self._pacer.turn(call.chat, call.rate, most_s=most_s)
        else:
            await self._pacer.unpaused(most_s=most_s)
        if call.writes and not self._way.owned():
            raise PlatformUnavailable("the account has moved to another process")

    def _pause_of(self, answer: Answer) -> Pause | None:
        if pause := self._options.pause(answer):
            return pause
        stated = answer.headers.get("Retry-After")
        if answer.status == 429 or (answer.status == 503 and stated):
            return Pause(retry_after_s(stated))
        return None

    def _put_off(self, call: Call, pause: Pause, backoff: Backoff) -> None:
        seconds = backoff.next_s() if pause.seconds is None else max(pause.seconds, 0.0)
        seconds = min(seconds, MAX_PAUSE_S)
        self._pacer.pause(seconds, call.chat if pause.chat_only else "")
        self._way.logger.debug("%s allows no calls for %.1f s", self._options.name, seconds)

    async def _exchange(self, call: Call) -> Answer | ActionError:
        response = await self._opened(call, whole=True)
        if isinstance(response, ActionError):
            return response
        body = bytearray()
        try:
            async for chunk in self._chunks(call, response):
                body += chunk
                if len(body) > self._options.max_bytes:
                    return broken(call, f"{self._options.name} gave too long an answer")
        finally:
            response.close()
        return Answer(call, response.status, response.headers, bytes(body), self._options.name)

    async def _opened(self, call: Call, *, whole: bool) -> aiohttp.ClientResponse | ActionError:
        """Send it, and wait for the head of the answer; an error as a value has no context."""
        url = URL(self._base + call.path).update_query(call.query)
        try:
            response = await self._way.http.request(
                call.method,
                url,
                data=_body(call),
                headers=_headers(call),
                timeout=self._timeout(call, whole=whole),
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return PlatformUnavailable(f"no connection to {self._options.name} at {url.host}")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return broken(call, f"{self._options.name} at {url.host} did not answer in time")
        self._way.logger.debug("%s %s: %d", call.method, self.clean(call.path), response.status)
        return response

    async def _chunks(self, call: Call, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        error: ActionError | None = None
        try:
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError):
            error = broken(call, f"the answer of {self._options.name} broke off")
        if error:
            raise error

    def _timeout(self, call: Call, *, whole: bool) -> aiohttp.ClientTimeout:
        """Connecting has its own, so that this failure is known to be one before sending."""
        total_s = call.timeout_s or self._options.timeout_s
        left_s = deadline.left_s()
        if left_s is not None:
            total_s = min(total_s, max(left_s - MARGIN_S, MARGIN_S))
        if whole:
            return aiohttp.ClientTimeout(total=total_s, connect=total_s / 2)
        return aiohttp.ClientTimeout(total=None, connect=total_s / 2, sock_read=total_s)


def broken(call: Call, text: str) -> ActionError:
    """It was on its way when something broke: unknown for a write, merely no answer for a read."""
    if call.writes:
        return OutcomeUnknown(f"{text}; it may have been done")
    return PlatformUnavailable(text)


def retry_after_s(stated: str | None, now_s: float | None = None) -> float | None:
    """The header Retry-After in seconds, of which both forms are in use; None: it says nothing.

    Source: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    try:
        seconds = float(stated or "")
    except ValueError:
        return _until_s(stated or "", time.time() if now_s is None else now_s)
    return seconds if math.isfinite(seconds) else None


def _until_s(date: str, now_s: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now_s
    except (ValueError, OverflowError):
        return None


def _body(call: Call) -> Any:
    if call.json is not None:
        return encode(call.json)  # UTF-8 as it is: some platforms show \u escapes to people
    return call.data() if callable(call.data) else call.data


def _headers(call: Call) -> Mapping[str, str]:
    if call.json is None:
        return call.headers
    return {"Content-Type": "application/json", **call.headers}
