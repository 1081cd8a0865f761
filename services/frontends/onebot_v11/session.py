"""What all transports share: one account as bots meet it.

A session knows the account's self id, runs actions and answers each exactly once, and turns events
of the log into OneBot JSON. Transports only move bytes.
"""

import asyncio
import copy
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, TypeAlias

from aiohttp import web

from frontends.onebot_v11.action import ACTIONS
from frontends.onebot_v11.auth import Throttle
from frontends.onebot_v11.call import Call, deadline_s
from frontends.onebot_v11.config import Config
from frontends.onebot_v11.event import event_references, heartbeat, lifecycle, to_onebot_event
from frontends.onebot_v11.feed import Feeds, Listener, NotKnownHere, Style, Translation
from frontends.onebot_v11.follow import Following, Interest
from frontends.onebot_v11.frame import Frame, frame_of
from frontends.onebot_v11.link import Links
from frontends.onebot_v11.lookup import Lookup
from frontends.onebot_v11.native import SPEAKS
from frontends.onebot_v11.params import KEY, read_key
from frontends.onebot_v11.references import Numbers
from frontends.onebot_v11.retcode import Answer, accepted, failed, ok
from frontends.onebot_v11.shared import Identity, Shared
from frontends.onebot_v11.suffix import DeferredCall, Form, handler_of, known_name, split_form
from frontends.onebot_v11.view import Fields, View
from onebus import metrics, subjects
from onebus.bus import Bus
from onebus.caller import Caller
from onebus.codec import encode
from onebus.connector import media_limits
from onebus.directory import AccountRecord, Directory
from onebus.errors import AccountOffline, BadParams, BusUnavailable, OnebusError
from onebus.frontend import FrontendMedia
from onebus.idmap import OwnNumbers, scope_of
from onebus.ids import Account, AccountId, Platform
from onebus.log import Log, Stored
from onebus.media import UNLIMITED, MediaStore
from onebus.ordering import Lanes
from onebus.service import Role, guarded

logger = logging.getLogger(__name__)

NO_MEDIA = FrontendMedia()

ADDRESSES_KEPT = 16
"""Addresses under which bots reach us, and for which an account's copy is kept."""

Lifecycle: TypeAlias = Literal["enable", "disable", "connect"]


