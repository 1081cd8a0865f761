"""Idempotency keys: what was begun under a key is not begun again under it, by any owner.

The owner of the account writes that it starts *before* the platform is called, and the outcome
after it. Who asks again with the same key gets that outcome; a start without an outcome is that of
an owner which ended in between: it may have been done, and nobody repeats it. The bucket forgets a
key after ten minutes (`onebus.setup`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from nats.nuid import NUID

from onebus import subjects
from onebus.action import (
    Action,
    NativeAnswer,
    Request,
    Response,
    Sent,
    action_name,
    result_type,
)
from onebus.bucket import Bucket, Conflict
from onebus.bus import Bus
from onebus.codec import CodecError, check_version, decode, encode
from onebus.errors import (
    ActionError,
    BadParams,
    BusError,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
)
from onebus.event import SCHEMA_VERSION
from onebus.ids import Account
from onebus.response import failed, left_s

ATTEMPTS = 3
BEGIN_S = 5.0
END_S = (0.25, 2.0)
"""How long the outcome may take to be written: at least, when the deadline is near, and at most."""
MAX_KEPT = 1000
NOT_DONE = frozenset({PlatformUnavailable.code, RateLimited.code})
"""Outcomes that say "certainly not done, try again later": with them the key is free again."""

_nuid = NUID()


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a key: this call was begun, and with `response` how it ended.

    `content` is a hash of the action, `attempt` names the one execution that wrote this.
    """

    account: Account
    action: str
    key: str
    content: str
    attempt: str
    response: Response | None = None
    v: int = msgspec.field(default_factory=lambda: SCHEMA_VERSION)


class _Running(Struct):
    """An execution that is under way in this process, and who waits for it."""

    content: str
    response: asyncio.Future[Response]


