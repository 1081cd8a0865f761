"""The HTTP POST transport: each event is posted to the bot, whose answer may be a quick operation.

Source: OneBot V11, communication/http-post.md. Events of one chat go one after the other, chats
beside each other. What may have reached the bot is never posted again: a bot that raises after it
has replied must not reply twice. Only a connection that could not be made is tried again, briefly.
"""

import asyncio
import contextlib
import hashlib
import hmac
import logging
from typing import Any

import aiohttp
from msgspec import Struct

from frontends.onebot_v11.feed import Listener
from frontends.onebot_v11.frame import Frame
from frontends.onebot_v11.push import Claim, known
from frontends.onebot_v11.quick import run_quick
from frontends.onebot_v11.reach import Reach, Trouble, trouble_of
from frontends.onebot_v11.session import Lifecycle, Session
from frontends.onebot_v11.target import Target
from onebus import __version__
from onebus.backoff import Backoff
from onebus.codec import CodecError, decode
from onebus.errors import OnebusError
from onebus.ordering import Lanes
from onebus.service import guarded

logger = logging.getLogger(__name__)

CONNECT_S = 10.0
ATTEMPTS = 3
MAX_UNDER_WAY = 500
"""Events of one target that wait for their turn or their answer; more stay in the listener."""
MAX_AT_ONCE = 32
MAX_ANSWER_BYTES = 1 << 20
CHECK_S = 0.5
ENABLE_S = 5.0
"""How long the first lifecycle event may hold back the others."""
FINISH_S = 5.0
BYE_S = 2.0


class Reply(Struct, frozen=True):
    """What the bot answered."""

    status: int
    body: bytes


