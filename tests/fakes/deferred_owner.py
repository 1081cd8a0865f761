"""An owner of an account whose actions wait for their turn, and what a test sees of the queue."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from onebus import deferred, subjects
from onebus.action import Action, Response, SendMessage
from onebus.arrivals import Arrivals
from onebus.bus import Bus, StreamEntry
from onebus.deferred import DeferredQueue
from onebus.errors import ErrorData
from onebus.event import group_chat
from onebus.ids import Account, AccountId, ChatId, Platform
from onebus.segment import Text

ACCOUNT = Account(Platform("sandbox"), AccountId("a.b*>"))
CURSOR = f"account.{subjects.account_key(ACCOUNT)}.deferred"
LOGGER = logging.LoggerAdapter(logging.getLogger("test.deferred"), {})


def send(number: int) -> SendMessage:
    return SendMessage(group_chat(ChatId("lobby")), (Text(f"text {number}"),))


class Owner:
    """An owner whose platform can be made to hang, and whose claim can be lost."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.times_s: list[float] = []
        self.open = True
        self.refused = 0
        self.fenced = False
        self.hangs_at = -1
        self.answers = asyncio.Event()
        self.error: ErrorData | None = None
        self._grew = asyncio.Condition()

    @asynccontextmanager
    async def turn(self, action: Action[Any]) -> AsyncIterator[None]:
        yield

    def taking(self) -> bool:
        self.refused += not self.open
        return self.open

    def owned(self) -> bool:
        return not self.fenced

    async def call(self, action: Action[Any]) -> Response:
        assert isinstance(action, SendMessage)
        assert isinstance(action.segments[0], Text)
        async with self._grew:
            number = int(action.segments[0].text.split()[1])
            self.started.append(number)
            self.times_s.append(time.monotonic())
            self._grew.notify_all()
        if number == self.hangs_at:
            await self.answers.wait()
        return Response(error=self.error)

    async def has_started(self, count: int) -> None:
        async with asyncio.timeout(15), self._grew:
            await self._grew.wait_for(lambda: len(self.started) >= count)


@asynccontextmanager
async def serving(bus: Bus, owner: Owner) -> AsyncIterator[DeferredQueue]:
    arrivals = Arrivals(bus, ACCOUNT.platform, [ACCOUNT])
    queue = DeferredQueue(bus, ACCOUNT, owner, arrivals.of(ACCOUNT), LOGGER)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(arrivals.run()), group.create_task(queue.run())]
        try:
            yield queue
        finally:
            for task in tasks:
                task.cancel()


async def put(bus: Bus, *numbers: int, interval_ms: int = 0) -> None:
    for number in numbers:
        await deferred.put(bus, ACCOUNT, send(number), interval_ms=interval_ms)


async def entries(bus: Bus) -> list[StreamEntry]:
    """What the stream has now, actions and outcomes, in order."""
    state = (await bus.api(f"STREAM.INFO.{bus.prefix}_deferred"))["state"]
    numbers = range(int(state["first_seq"]), int(state["last_seq"]) + 1)
    found = [await bus.at(f"{bus.prefix}_deferred", number) for number in numbers]
    return [entry for entry in found if entry]


async def settled(bus: Bus, count: int) -> list[str]:
    """The outcomes, once there are as many."""
    async with asyncio.timeout(15):
        while True:
            outcomes = [e.headers["Onebus-Outcome"] for e in await entries(bus) if not e.body]
            if len(outcomes) >= count:
                return outcomes
