"""The HTTP POST transport: each event is posted to the bot, whose answer may be a quick operation.

Source: OneBot V11, communication/http-post.md. Events of one chat go one after the other, chats
beside each other. An event is posted again only when the bot has certainly not taken it, or when
this process died or the network went away meanwhile: a bot that raises after it has replied must
not reply twice.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import aiohttp

from frontends.onebot_v11.door import CHECK_S, Door
from frontends.onebot_v11.floor import Floor
from frontends.onebot_v11.follow import Following
from frontends.onebot_v11.frame import Frame
from frontends.onebot_v11.peer import Peer
from frontends.onebot_v11.post import (
    MAX_ANSWER_BYTES,
    Cut,
    NoAnswer,
    NotTaken,
    Reply,
    operation,
    refused,
)
from frontends.onebot_v11.progress import Progress
from frontends.onebot_v11.push import Claim, known
from frontends.onebot_v11.quick import run_quick
from frontends.onebot_v11.reach import Reach, trouble_of
from frontends.onebot_v11.session import Lifecycle, Session
from frontends.onebot_v11.shared import Identity
from frontends.onebot_v11.target import Target
from frontends.onebot_v11.unrecorded import Unrecorded
from onebus import __version__, metrics
from onebus.bucket import Bucket, Conflict
from onebus.codec import decode
from onebus.errors import OnebusError
from onebus.inflight import InFlight
from onebus.ordering import Lanes
from onebus.service import guarded
from onebus.waiting import at_most

logger = logging.getLogger(__name__)

CONNECT_S = 10.0
MAX_AHEAD = 500
"""Events that may be finished while an older one is not; each is known and not posted again."""
MAX_AT_ONCE = 32
MAY_REPEAT = 64
"""Posts that are not on record: those that come again when this process dies."""
SAVE_EVERY = 16
MAX_WAIT_S = 60.0
ENABLE_S = 5.0
"""How long the first lifecycle event may hold back the others."""
REST_S = 1.0
SPOKE = (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)
"""What comes of something that the bot's machine said: no sign of it need be waited for."""
FATAL = 5
"""An event at which the way to the bot's machine was cut so often may be what ends that machine."""
SETTLE_S = 15.0
SAVE_S = 2.0
BYE_S = 2.0
NOT_TAKEN = (429, 503)