class HttpPost:
    """Posts one account's events to one bot; a Pusher."""

    def __init__(
        self, session: Session, target: Target, claim: Claim, http: aiohttp.ClientSession
    ) -> None:
        self._session = session
        self._target = target
        self._claim = claim
        self._http = http
        self._timeout = aiohttp.ClientTimeout(
            total=target.timeout_ms / 1000 or None, sock_connect=CONNECT_S
        )
        self._reach = Reach(f"{target.account}: events for {target.name}", "delivered")
        self._lanes = Lanes(MAX_UNDER_WAY)
        self._room = asyncio.Semaphore(MAX_UNDER_WAY)
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._introduced = asyncio.Event()
        self._enabled = False
        self._stopping = False
        self._odd_answers = 0

    async def run(self) -> None:
        """Post events from now on, until cancelled."""
        await known(self._session)
        listener = await self._session.attach(self._target.events)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_account())
                group.create_task(self._tell_overflow(listener))
                if self._session.config.enable_heartbeat:
                    group.create_task(self._post_heartbeats())
                await self._post_events(listener, group)
        finally:
            self._session.detach(listener)

    async def drain(self) -> None:
        """Take no more events, wait for the answers, and say `disable`."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), FINISH_S)
        if self._enabled:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._post_lifecycle("disable"), BYE_S)

    async def _post_events(self, listener: Listener, group: asyncio.TaskGroup) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._introduced.wait(), ENABLE_S)
        while True:
            frame = await listener.frames.get()
            listener.frames.task_done()
            await self._room.acquire()
            if self._stopping:
                await asyncio.Event().wait()
            self._under_way += 1
            self._idle.clear()
            group.create_task(self._post_in_turn(frame))

    async def _post_in_turn(self, frame: Frame) -> None:
        try:
            async with self._lanes.turn(frame.chat), self._at_once:
                await self._claim.sure()
                reply = await self._post(frame.body, frame.self_id)
                if reply:
                    await self._take(reply, frame)
        finally:
            self._room.release()
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _post(self, body: bytes, self_id: int) -> Reply | None:
        """Post once; None when the bot did not answer, which is said in the log."""
        backoff = Backoff(0.3, 2)
        for attempt in range(ATTEMPTS):
            if attempt:
                await backoff.wait()
            try:
                return await self._attempt(body, self._headers(body, self_id))
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                self._reach.lost(trouble_of(error))  # nothing was written, so it may be repeated
            except (aiohttp.ClientError, TimeoutError) as error:
                self._reach.lost(trouble_of(error))
                return None
        logger.debug("an event for %s was given up", self._target.name)
        return None

    async def _attempt(self, body: bytes, headers: dict[str, str]) -> Reply:
        async with self._http.post(
            self._target.url,
            data=body,
            headers=headers,
            timeout=self._timeout,
            allow_redirects=False,
        ) as response:
            answer = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    break
            return Reply(response.status, bytes(answer))

    def _headers(self, body: bytes, self_id: int) -> dict[str, str]:
        """Strict bots want exactly this Content-Type, and sign the very bytes of the body."""
        headers = {
            "Content-Type": "application/json",
            "X-Self-ID": str(self_id),
            "User-Agent": f"onebus/{__version__}",
        }
        if secret := self._target.secret:
            digest = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
            headers["X-Signature"] = f"sha1={digest}"
        if token := self._target.access_token:
            headers["Authorization"] = f"Bearer {token}"
        return headers

    async def _take(self, reply: Reply, frame: Frame) -> None:
        """The answer to an event: nothing, or a quick operation, whatever its Content-Type."""
        if not 200 <= reply.status < 300:
            self._reach.lost(_refused(reply.status))
            return
        self._reach.found()
        self._reach.steady()
        try:
            if operation := _operation(reply.body):
                await self._operate(decode(frame.body, dict[str, Any]), operation)
        except OnebusError as error:
            self._odd_answers += 1
            level = logging.WARNING if self._odd_answers == 1 else logging.DEBUG
            text = "%s: an answer to an event was ignored, as will be others like it: %s"
            logger.log(level, text, self._target.name, error)

    async def _operate(self, context: dict[str, Any], operation: dict[str, Any]) -> None:
        work = run_quick(self._session, context, operation)
        for failure in await guarded(work, "quick operation"):
            answer = failure.answer
            logger.warning(
                "%s: quick operation %s failed: %d %s",
                self._target.name,
                failure.action,
                answer.retcode,
                answer.wording,
            )

    async def _follow_account(self) -> None:
        """Say `enable` whenever the account has come online."""
        was_online = False
        while True:
            online = self._session.status()["online"]
            if online and not was_online and not self._stopping:
                await self._post_lifecycle("enable")
                self._enabled = True
            self._introduced.set()
            was_online = online
            await asyncio.sleep(CHECK_S)

    async def _post_lifecycle(self, sub_type: Lifecycle) -> None:
        identity = await known(self._session)
        await self._claim.sure()
        body = self._session.lifecycle(identity.self_id, sub_type)
        await self._post(body, identity.self_id)

    async def _post_heartbeats(self) -> None:
        """A bot that is slow to answer gets fewer."""
        while True:
            await asyncio.sleep(self._session.config.heartbeat_interval / 1000)
            if self._stopping:
                return
            identity = await known(self._session)
            await self._claim.sure()
            await self._post(self._session.heartbeat(identity.self_id), identity.self_id)

    async def _tell_overflow(self, listener: Listener) -> None:
        """A bot that does not keep up loses events, and never holds up another."""
        while True:
            await listener.overflow.wait()
            logger.warning("%s does not keep up: events for it are left out", self._target.name)
            await listener.frames.join()
            listener.overflow.clear()
            logger.info("%s keeps up again", self._target.name)


def _operation(body: bytes) -> dict[str, Any] | None:
    """A quick operation, None for an empty answer. Raises CodecError."""
    if len(body) > MAX_ANSWER_BYTES:
        raise CodecError("it is larger than 1 MiB")
    if not body.strip():
        return None
    operation = decode(body, object)
    if not isinstance(operation, dict):
        raise CodecError("it is no JSON object")
    return operation


def _refused(status: int) -> Trouble:
    fixes = {
        401: "compare secret with the bot's",
        403: "compare secret with the bot's",
        404: "compare the address: nonebot2 takes events at /onebot/v11/http, aiocqhttp at /",
    }
    hint = "redirects are not followed" if 300 <= status < 400 else "the bot's log may say why"
    return Trouble(f"the bot answered HTTP {status}", fixes.get(status, hint))
