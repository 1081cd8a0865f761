"""Runs the connector of one platform: webhooks at every replica, the rest at the owner.

For each account it keeps the claim, opens the connector, tells the directory, lets actions be taken
(`onebus.answering`), and starts again when the platform was away.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from aiohttp import web
from msgspec import Struct

from onebus import metrics, subjects
from onebus.announce import Announcer
from onebus.answering import Answering
from onebus.arrivals import Arrival, Arrivals
from onebus.backoff import Backoff
from onebus.bus import Bus
from onebus.connector import Connector, SelfInfo, WebhookRequest, capabilities
from onebus.deferred import DeferredQueue
from onebus.errors import (
    AuthFailed,
    BusUnavailable,
    Misconfigured,
    NotReady,
    OnebusError,
    SetupError,
)
from onebus.ids import Account, Platform
from onebus.inflight import InFlight
from onebus.kit import BusKit, Outside
from onebus.lease import Lease, Sessions
from onebus.reconnect import STABLE_S
from onebus.service import Role, guarded
from onebus.waiting import at_most

LEAVE_S = 5.0
"""How long calls wait for the next owner while this one finishes what it has begun."""
HUMAN_S = 300.0
"""How often rejected credentials are tried again."""
RELEASE_S = 2.0
"""How long giving the accounts back may take, when there is no time left for anything."""
MAX_WEBHOOKS = 200
"""Calls of the platform that one account answers at once; one more is told to come again."""


class AccountHost:
    """One account in this process."""

    def __init__(
        self, bus: Bus, lease: Lease, connector: Connector[Any], kit: BusKit, arrival: Arrival
    ) -> None:
        self.account = kit.account
        self.connector = connector
        self._bus = bus
        self._lease = lease
        self._kit = kit
        self._arrival = arrival
        self._actions = Answering(bus, connector, kit, kit.owned)
        self._webhooks = InFlight()
        self._announcer = Announcer(bus, kit, lambda: lease.session, capabilities(type(connector)))

    async def own(self) -> None:
        """Serve the account for as long as it is ours."""
        self._kit.logger.info("owned by this process")
        try:
            await self._own()
        finally:
            self._kit.logger.info("not owned by this process now")

    async def _own(self) -> None:
        backoff = Backoff(1, 60)
        while True:
            try:
                await self._lease.sure(claim_key(self.account))
                info = await self._opened()
                with backoff.trying(STABLE_S):
                    await self._serve(info)
                raise NotReady("its receiving ended by itself")
            except NotReady as error:
                await self._announcer.offline(str(error))
                await backoff.wait()
            except AuthFailed as error:
                await self._announcer.offline(f"{error}; trying again in {HUMAN_S:.0f} s")
                await asyncio.sleep(HUMAN_S)
            except Misconfigured as error:
                await self._announcer.offline(f"{error}; not tried again")
                await asyncio.Event().wait()
            finally:
                with contextlib.suppress(OnebusError):
                    await guarded(self.connector.close(), f"{self.account} close")

    async def stop_taking(self) -> None:
        """Take no more actions, and wait for those in flight.

        What the platform has called us for goes first: its answer may be a bot's action.
        """
        await self._webhooks.idle()
        self._actions.open = False
        await self._actions.idle()

    async def leave(self) -> bool:
        """Finish what is in flight, so that another process can go on; False: not now."""
        was_open = self._actions.open
        try:
            async with asyncio.timeout(LEAVE_S):
                await self.stop_taking()
        except TimeoutError:
            self._actions.open = was_open
            return False
        return True

    def observe(self) -> None:
        """Add what waits for its turn, or is under way."""
        metrics.queue_waiting.labels("actions").inc(self._actions.count)
        metrics.queue_waiting.labels("appends").inc(self._kit.waiting)

    async def webhook(self, request: web.Request) -> web.Response:
        """Hand a platform's call to the connector as it came.

        Raises BusUnavailable when it has to come again: without NATS nothing could be kept of it.
        """
        if not self._bus.connected or self._webhooks.count >= MAX_WEBHOOKS:
            raise BusUnavailable("nothing can be taken now; try again")
        with self._webhooks.one():
            reply = await self.connector.webhook(
                WebhookRequest(
                    request.method, dict(request.query), request.headers, await request.read()
                )
            )
        return web.Response(
            status=reply.status, body=reply.body, content_type=reply.content_type, charset="utf-8"
        )

    async def _opened(self) -> SelfInfo:
        """Open the connector; whatever is not one of the three failures may pass by itself."""
        try:
            await self._kit.begin()
            return await guarded(self.connector.open(), f"{self.account} open")
        except OnebusError as error:
            raise _setup_error(error) from error

    async def _serve(self, info: SelfInfo) -> None:
        problem: OnebusError | None = None
        async with asyncio.TaskGroup() as group:
            rest = (self._arrival, self._kit.logger)
            queue = DeferredQueue(self._bus, self.account, self._actions, *rest)
            waiting = group.create_task(queue.run())
            try:
                await self._receive(group, info)
            except OnebusError as error:  # kept out of the group, which would wrap it
                problem = error
            await self._actions.idle()
            waiting.cancel()
        if problem:
            raise _setup_error(problem) from problem

    async def _receive(self, group: asyncio.TaskGroup, info: SelfInfo) -> None:
        """Take actions and receive events until receiving ends."""
        subject = f"{self._bus.prefix}.{subjects.actions(self.account)}"
        subscription = await self._bus.subscribe_direct(subject, partial(self._actions.take, group))
        self._actions.open = True
        telling = group.create_task(self._announcer.online(info))
        try:
            await guarded(self.connector.run(), f"{self.account} receiving")
        finally:
            self._actions.open = False
            telling.cancel()
            with contextlib.suppress(OnebusError, TimeoutError):
                await self._kit.save_cursors()
            await self._bus.drain(subscription)


class ConnectorHost(Role):
    """All accounts of one platform in this process; a role of `service`."""

    drains_last = True  # a frontend's calls in flight may be for an account that is served here

    def __init__(
        self,
        bus: Bus,
        sessions: Sessions,
        kind: type[Connector[Any]],
        configs: Mapping[Account, Struct],
        outside: Outside,
        *,
        exclusive: str = "",
    ) -> None:
        self._platform = Platform(next(iter(configs)).platform)
        keys = map(claim_key, configs)
        self._lease = Lease(bus, self._platform, sessions, keys, exclusive=exclusive)
        self._bus = bus
        self._outside = outside
        self._arrivals = Arrivals(bus, self._platform, configs)
        self._hosts = [self._host(kind, account, config) for account, config in configs.items()]

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Each account's webhook and pages below `/{platform}/{account}`."""
        for host in self._hosts:
            base = f"/{host.account.platform}/{host.account.account_id}"
            if type(host.connector).webhook is not Connector.webhook:
                yield web.route("GET", f"{base}/webhook", host.webhook)
                yield web.route("POST", f"{base}/webhook", host.webhook)
            for route in host.connector.routes():
                yield web.RouteDef(route.method, base + route.path, route.handler, route.kwargs)

    def missing(self) -> Iterable[str]:
        """What keeps it from owning accounts; webhooks need nothing but NATS."""
        return self._lease.missing()

    def observe(self) -> None:
        """What waits for its turn."""
        for host in self._hosts:
            host.observe()

    async def run(self) -> None:
        """Serve the accounts that this process owns, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lease.run(f"account.{subjects.escape(self._platform)}"))
            group.create_task(self._arrivals.run())
            for host in self._hosts:
                work = self._lease.hold(claim_key(host.account), host.own, host.leave)
                group.create_task(work)

    async def drain(self) -> None:
        """Finish the actions in flight, then give the accounts back, also when the time is up.

        The directory still says online: who calls now waits for the next owner, which a rolling
        restart has ready. Without one, our session's end makes the account offline.
        """
        try:
            await asyncio.gather(*(host.stop_taking() for host in self._hosts))
        finally:
            async with at_most(RELEASE_S):
                await self._lease.release()
        for host in self._hosts:  # every replica: what its routes hold open must end too
            await host.connector.close()

    def _host(self, kind: type[Connector[Any]], account: Account, config: Struct) -> AccountHost:
        key = claim_key(account)
        synthetic = kind.event_ids == "synthetic"
        kit = BusKit(
            self._bus, account, self._outside, lambda: self._lease.owned(key), synthetic=synthetic
        )
        connector, arrival = kind(config, kit), self._arrivals.of(account)
        return AccountHost(self._bus, self._lease, connector, kit, arrival)


def claim_key(account: Account) -> str:
    """Under which key an account is claimed."""
    return f"account.{subjects.account_key(account)}"


def _setup_error(error: OnebusError) -> SetupError:
    """Whatever is not one of the three failures of setting up may pass by itself."""
    return error if isinstance(error, SetupError) else NotReady(str(error))
