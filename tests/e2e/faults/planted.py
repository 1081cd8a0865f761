"""Starts onebus with a fault or a pause in it: the harness must notice, or nothing it says counts.

`python -m tests.e2e.faults.planted unacked,pause connector sandbox -c …`: each name is a function
here, and changes the code before `onebus` begins.
"""

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Callable, Hashable
from typing import Any

from onebus import cli, subjects
from onebus.bus import Bus
from onebus.errors import BusError
from onebus.event import Event
from onebus.kit import BusKit
from onebus.ordering import Lanes, Place

PAUSE_S = 2.0
PAUSES = "pause"
"""How the id of a message begins that is held up between decode and append."""
PAUSED = "planted: decoded, not appended"
EVENTS = subjects.EVENTS.removesuffix(">")


def unacked() -> None:
    """The platform is told that we have an event before the log has it."""
    append = BusKit.append
    tasks: set[asyncio.Task[None]] = set()

    async def later(self: BusKit, event: Event, timeout_s: float) -> None:
        with contextlib.suppress(BusError):
            await append(self, event, timeout_s=timeout_s)

    async def at_once(self: BusKit, event: Event, *, timeout_s: float = 10) -> int:
        task = asyncio.ensure_future(later(self, event, timeout_s))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return 0

    setattr(BusKit, "append", at_once)  # noqa: B010


def appended_anyway() -> None:
    """Events are appended whether they are there or not."""
    store = Bus.store

    async def careless(self: Bus, subject: str, body: bytes, **how: Any) -> int:
        if subject.startswith(f"{self.prefix}.{EVENTS}"):
            how |= {"last_sequence": None}
        return await store(self, subject, body, **how)

    setattr(Bus, "store", careless)  # noqa: B010


def two_lanes() -> None:
    """A conversation has two lanes, and its events take turns with them."""
    join, numbers = Lanes.join, itertools.count()

    def either(self: Lanes, key: Hashable) -> Place:
        return join(self, (key, next(numbers) % 2))

    setattr(Lanes, "join", either)  # noqa: B010


def pause() -> None:
    """No fault: a message with a certain id is held up between decode and append."""
    append = BusKit.append

    async def held_up(self: BusKit, event: Event, *, timeout_s: float = 10) -> int:
        if str(getattr(event, "message", "")).startswith(PAUSES):
            print(PAUSED, flush=True)
            await asyncio.sleep(PAUSE_S)
        return await append(self, event, timeout_s=timeout_s)

    setattr(BusKit, "append", held_up)  # noqa: B010


PLANTS: dict[str, Callable[[], None]] = {
    plant.__name__: plant for plant in (unacked, appended_anyway, two_lanes, pause)
}

if __name__ == "__main__":
    for name in sys.argv[1].split(","):
        PLANTS[name]()
    sys.exit(cli.main(sys.argv[2:]))
