"""Whether there is room: warnings before the event log or its disk is full, and gauges of both.

Every process with connectors looks, and says it once when it begins and once when it ends.
"""

import asyncio
import logging
import time
from collections.abc import Iterator

from msgspec import Struct

from onebus import metrics
from onebus.bus import Bus, StoreRefused
from onebus.errors import BusError, BusTimeout
from onebus.log import Extent, Log
from onebus.service import Role

logger = logging.getLogger(__name__)

LOOK_S = 20.0
BEGIN = 0.8
"""Full to this part: say it."""
END = 0.75
"""Below this it is over, so that a log at the edge is not told over and over."""
FULL = 0.99
"""At its limit the log is never quite full: the server removes more than one entry at a time."""
HOUR_S = 3600


class Room(Struct, frozen=True):
    """What all streams take on the disk of NATS, and what they may; limit 0: nobody knows."""

    used_bytes: int = 0
    limit_bytes: int = 0


class Alarm(Struct, frozen=True):
    """Something that a person should know. `name` is a word for metrics."""

    name: str
    text: str
    level: int = logging.WARNING


def alarms(
    extent: Extent, room: Room, horizon_s: float, now_s: float, on: frozenset[str] = frozenset()
) -> Iterator[Alarm]:
    """What is wrong with so full a log; `on`: names of the alarms that are on already.

    `horizon_s`: within which a platform may send an event again.
    """
    full = extent.fullness
    span_s = max(now_s - extent.first_at_s, 0.0) if extent.messages else 0.0
    if full >= _edge("log", on) and not 0 < extent.max_age_s <= span_s / full:
        yield Alarm(
            "log",
            f"the event log is {full:.0%} full ({extent.messages:,} events, "
            f"{extent.size_bytes >> 20:,} MiB) and holds {span_s / HOUR_S:.1f} hours: its "
            "oldest go before they are of age; raise bus.max_messages or bus.max_bytes",
        )
    if full >= FULL and span_s < horizon_s:
        yield Alarm(
            "horizon",
            f"the event log holds {span_s:.0f} s only, and platforms send events again for up to "
            f"{horizon_s:.0f} s: bots may get some twice; raise bus.max_messages or bus.max_bytes",
            logging.ERROR,
        )
    if room.limit_bytes and room.used_bytes / room.limit_bytes >= _edge("storage", on):
        yield Alarm(
            "storage",
            f"NATS has {room.limit_bytes - room.used_bytes >> 20:,} MiB left of "
            f"{room.limit_bytes >> 20:,}: events will be refused when it is full; make room",
        )


def _edge(name: str, on: frozenset[str]) -> float:
    return END if name in on else BEGIN


class Capacity(Role):
    """Looks at the log for a process's connectors, whose platforms have this horizon."""

    def __init__(self, bus: Bus, horizon_s: float) -> None:
        self._bus = bus
        self._log = Log(bus)
        self._horizon_s = horizon_s
        self._on: dict[str, Alarm] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        await self._bus.ready.wait()
        while True:
            try:
                await self.look()
            except BusError as error:
                logger.debug("no look at the event log: %s", error)
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Look once. Raises BusError."""
        extent, room = await self._log.extent(), await self._room()
        now_s = time.time()
        _show(extent, room, now_s)
        found = alarms(extent, room, self._horizon_s, now_s, frozenset(self._on))
        self._tell({alarm.name: alarm for alarm in found})

    async def _room(self) -> Room:
        """What NATS allows the account; a server tells nobody of its own limit or disk."""
        try:
            account = await self._bus.api("INFO")
        except (StoreRefused, BusTimeout):  # not allowed, perhaps
            return Room()
        return Room(int(account["storage"]), max(int(account["limits"]["max_storage"]), 0))

    def _tell(self, now: dict[str, Alarm]) -> None:
        for name in now.keys() - self._on.keys():
            logger.log(now[name].level, now[name].text)
        for name in self._on.keys() - now.keys():
            logger.info("there is room again: the alarm %r is over", name)
        for name in ("log", "horizon", "storage"):
            metrics.capacity_alarm.labels(name).set(name in now)
        self._on = now


def _show(extent: Extent, room: Room, now_s: float) -> None:
    metrics.log_entries.set(extent.messages)
    metrics.log_entries_limit.set(extent.max_messages)
    metrics.log_bytes.set(extent.size_bytes)
    metrics.log_bytes_limit.set(extent.max_bytes)
    metrics.log_span_seconds.set(now_s - extent.first_at_s if extent.messages else 0)
    metrics.storage_bytes.set(room.used_bytes)
    metrics.storage_limit_bytes.set(room.limit_bytes)