class HttpPost:
    """Posts one account's events to one bot; a Pusher."""

    def __init__(
        self,
        session: Session,
        target: Target,
        claim: Claim,
        progress: Progress,
        http: aiohttp.ClientSession,
    ) -> None:
        self._session = session
        self._target = target
        self._claim = claim
        self._progress = progress
        self._http = http
        self._timeout = aiohttp.ClientTimeout(
            total=target.timeout_ms / 1000 or None, sock_connect=CONNECT_S
        )
        self._reach = Reach(
            f"{target.account}: events for {target.name}",
            "delivered",
            metrics.target_up.labels(*target.way),
        )
        self._once = Bucket(session.bus, "idempotency")
        self._lanes = Lanes(MAX_AHEAD)
        self._floor = Floor(0)
        self._room = asyncio.Event()
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)
        self._unrecorded = Unrecorded(MAY_REPEAT)
        self._door = Door()
        self._in_flight = InFlight()
        self._introduced = asyncio.Event()
        self._enabled = False
        self._live = False
        self._stopping = asyncio.Event()
        self._odd_answers = 0

    async def run(self) -> None:
        """Post events from where the bot stopped, until cancelled."""
        await known(self._session)
        after = await self._progress.start()
        self._floor = Floor(after)
        had = self._progress.ahead
        follow = self._session.follow(after, self._target.events, patient=True)
        async with follow as following, asyncio.TaskGroup() as group:
            group.create_task(self._follow_account())
            group.create_task(self._settle(following))
            group.create_task(self._record_all())
            group.create_task(self._rest())
            if self._session.config.enable_heartbeat:
                group.create_task(self._post_heartbeats())
            async with at_most(ENABLE_S):
                await self._introduced.wait()
            while True:
                frame = await following.next(self._caught_up)
                self._floor.begin(frame.sequence)
                if frame.sequence in had:
                    self._floor.end(frame.sequence)
                    continue
                group.create_task(self._post_in_turn(frame))
                await self._until_room()

    async def drain(self) -> None:
        """Start no more, wait for the answers and for what they ask for, and say `disable`."""
        self._stopping.set()
        self._unrecorded.no_limit()
        try:
            await self._in_flight.idle()
        finally:
            async with at_most(SAVE_S):
                await self._record(at_once=True)
                await self._progress.save()
        if self._enabled:
            async with at_most(BYE_S):
                await self._post_lifecycle("disable")

    async def _until_room(self) -> None:
        while self._floor.width >= MAX_AHEAD:
            self._room.clear()
            await self._room.wait()

    async def _settle(self, following: Following) -> None:
        """The place in the log of an idle bot moves on, or the log would forget it."""
        while True:
            await asyncio.sleep(SETTLE_S)
            if not self._floor.width and not following.ready:
                self._floor.settle(following.settled)
                await self._progress.done(self._floor.sequence)

    async def _rest(self) -> None:
        """What was not saved at once is saved soon."""
        while True:
            await asyncio.sleep(REST_S)
            await self._record(at_once=True)

    async def _caught_up(self) -> None:
        """Nothing older is left in the log; once it is all done, say what was left out."""
        self._live = True
        if not self._floor.width:
            self._progress.caught_up()

    async def _post_in_turn(self, frame: Frame) -> None:
        with self._in_flight.one():
            async with self._lanes.turn(frame.chat):
                if await self._deliver(frame):
                    self._floor.end(frame.sequence)
                    self._unrecorded.end(frame.sequence)
                    self._room.set()
            if self._live and not self._floor.width:
                self._progress.caught_up()

    async def _record_all(self) -> None:
        """Note what ends; while that is stored more ends, which is noted together."""
        while True:
            await self._unrecorded.news.wait()
            self._unrecorded.news.clear()
            await self._record()

    async def _record(self, *, at_once: bool = False) -> None:
        """Note what has ended, so that it is not posted again after a crash."""
        ended = self._unrecorded.ended
        place, now = (self._floor.sequence, self._floor.ahead), len(ended) >= SAVE_EVERY
        if await self._progress.done(*place, at_once=at_once or now):
            self._unrecorded.recorded(ended)

    async def _deliver(self, frame: Frame) -> bool:
        """Post until the bot has taken it, or it is given up; False when we stop before that."""
        again, cuts = False, 0
        while not self._stopping.is_set():
            await self._claim.sure()
            if not self._progress.fresh(frame):
                return True
            try:
                if reply := await self._door.through(partial(self._post_once, frame)):
                    self._progress.sent(frame, again=again)
                    await self._take(reply, frame)
                    return True
            except NotTaken as refusal:
                self._reach.lost(refusal.trouble)
                again = again or refusal.retry_after_s > 0  # the bot had it, and sent it back
                await self._pause(min(refusal.retry_after_s, MAX_WAIT_S))
            except (NoAnswer, Cut) as failure:
                self._reach.lost(failure.trouble)
                again, cuts = True, cuts + 1
                if isinstance(failure, NoAnswer) or cuts == FATAL:
                    await self._progress.bury(frame, failure.trouble.cause)
                    return True
        return False

    async def _post_once(self, frame: Frame) -> Reply | None:
        """Post in its turn among all chats; None when we are to stop by then."""
        async with self._at_once:
            first = frame.sequence not in self._unrecorded
            if first:
                await self._unrecorded.room()
            await self._claim.sure()
            if self._stopping.is_set():
                return None
            self._unrecorded.add(frame.sequence)
            try:
                reply = await self._post(frame.body, frame.self_id)
                if reply.status in NOT_TAKEN:
                    raise NotTaken(refused(reply.status), reply.retry_after_s or 1)
            except NotTaken:
                if first:
                    self._unrecorded.discard(frame.sequence)
                raise
        return reply

    async def _pause(self, delay_s: float) -> None:
        """Wait, but not past the moment when we are to stop."""
        async with at_most(delay_s):
            await self._stopping.wait()

    async def _post(self, body: bytes, self_id: int) -> Reply:
        """Post once. Raises NotTaken, NoAnswer or Cut."""
        connected = asyncio.Event()

        def on_connected() -> None:
            connected.set()
            self._door.opened()

        with self._in_flight.one(), Peer() as peer:
            try:
                return await self._attempt(body, self._headers(body, self_id), on_connected)
            except (aiohttp.ClientError, TimeoutError) as error:
                if not connected.is_set():
                    self._door.closed()
                    raise NotTaken(trouble_of(error)) from error  # nothing was written
                if await peer.gone(certain=isinstance(error, SPOKE)):
                    raise Cut from error
                raise NoAnswer(trouble_of(error)) from error

    async def _attempt(
        self, body: bytes, headers: dict[str, str], on_connected: Callable[[], None]
    ) -> Reply:
        async with self._http.post(
            self._target.url,
            data=body,
            headers=headers,
            timeout=self._timeout,
            allow_redirects=False,
            trace_request_ctx=on_connected,
        ) as response:
            answer = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    break
            after = response.headers.get("Retry-After", "")
            wait_s = float(after) if after.isdecimal() else 0.0
            return Reply(response.status, bytes(answer), wait_s)

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
            trouble = refused(reply.status)
            self._reach.lost(trouble)
            await self._progress.bury(frame, trouble.cause)
            return
        self._reach.found()
        self._reach.steady()
        try:
            if asked := operation(reply.body):
                await self._operate(frame, asked)
        except OnebusError as error:
            self._odd_answers += 1
            level = logging.WARNING if self._odd_answers == 1 else logging.DEBUG
            text = "%s: an answer to an event was ignored, as will be others like it: %s"
            logger.log(level, text, self._target.name, error)

    async def _operate(self, frame: Frame, asked: dict[str, Any]) -> None:
        """Carry a quick operation out, once: the event may be posted again after a crash."""
        key = f"quick.{self._target.key}.{frame.sequence}"
        try:
            await self._once.create(key, b"")
        except Conflict:
            return
        context = decode(frame.body, dict[str, Any])
        work = run_quick(self._session, context, asked)
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
        """Say `enable` whenever the account has come online, once the bot can be reached."""
        told = False
        while True:
            online = self._session.status()["online"]
            if not online:
                told = False
            elif not told and not self._stopping.is_set():
                enable = partial(self._post_lifecycle, "enable")
                told = self._enabled = bool(await self._door.through(enable))
            self._introduced.set()
            await asyncio.sleep(CHECK_S)

    async def _post_lifecycle(self, sub_type: Lifecycle) -> bool:
        """Whether the bot got it; it is not repeated."""
        identity = await known(self._session)
        await self._claim.sure()
        return await self._post_meta(self._session.lifecycle(identity.self_id, sub_type), identity)

    async def _post_heartbeats(self) -> None:
        """A bot that is slow to answer gets fewer."""
        while not self._stopping.is_set():
            await asyncio.sleep(self._session.config.heartbeat_interval / 1000)
            identity = await known(self._session)
            await self._claim.sure()
            await self._post_meta(self._session.heartbeat(identity.self_id), identity)

    async def _post_meta(self, body: bytes, identity: Identity) -> bool:
        try:
            await self._post(body, identity.self_id)
        except (NotTaken, NoAnswer, Cut) as error:
            self._reach.lost(error.trouble)
            return False
        return True
