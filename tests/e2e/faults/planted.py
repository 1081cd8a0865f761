"""Starts onebus with a fault or a pause in it: the harness must notice, or nothing it says counts.

`python -m tests.e2e.faults.planted unacked,pause connector sandbox -c …`: each name is a function
here, and changes the code before `onebus` begins.
"""

import asyncio
import contextlib
import itertools
import os
import random
import sys
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from connectors.sandbox import Connector
from onebus import action, cli, deferred, directory, event, fence, once, subjects
from onebus.action import SendMessage, Sent
from onebus.bus import Bus
from onebus.errors import OnebusError, OutcomeUnknown, PlatformUnavailable
from onebus.event import Event
from onebus.kit import BusKit
from onebus.ordering import Lanes, Place
from onebus.segment import Text

LATER_S = 0.05
"""What acknowledges before it writes, writes when it finds the time."""
PAUSE_S = 2.0
PAUSES = "pause"
"""How the id of a message begins that is held up between decode and append."""
PAUSED = "planted: decoded, not appended"
NOTES = "begun.txt"
"""Where a moody platform notes what it begins."""
EVENTS = subjects.EVENTS.removesuffix(">")


def unacked() -> None:
    """The platform is told that we have an event before the log has it."""
    append = BusKit.append
    tasks: set[asyncio.Task[None]] = set()

    async def later(self: BusKit, event: Event, timeout_s: float) -> None:
        await asyncio.sleep(LATER_S)
        with contextlib.suppress(OnebusError):
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


def moody() -> None:
    """The platform is slow at times, does not take a call, or does it and does not say so.

    Before it does anything it notes the message's text in a file beside the configuration.
    """
    send, draw = Connector.send_message, random.Random(os.urandom(8))
    notes = Path(sys.argv[sys.argv.index("-c") + 1]).with_name(NOTES)

    async def moody_send(self: Connector, action: SendMessage) -> Sent:
        with notes.open("a") as file:
            file.write("".join(s.text for s in action.segments if isinstance(s, Text)) + "\n")
        mood = draw.random()
        if mood < 0.04:
            raise PlatformUnavailable("planted: not taken")
        if mood < 0.12:
            await asyncio.sleep(draw.uniform(0.2, 3))
        sent = await send(self, action)
        if mood > 0.96:
            raise OutcomeUnknown("planted: done, and not said")
        return sent

    setattr(Connector, "send_message", moody_send)  # noqa: B010


def older() -> None:
    """No fault: a process of the version before, which writes that version's schema."""
    before = event.SCHEMA_VERSION - 1
    for module in (action, deferred, directory, event, fence, once):
        setattr(module, "SCHEMA_VERSION", before)  # noqa: B010


PLANTS: dict[str, Callable[[], None]] = {
    plant.__name__: plant for plant in (unacked, appended_anyway, two_lanes, pause, moody, older)
}

if __name__ == "__main__":
    for name in sys.argv[1].split(","):
        PLANTS[name]()
    sys.exit(cli.main(sys.argv[2:]))