class Session:
    """One account; see the module."""

    def __init__(self, shared: Shared, account: Account, config: Config, feeds: Feeds) -> None:
        self.account = account
        self.config = config
        self._shared = shared
        self._feeds = feeds
        self._lanes = Lanes()
        self._known: dict[str, Identity] = {}
        """Who the account is, under "me": shared by all copies of this session."""
        self._base_url = ""
        self._at: dict[str, Session] = {}

    async def identity(self) -> Identity:
        """Who the account is.

        Raises AccountOffline while that is not known, BusError when NATS is away.
        """
        record = self._shared.directory.get(self.account)
        if record is None:
            if not self._shared.bus.connected:
                raise BusUnavailable("no connection to NATS")
            raise AccountOffline(
                f"{self.account} was never online here: is its connector running, and its "
                "configuration right? The connector's log says more"
            )
        identity = self._known.get("me")
        if identity is None or identity.record.self_user != record.self_user:
            identity = self._known["me"] = await self._identify(record)
        return identity

    async def execute(
        self,
        name: str,
        params: Mapping[str, Any],
        *,
        as_text: bool,
        ends_at_s: float | None = None,
    ) -> Answer:
        """Run an action and answer it, whatever happens, within `deadline_s`.

        `as_text`: its message came from a query or form. `ends_at_s`: an earlier end, by the loop's
        clock. Calls that send into one chat keep the order in which they were made, so this must be
        the first thing that is awaited for a call.
        """
        started_at = time.monotonic()
        ends_at_s = ends_at_s or asyncio.get_running_loop().time() + deadline_s(name)
        answer = await self._execute(name, params, as_text, ends_at_s)
        label = known_name(name) or metrics.UNKNOWN
        metrics.answered(label, answer.retcode, time.monotonic() - started_at)
        return answer

    def form_of(self, name: str) -> tuple[str, Form]:
        """A called name → the action and its form. Raises UnknownAction."""
        if name in ACTIONS:
            return name, ""
        record = self._shared.directory.get(self.account)
        return split_form(name, native=record is not None and SPEAKS in record.capabilities)

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn or are under way."""
        return self._lanes.taken

    async def _execute(
        self, name: str, params: Mapping[str, Any], as_text: bool, ends_at_s: float
    ) -> Answer:
        try:
            action, form = self.form_of(name)
            if form == "_async":
                self._start(action, params, as_text=as_text)
                return self._accepted()
            if form == "_rate_limited":
                return await self._keep(action, params, as_text, ends_at_s)
            key = read_key(params)
            call = Call(self, params, as_text=as_text, idempotency_key=key, ends_at_s=ends_at_s)
            return await self._run_in_turn(name, call, _lane(name, params), ends_at_s)
        except OnebusError as error:
            return failed(error)

    async def _run_in_turn(self, name: str, call: Call, lane: object, ends_at_s: float) -> Answer:
        """Raises RateLimited."""
        try:
            with self._shared.underway.until(ends_at_s):
                async with self._lanes.join(lane):
                    return await self.run(name, call)
        except TimeoutError:
            return failed(call.out_of_time())

    async def _keep(
        self, action: str, params: Mapping[str, Any], as_text: bool, ends_at_s: float
    ) -> Answer:
        """Keep a call for its turn. Raises RateLimited, and BadParams for one with a key."""
        if read_key(params):
            raise BadParams(
                f"`{KEY}` is not taken by _rate_limited calls, each of which is kept once and"
                " started at most once by itself: leave it out, or call without the suffix"
            )
        call = DeferredCall(self, params, as_text=as_text, ends_at_s=ends_at_s)
        answer = await self._run_in_turn(action, call, "_rate_limited", ends_at_s)  # one queue
        return answer if answer.status == "failed" else self._accepted()

    async def run(self, name: str, call: Call) -> Answer:
        """Run an action now, whatever else runs, and answer it."""
        try:
            data = await guarded(handler_of(name)(call), name)
        except OnebusError as error:
            return failed(call.failure(error))
        return data if isinstance(data, Answer) else ok(data, note="; ".join(call.notes))

    def _accepted(self) -> Answer:
        return ok(None) if self.config.async_as_ok else accepted()

    def _start(self, name: str, params: Mapping[str, Any], *, as_text: bool) -> None:
        """Run an action in the background, in its turn among the calls that are made now.

        Raises RateLimited, and BadParams for a key that cannot be one.
        """
        call = Call(self, params, as_text=as_text, idempotency_key=read_key(params))
        place = self._lanes.join(_lane(name, params))

        async def work() -> None:
            async with place:
                answer = await self.run(name, call)
            if answer.status == "failed":  # its `message` may repeat what the bot wrote
                what = f"{name}_async failed: {answer.retcode} {answer.wording}"
                logger.info("%s: %s", self.account, what)

        try:
            self._shared.background.start(self.account, work())
        except OnebusError:
            place.leave()
            raise

    def for_bot(self, config: Config) -> "Session":
        """The same account for a bot that has settings of its own; sends keep one order."""
        session = copy.copy(self)
        session.config = config
        session._at = {}  # noqa: SLF001
        return session

    def at(self, base_url: str) -> "Session":
        """The same account for a bot that reaches us under this address."""
        session = self._at.get(base_url)
        if session is None:
            session = copy.copy(self)
            session._base_url = base_url  # noqa: SLF001
            session._at = {}  # noqa: SLF001
            if len(self._at) < ADDRESSES_KEPT:
                self._at[base_url] = session
        return session

    @property
    def media(self) -> FrontendMedia:
        """How files reach bots."""
        return self._shared.media

    def store(self) -> MediaStore:
        """The account's files; how large each may be is known once the account is."""
        record = self._shared.directory.get(self.account)
        limits = media_limits(record.capabilities) if record else UNLIMITED
        most = self.media.settings.max_bytes
        return MediaStore(self._shared.objects, self.account, limits=limits, max_bytes=most)

    def links(self, record: AccountRecord, base_url: str | None = None) -> Links | None:
        """Addresses of the account's files for a bot; None where there can be none."""
        media = self.media
        base_url = self._base_url or media.base_url() if base_url is None else base_url
        if not (media.secret_key and base_url):
            return None
        lasts_s = int(media.settings.link_hours * 3600)
        fetches = "get_media" in record.capabilities
        return Links(self.account, media.secret_key, base_url, int(time.time()), lasts_s, fetches)

    def _style(self) -> Style:
        base_url = self._base_url or self.media.base_url()
        return Style(self.config.post_message_format, self.config.report_self_message, base_url)

    async def attach(self, events: Collection[str] = ()) -> Listener:
        """Receive the account's events from now on, or those of these names.

        `detach` in the end. Raises BusError.
        """
        return await self._feeds.attach(self.account, self._style(), events)

    def follow(
        self, after: int | None, events: Collection[str] = (), *, patient: bool = False
    ) -> Following:
        """The account's events after one of them, or from now on; see `follow`."""
        interest = Interest(self.account, self._style(), events)
        return Following(self._feeds, self._shared.log, interest, after=after, patient=patient)

    def detach(self, listener: Listener) -> None:
        """Receive no more."""
        self._feeds.detach(self.account, listener)

    @property
    def bus(self) -> Bus:
        """The connection to NATS."""
        return self._shared.bus

    @property
    def caller(self) -> Caller:
        """The way to the account's owner."""
        return self._shared.caller

    @property
    def log(self) -> Log:
        """The event log."""
        return self._shared.log

    def status(self) -> Fields:
        """`get_status`: online as far as anybody knows, good when all of our parts work too."""
        online = self._shared.directory.online(self.account)
        return {"online": online, "good": online and self._shared.bus.connected}

    def lifecycle(
        self, self_id: int, sub_type: Lifecycle, extension: Fields | None = None
    ) -> bytes:
        """`connect` is the first frame of a connection that carries events."""
        return encode(lifecycle(self_id, int(time.time()), sub_type) | (extension or {}))

    def heartbeat(self, self_id: int) -> bytes:
        """A heartbeat as of now."""
        interval_ms = self.config.heartbeat_interval
        return encode(heartbeat(self_id, int(time.time()), self.status(), interval_ms))

    async def translate(self, stored: Stored, style: Style) -> Frame | None:
        """An event as bots get it; None for those that they do not get. Raises BusError."""
        identity = await self.identity()
        numbers = await identity.lookup.numbers(event_references(stored.event))
        return self._frame(stored, style, identity, numbers)

    def translate_known(self, stored: Stored, style: Style) -> Frame | None:
        """The same, if nothing has to be asked for. Raises NotKnownHere."""
        identity, record = self._known.get("me"), self._shared.directory.get(self.account)
        if identity is None or record is None or identity.record.self_user != record.self_user:
            raise NotKnownHere
        numbers = identity.lookup.known(event_references(stored.event))
        if numbers is None:
            raise NotKnownHere
        return self._frame(stored, style, identity, numbers)

    def _frame(
        self, stored: Stored, style: Style, identity: Identity, numbers: Numbers
    ) -> Frame | None:
        self_user = identity.record.self_user.id
        links = self.links(identity.record, style.base_url)
        view = View(
            identity.self_id, self_user, numbers, style.message_format, style.report_self, links
        )
        fields = to_onebot_event(stored.event, view, stored.sequence)
        return frame_of(fields, stored.sequence, stored.stored_at_ms) if fields else None

    async def _identify(self, record: AccountRecord) -> Identity:
        scope = scope_of(self.account.platform, record.id_scope)
        ids = OwnNumbers() if SPEAKS in record.capabilities else self._shared.ids
        self_id = await ids.number(scope, "user", record.self_user.id)
        holder = await self._shared.ids.claim_self(self_id, str(self.account))
        if holder != str(self.account):
            raise AccountOffline(
                f"{self.account} and {holder} are the same user ({self_id}): serve it under one "
                f"name; if {holder} is the old name, delete key self.{self_id} of the ids bucket"
            )
        return Identity(self_id, record, Lookup(self.account, scope, ids, self._shared.log))


