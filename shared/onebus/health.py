"""How a process does, for who runs it: `/healthz`, `/readyz` and `/metrics` on its listener.

None of them asks for a token: they hold no message, no id of a stranger, and no secret.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence

from aiohttp import web

from onebus import metrics
from onebus.bus import Bus
from onebus.codec import encode
from onebus.service import Role

LOOK_S = 0.25
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health(Role):
    """Answers for the other roles of its process."""

    def __init__(self, bus: Bus, roles: Sequence[Role]) -> None:
        self._bus = bus
        self._roles = roles
        self._draining = False

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Beside the accounts' paths, whose first part is a platform."""
        yield web.get("/healthz", self._alive)
        yield web.get("/readyz", self._ready)
        yield web.get("/metrics", self._metrics)

    async def run(self) -> None:
        """Measure how late the event loop is, until cancelled."""
        while True:
            due_at = time.monotonic() + LOOK_S
            await asyncio.sleep(LOOK_S)
            metrics.loop_lag.observe(max(0.0, time.monotonic() - due_at))

    async def drain(self) -> None:
        """Be ready no more: whoever sends work here sends it elsewhere."""
        self._draining = True

    def missing(self) -> Iterable[str]:
        """What the process lacks before it may be sent work."""
        if self._draining:
            yield "it is stopping"
        if not self._bus.connected:
            yield "NATS is away"
        for role in self._roles:
            yield from role.missing()

    async def _alive(self, _: web.Request) -> web.Response:
        """That there is an answer says most: a loop that stands still gives none.

        NATS being away is no reason to start anew; not reading what it sends is.
        """
        if self._bus.connected and not self._bus.reading:
            return _status(503, {"alive": False, "missing": ["NATS is not read"]})
        return _status(200, {"alive": True})

    async def _ready(self, _: web.Request) -> web.Response:
        missing = sorted(set(self.missing()))
        return _status(503 if missing else 200, {"ready": not missing, "missing": missing})

    async def _metrics(self, _: web.Request) -> web.Response:
        metrics.nats_connected.set(self._bus.connected)
        metrics.tasks.set(len(asyncio.all_tasks()))
        for summed in (metrics.queue_waiting, metrics.sockets, metrics.socket_lag_events):
            summed.clear()
        for role in self._roles:
            role.observe()
        return web.Response(body=metrics.page(), headers={"Content-Type": METRICS_TYPE})


def _status(status: int, body: dict[str, object]) -> web.Response:
    return web.Response(
        status=status,
        body=encode(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
