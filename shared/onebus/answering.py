"""Actions of one account at the process that owns it: each is taken, done, and answered once.

One at a time per chat, in the order in which they came; the fence, the deadline and the key are
looked at immediately before the platform is called.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from msgspec import Raw, Struct
from nats.aio.msg import Msg

from onebus.action import Action, GetMedia, Request, Response, action_name
from onebus.bus import Bus, TooLarge
from onebus.caller import DEADLINE_S
from onebus.codec import CodecError, check_version, decode, encode
from onebus.connector import Connector
from onebus.deadline import Watch
from onebus.errors import (
    ActionError,
    BadParams,
    BusError,
    InternalError,
    OutcomeUnknown,
    RateLimited,
)
from onebus.ids import Account
from onebus.inflight import InFlight
from onebus.kit import BusKit
from onebus.once import Once, changes
from onebus.ordering import Lanes, Place
from onebus.response import failed, left_s, not_owner, too_late
from onebus.service import outcome

MAX_ACTIVE = 500
"""Actions of one account at once; one more is refused with rate_limited."""
REPLY_S = 5.0
"""How long an answer waits for NATS to come back."""


class _Asked(Struct):
    """A request on its way through this process; `begun`: the platform may have it."""

    begun: bool = False


class _Call(Struct):
    """What is called, as the log names it if there is a fault in it."""

    account: Account
    action: Action[Any]

    def __str__(self) -> str:
        return f"{self.account} {action_name(self.action)}"


class Answering:
    """Takes the actions of one account while it is `open`."""

    def __init__(
        self, bus: Bus, connector: Connector[Any], kit: BusKit, owned: Callable[[], bool]
    ) -> None:
        self.open = False
        self.owned = owned
        """Whether the account is ours at this moment."""
        self._account = kit.account
        self._bus = bus
        self._connector = connector
        self._kit = kit
        self._lanes = Lanes()
        self._watch = Watch()
        self._once = Once(bus, kit.account)
        self._in_flight = InFlight()

    @property
    def count(self) -> int:
        """How many wait for their turn, or are under way."""
        return self._in_flight.count

    async def idle(self) -> None:
        """Wait until none is in flight."""
        await self._in_flight.idle()

    def take(self, group: asyncio.TaskGroup, message: Msg) -> None:
        """Answer a request in this group; one that comes when it is ending harms nobody."""
        work = self._answer(message) if self.open else self._reply(message, not_owner())
        try:
            group.create_task(work)
        except RuntimeError:  # it is ending; raised here it would cost the connection
            work.close()

    @contextlib.asynccontextmanager
    async def turn(self, action: Action[Any]) -> AsyncIterator[None]:
        """Hold the turn of a deferred action; a clean stop waits for who holds one."""
        chat = getattr(action, "chat", None)
        async with self._lanes.turn(chat.key if chat else object()):
            with self._in_flight.one():
                yield

    def taking(self) -> bool:
        """Whether something new may be started."""
        return self.open and self.owned()

    async def call(self, action: Action[Any], left_s: float = DEADLINE_S) -> Response:
        """Let the connector do it, within this time."""
        result = await outcome(self._within(left_s, action), _Call(self._account, action))
        return failed(result) if isinstance(result, ActionError) else Response(result=result)

    async def _answer(self, message: Msg) -> None:
        asked = _Asked()
        with self._in_flight.one():
            try:
                response = await self._respond(message.data, asked)
                if not self._bus.connected:
                    with contextlib.suppress(BusError):
                        await self._bus.wait_ready(REPLY_S)
                await self._reply(message, response)
            except asyncio.CancelledError:  # the account is somebody else's now
                lost = OutcomeUnknown("the account moved to another process while this was done")
                await self._reply(message, failed(lost) if asked.begun else not_owner())
                raise

    async def _reply(self, message: Msg, response: Response) -> None:
        """Answer, at least with why the answer itself cannot be sent."""
        try:
            await self._bus.publish(message.reply, encode(response))
        except TooLarge as error:
            self._kit.logger.error("an answer could not be sent: %s", error)
            await self._reply(message, failed(InternalError(f"its answer is too large: {error}")))
        except BusError as error:
            self._kit.logger.debug("an answer was not sent: %s", error)

    async def _respond(self, body: bytes, asked: _Asked) -> Response:
        if self._in_flight.count > MAX_ACTIVE:
            return failed(RateLimited("too many calls at once for this account", retry_after_s=1))
        try:
            request = decode(body, Request)
            check_version(request.v)
        except CodecError as error:
            return failed(BadParams(f"not an action of this version of onebus: {error}"))
        try:
            if request.idempotency_key and self._once.under_way(request):
                return await self._execute(request, asked)
            return await self._in_turn(request, asked)
        except TimeoutError:
            return too_late()
        except ActionError as error:
            return failed(error)

    async def _in_turn(self, request: Request, asked: _Asked) -> Response:
        """One at a time per chat. Raises RateLimited when too many wait, or TimeoutError."""
        chat = getattr(request.action, "chat", None)
        if chat is None:
            return await self._execute(request, asked)
        place = self._lanes.join(chat.key)
        try:
            if not place.first:
                await _until_first(place, left_s(request))
            return await self._execute(request, asked)
        finally:
            place.leave()

    async def _execute(self, request: Request, asked: _Asked) -> Response:
        """Fence, deadline and key are looked at here, immediately before the platform is called."""
        if refused := self._refusal(request):
            return refused
        if request.idempotency_key and changes(request.action):
            refusal, perform = partial(self._refusal, request), partial(self._perform, request)
            return await self._once.run(request, refusal, partial(perform, asked))
        return await self._perform(request, asked)

    def _refusal(self, request: Request) -> Response | None:
        """Why a request must not be started at this moment."""
        if not self.taking() or request.account != self._account:
            return not_owner()
        return too_late() if left_s(request) <= 0 else None

    async def _perform(self, request: Request, asked: _Asked) -> Response:
        asked.begun = True
        return await self.call(request.action, left_s(request))

    async def _within(self, left_s: float, action: Action[Any]) -> Raw:
        """What the connector answers; a file that was had before comes from the store."""
        try:
            with self._watch.within(left_s):
                if isinstance(action, GetMedia):
                    return Raw(encode(await self._kit.media.get(action)))
                return Raw(encode(await getattr(self._connector, action_name(action))(action)))
        except TimeoutError:
            raise OutcomeUnknown("the platform did not answer before the deadline") from None


async def _until_first(place: Place, left_s: float) -> None:
    async with asyncio.timeout(left_s):
        await place.__aenter__()