class Once:
    """The keys of one account at the process that owns it.

    `_kept`: what could not be written into the bucket, of the last MAX_KEPT such keys: an outcome,
    or without one that the attempt was never begun. It dies with the process, and then the key's
    outcome is unknown.
    """

    def __init__(self, bus: Bus, account: Account) -> None:
        self._account = account
        self._bucket = Bucket(bus, "idempotency")
        self._running: dict[str, _Running] = {}
        self._kept: dict[str, Record] = {}

    async def run(
        self,
        request: Request,
        refusal: Callable[[], Response | None],
        perform: Callable[[], Awaitable[Response]],
    ) -> Response:
        """Perform the request unless its key was used already; then answer what came of it.

        `refusal` is asked immediately before `perform`: why it must not be started any more.
        Raises BadParams for a key that was used for something else, PlatformUnavailable when
        nothing was done because the key could not be written.
        """
        name, key = action_name(request.action), request.idempotency_key
        content = content_of(request.action)
        place = self._place(request)
        if running := self._running.get(place):
            return await self._join(running, content, left_s(request))
        record = Record(
            account=self._account, action=name, key=key, content=content, attempt=_next_id()
        )
        mine = _Running(content, asyncio.get_running_loop().create_future())
        self._running[place] = mine
        try:
            response = await self._execute(place, record, request, refusal, perform)
            mine.response.set_result(response)
            return response
        except ActionError as error:
            mine.response.set_result(failed(error))
            raise
        finally:
            del self._running[place]
            mine.response.cancel()

    def under_way(self, request: Request) -> bool:
        """Whether a call with this key is being executed here, so that `run` only waits for it."""
        return self._place(request) in self._running

    def _place(self, request: Request) -> str:
        account, name = self._account, action_name(request.action)
        key = request.idempotency_key
        return subjects.key(account.platform, account.account_id, "action", name, key)

    async def _join(self, running: _Running, content: str, left_s: float) -> Response:
        """Wait for the same call, which came before, and answer the same."""
        _check_content(running.content, content)
        await asyncio.wait({running.response}, timeout=max(left_s, 0))
        if running.response.done() and not running.response.cancelled():
            return running.response.result()
        return _unknown("the first call with this idempotency_key is still under way")

    async def _execute(
        self,
        place: str,
        record: Record,
        request: Request,
        refusal: Callable[[], Response | None],
        perform: Callable[[], Awaitable[Response]],
    ) -> Response:
        begun = await self._begin(place, record, left_s(request))
        if isinstance(begun, Response):
            return begun
        if refused := refusal():
            await self._write(place, record, begun, 0)
            return refused
        response = await perform()
        ended = record if _not_done(response) else replace(record, response=response)
        await self._write(place, ended, begun, left_s(request))
        return response

    async def _begin(self, place: str, record: Record, left_s: float) -> int | Response:
        """Write that it starts; the revision, or the outcome of who was there before."""
        try:
            async with asyncio.timeout(min(left_s, BEGIN_S)):
                for _ in range(ATTEMPTS):
                    try:
                        return await self._bucket.create(place, encode(record))
                    except Conflict:
                        found = await self._look(place, record)
                    if found is not None:
                        return found
        except (BusError, TimeoutError) as error:
            self._keep(place, record)  # it may have been written, and was not begun
            raise PlatformUnavailable(
                f"nothing was done: its idempotency_key could not be written down ({error})"
            ) from error
        raise PlatformUnavailable("nothing was done: others use the same idempotency_key")

    async def _look(self, place: str, record: Record) -> int | Response | None:
        """What is known of a key that was used before; None when that has changed meanwhile."""
        entry = await self._bucket.get(place)
        if entry is None:
            return None
        try:
            known = decode(entry.value, Record)
            check_version(known.v)
        except CodecError:
            return _unknown("what is written about this idempotency_key cannot be read")
        if (known.account, known.action, known.key) != (record.account, record.action, record.key):
            return _unknown("what is written about this idempotency_key is about another")
        _check_content(known.content, record.content)
        kept = self._kept.get(place)
        if kept and kept.attempt == known.attempt:
            return await self._settle(place, kept, record, entry.revision)
        return known.response or _unknown(
            "the call with this idempotency_key was begun by a process that ended"
        )

    async def _settle(
        self, place: str, kept: Record, record: Record, revision: int
    ) -> int | Response | None:
        """We know more than the bucket: how an attempt of ours ended, or that it never began."""
        if kept.response:
            await self._write(place, kept, revision, END_S[1])
            return kept.response
        try:
            return await self._bucket.update(place, encode(record), revision)
        except Conflict:
            return None

    async def _write(self, place: str, record: Record, revision: int, left_s: float) -> None:
        """Write an outcome; a record without one is removed: the key is free again."""
        self._kept.pop(place, None)
        try:
            async with asyncio.timeout(min(max(left_s, END_S[0]), END_S[1])):
                if record.response:
                    await self._bucket.update(place, encode(record), revision)
                else:
                    await self._bucket.delete(place, revision)
        except (BusError, Conflict, TimeoutError):
            self._keep(place, record)

    def _keep(self, place: str, record: Record) -> None:
        self._kept.pop(place, None)
        self._kept[place] = record
        if len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]


def changes(action: Action[Any]) -> bool:
    """Whether an action does something; one that only reads may be repeated as it is."""
    return result_type(type(action)) in (type(None), Sent, NativeAnswer)


def content_of(action: Action[Any]) -> str:
    """A hash of all that an action says."""
    return blake2b(encode(action), digest_size=16).hexdigest()


def _check_content(known: str, asked: str) -> None:
    if known != asked:
        raise BadParams(
            "this idempotency_key was used for another call of the same action a short while ago:"
            " draw a new one for each call"
        )


def _not_done(response: Response) -> bool:
    error = response.error
    return bool(error and error.certain and error.code in NOT_DONE)


def _unknown(text: str) -> Response:
    return failed(OutcomeUnknown(f"{text}; it may have been done"))


def _next_id() -> str:
    return _nuid.next().decode()