class Sessions(Role):
    """All accounts of this process, the reader of their events, and who guesses their tokens."""

    def __init__(
        self,
        bus: Bus,
        directory: Directory,
        configs: Mapping[Account, Config],
        media: FrontendMedia = NO_MEDIA,
    ) -> None:
        self.throttle = Throttle()
        shared = Shared(bus, directory, media)
        self._background = shared.background
        self._underway = shared.underway
        self._feeds = Feeds(bus, shared.log, self._translation)
        self._sessions = {
            subjects.account_key(account): Session(shared, account, config, self._feeds)
            for account, config in configs.items()
        }

    def get(self, account: Account) -> Session | None:
        """The session of a configured account."""
        return self._sessions.get(subjects.account_key(account))

    def all(self) -> Iterable[Session]:
        """The sessions of all configured accounts."""
        return self._sessions.values()

    def origins(self, request: web.Request) -> Collection[str]:
        """The origins whose pages an account lets in: `enable_cors` and `cors_origins`."""
        parts = request.rel_url.parts[1:]
        if parts[2:4] != ("onebot", "v11"):
            return ()
        session = self.get(Account(Platform(parts[0]), AccountId(parts[1])))
        return session.config.cors_origins if session and session.config.enable_cors else ()

    def missing(self) -> Iterable[str]:
        """Somebody to read the log."""
        if not self._feeds.reading:
            yield "events are not read yet"

    def observe(self) -> None:
        """What waits to be translated, to be sent, and for its turn."""
        feeds, listeners = self._feeds.waiting()
        metrics.queue_waiting.labels("feeds").inc(feeds)
        metrics.queue_waiting.labels("listeners").inc(listeners)
        calls = sum(session.waiting for session in self._sessions.values())
        metrics.queue_waiting.labels("calls").inc(calls)

    async def run(self) -> None:
        """Read events for whoever listens, and run what nobody waits for, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._background.run())
            group.create_task(self._feeds.run())

    async def drain(self) -> None:
        """Finish the calls in flight; when there is no time left, answer them all the same."""
        try:
            await self._underway.idle()
            await self._background.idle()
        except asyncio.CancelledError:
            self._underway.give_up()
            raise

    def _translation(self, account: Account) -> Translation:
        session = self._sessions[subjects.account_key(account)]
        return Translation(session.translate, session.translate_known)


def _lane(name: str, params: Mapping[str, Any]) -> object:
    """Which calls must wait for each other: those that send into the same chat."""
    if name.startswith("send_"):
        return str(params.get("group_id") or ""), str(params.get("user_id") or "")
    return object()
