"""Asking an account's owner to do something, from any process."""

import asyncio
import logging
import time
from typing import TypeVar, cast

import msgspec
from nats.aio.msg import Msg

from onebus import subjects
from onebus.action import Action, AnyAction, Request, Response, result_type
from onebus.bus import Bus, NoResponders, TooLarge
from onebus.codec import decode, encode
from onebus.directory import Directory
from onebus.errors import AccountOffline, BadParams, BusTimeout, InternalError, action_error
from onebus.ids import Account

logger = logging.getLogger(__name__)

R = TypeVar("R")

DEADLINE_S = 25.0
"""Below the 30 s after which bots give up by themselves."""
RETRY_S = 0.1
MARGIN_S = 0.5
ANSWER_S = 0.5
"""The owner's deadline is so much earlier: it must still be able to say that it has passed."""
MAX_ACTION_BYTES = 7 << 20
NOT_OWNER = "not_owner"


class Caller:
    """Request/reply with the one owner of an account, with an absolute deadline."""

    def __init__(self, bus: Bus, directory: Directory) -> None:
        self._bus = bus
        self._directory = directory

    async def call(
        self,
        account: Account,
        action: Action[R],
        *,
        timeout_s: float = DEADLINE_S,
        idempotency_key: str = "",
    ) -> R:
        """What the action answers. With a key it is done once, see `onebus.once`.

        Raises ActionError as the owner raised it; BusUnavailable or AccountOffline when nothing
        was delivered; BusTimeout when the outcome is unknown.
        """
        deadline_s = time.time() + timeout_s
        request = Request(
            account=account,
            deadline_ms=int((deadline_s - min(ANSWER_S, timeout_s / 4)) * 1000),
            action=cast("AnyAction", action),
            idempotency_key=idempotency_key,
        )
        body = encode(request)
        if len(body) > MAX_ACTION_BYTES:
            raise BadParams(f"the call has {len(body)} bytes; at most {MAX_ACTION_BYTES} are taken")
        response = await self._ask(account, body, deadline_s)
        if response.error:
            raise action_error(response.error)
        try:
            kind = result_type(type(action))
            result = b"null" if response.result is msgspec.UNSET else response.result
            return cast("R", msgspec.json.decode(result, type=kind))
        except msgspec.MsgspecError as error:
            logger.error("%s answered %s with %s", account, type(action).__name__, error)
            raise InternalError("the connector's answer has an unknown shape") from error

    async def _ask(self, account: Account, body: bytes, deadline_s: float) -> Response:
        """Ask until an owner takes it: what nobody took was delivered to nobody."""
        subject = f"{self._bus.prefix}.{subjects.actions(account)}"
        while True:
            left_s = deadline_s - time.time()
            try:
                reply = await self._request(account, subject, body, max(left_s, 0.1))
                response = decode(reply.data, Response)
                if response.error is None or response.error.code != NOT_OWNER:
                    return response
            except TooLarge as error:
                raise BadParams(f"the call is too large: {error}") from error
            except NoResponders:
                if not self._directory.online(account):
                    raise AccountOffline(f"{account} is offline") from None
            if deadline_s - time.time() < MARGIN_S:
                raise AccountOffline(f"nobody took the call for {account} in time")
            await asyncio.sleep(RETRY_S)

    async def _request(self, account: Account, subject: str, body: bytes, timeout_s: float) -> Msg:
        """Ask, and wait no longer than somebody may answer: its owner may end meanwhile."""
        server = self._directory.server(account)

        def lives() -> bool:
            return not server or self._directory.lives(server)

        try:
            return await self._bus.request(subject, body, timeout_s, lives=lives)
        except BusTimeout:
            if not lives():
                raise BusTimeout("the process that had the call ended") from None
            raise
