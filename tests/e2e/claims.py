"""Replicas that share claims while things go wrong: each scenario returns its figures.

All replicas are in this process, each with a connection, a session and a lease of its own, so that
who owns what can be compared at every moment.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from msgspec import Struct
from tests.e2e.nats_cluster import NatsCluster
from tests.e2e.nats_server import NatsServer
from tests.fakes.outage import eventually

from onebus import subjects
from onebus.bus import Bus, BusOptions
from onebus.codec import encode
from onebus.event import MessageReceived, User, group_chat
from onebus.fence import Fence
from onebus.ids import Account, ChatId, MessageId, UserId, parse_account
from onebus.lease import Lease, Sessions
from onebus.log import Log
from onebus.renewal import TAKEOVER_S, boot_time_s
from onebus.segment import Text

CLAIMS = 400
REPLICAS = 4
WATCH_S = 0.05
ENDING_S = 0.01
RACING = parse_account("t.racing")
KEYS = tuple(f"account.t.{number}" for number in range(CLAIMS))


class Record:
    """What all replicas did. `twice`: claims that two owned, or worked for, at one time."""

    def __init__(self) -> None:
        self.running: dict[str, str] = {}
        self.started: Counter[str] = Counter()
        self.twice: set[str] = set()

    def begin(self, key: str, name: str) -> None:
        if key in self.running:
            self.twice.add(key)
        self.running[key] = name
        self.started[key] += 1

    def end(self, key: str) -> None:
        self.running.pop(key, None)


class Replica:
    """One of the processes that share the claims."""

    def __init__(self, name: str, bus: Bus, record: Record) -> None:
        self.name = name
        self.bus = bus
        self.record = record
        self.sessions = Sessions(bus)
        self.lease = Lease(bus, "t", self.sessions, KEYS)
        self.left: Counter[str] = Counter()
        self.born_at_s = math.inf
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        works = [self.sessions.run(), self.lease.run("account.t")]
        works += [self.lease.hold(key, self._work(key), self._leave(key)) for key in KEYS]
        self._tasks = [asyncio.ensure_future(work) for work in works]

    def owned(self) -> set[str]:
        return {key for key in KEYS if self.lease.owned(key)}

    async def kill(self) -> None:
        """Everything stops where it is; nothing is given back."""
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
        self._tasks = []

    def _work(self, key: str) -> Callable[[], Coroutine[Any, Any, None]]:
        async def work() -> None:
            self.record.begin(key, self.name)
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(ENDING_S)
                self.record.end(key)

        return work

    def _leave(self, key: str) -> Callable[[], Coroutine[Any, Any, bool]]:
        async def leave() -> bool:
            assert self.lease.owned(key)
            await asyncio.sleep(ENDING_S)
            self.left[key] += 1
            return True

        return leave


class Crowd:
    """The replicas of one scenario, watched all the time."""

    def __init__(self, options: BusOptions, stack: AsyncExitStack) -> None:
        self.record = Record()
        self.replicas: list[Replica] = []
        self.unsure_s = 0.0
        self._options = options
        self._stack = stack

    async def join(self, count: int = 1) -> list[Replica]:
        """Start so many more at the same time."""
        joined = []
        for _ in range(count):
            name = f"r{len(self.replicas)}"
            bus = await self._stack.enter_async_context(Bus(self._options, name))
            await bus.wait_ready(10)
            joined.append(Replica(name, bus, self.record))
            self.replicas.append(joined[-1])
            self._stack.push_async_callback(joined[-1].kill)
        for replica in joined:
            replica.start()
        return joined

    def owners(self) -> dict[str, str]:
        """Who owns each claim now; notes what two own."""
        found: dict[str, str] = {}
        for replica in self.replicas:
            for key in replica.owned():
                if key in found:
                    self.record.twice.add(key)
                found[key] = replica.name
        return found

    def shares(self) -> list[int]:
        """How many claims each replica owns, in the order in which they joined."""
        counted = Counter(self.owners().values())
        return [counted[replica.name] for replica in self.replicas]

    async def all_owned(self, timeout_s: float = 20) -> float:
        """Wait until each claim is owned by somebody who works for it; how long that took."""
        started_at = time.monotonic()
        await eventually(
            lambda: len(self.owners()) == CLAIMS and self.record.running == self.owners(),
            timeout_s,
        )
        return time.monotonic() - started_at

    async def even(self) -> None:
        """Wait until each has its share: who was born late gets it by hand-overs, one by one."""
        fair = CLAIMS // len(self.replicas)
        await eventually(lambda: self.shares() == [fair] * len(self.replicas), 60)

    async def steady(self) -> None:
        """Wait until each replica would take what is another's, were it free."""
        await eventually(lambda: all(r.lease._own.steady() for r in self.replicas), 25)

    async def watch(self) -> None:
        """Compare who owns what, until cancelled."""
        while True:
            self.owners()
            for replica in self.replicas:
                if replica.lease._own.exists:
                    replica.born_at_s = min(replica.born_at_s, time.monotonic())
            renewed = [boot_time_s() - replica.lease._own._renewed_at for replica in self.replicas]
            self.unsure_s = max([self.unsure_s, *renewed])
            await asyncio.sleep(WATCH_S)


@asynccontextmanager
async def crowd(options: BusOptions, count: int = REPLICAS) -> AsyncIterator[Crowd]:
    """So many replicas that start at the same time."""
    async with AsyncExitStack() as stack:
        made = Crowd(options, stack)
        watching = asyncio.ensure_future(made.watch())
        stack.callback(watching.cancel)
        await made.join(count)
        yield made
        assert not watching.done(), watching


class Moved(Struct, frozen=True):
    """After an outage: claims with another owner, works begun anew, claims owned by two.

    `unsure_s`: the oldest renewal that a session lived on; 1.5 s and a little without any fault.
    """

    moved: int
    begun_anew: int
    twice: int
    back_s: float
    unsure_s: float


async def _through(made: Crowd, fault: Callable[[], Coroutine[Any, Any, None]]) -> Moved:
    await made.all_owned()
    await made.even()  # or claims go on moving for no fault
    await made.steady()
    before, started = made.owners(), made.record.started.total()
    made.unsure_s = 0
    await fault()
    back_s = await made.all_owned(30)
    back_at = boot_time_s()
    await made.steady()
    await eventually(lambda: boot_time_s() > back_at + TAKEOVER_S + 1, 30)
    after = made.owners()
    return Moved(
        moved=sum(after.get(key) != owner for key, owner in before.items()),
        begun_anew=made.record.started.total() - started,
        twice=len(made.record.twice),
        back_s=round(back_s, 2),
        unsure_s=round(made.unsure_s, 2),
    )


async def nats_away(server: NatsServer, away_s: float = 10) -> Moved:
    """All sessions are gone when NATS is back, and no claim may change hands."""
    async with crowd(server.options) as made:

        async def fault() -> None:
            await server.kill()
            await asyncio.sleep(away_s)
            assert not made.owners()
            await server.start()

        return await _through(made, fault)


async def leader_killed(cluster: NatsCluster, bucket: str = "sessions") -> Moved:
    """No session can be renewed while another leader of their bucket is elected."""
    async with crowd(cluster.options) as made:

        async def fault() -> None:
            node = await cluster.leader(f"KV_onebus_{bucket}")
            await node.kill()
            await cluster.leader(f"KV_onebus_{bucket}")

        return await _through(made, fault)


class Shares(Struct, frozen=True):
    """Who has how much, and how fast it got there. `born_within_s`: all sessions at the start."""

    born_within_s: float
    at_start: list[int]
    start_s: float
    after_kill: list[int]
    takeover_s: float
    after_join: list[int]
    join_s: float
    after_stop: list[int]
    stop_s: float
    given: int
    """Claims handed over for the one that joined, each after its work was left."""
    twice: int


async def shares(options: BusOptions) -> Shares:
    """Start four, kill one, start another, stop one."""
    async with crowd(options) as made:
        start_s = await made.all_owned()
        at_start = made.shares()
        born = [replica.born_at_s for replica in made.replicas]

        killed = made.replicas.pop()
        await killed.kill()
        takeover_s = await made.all_owned()
        after_kill = made.shares()

        joined_at = time.monotonic()
        (late,) = await made.join()
        fair = CLAIMS // len(made.replicas)
        await eventually(lambda: len(late.owned()) >= fair, 40)
        join_s = time.monotonic() - joined_at
        await made.all_owned()
        after_join = made.shares()

        stopped = made.replicas.pop(0)
        stopped_at = time.monotonic()
        await stopped.lease.release()
        await made.all_owned()
        return Shares(
            born_within_s=max(born) - min(born),
            at_start=at_start,
            start_s=round(start_s, 2),
            after_kill=after_kill,
            takeover_s=round(takeover_s, 2),
            after_join=after_join,
            join_s=round(join_s, 2),
            after_stop=made.shares(),
            stop_s=round(time.monotonic() - stopped_at, 2),
            given=sum(replica.left.total() for replica in (stopped, *made.replicas)),
            twice=len(made.record.twice),
        )


class Race(Struct, frozen=True):
    """Of messages that several replicas append at once, each over a node of its own.

    `several_numbers`: messages of which two replicas were told different numbers; `unread`:
    look-ups right after the appends that did not find the message by its number and by its id.
    """

    messages: int
    entries: int
    several_numbers: int
    unread: int


async def racing_appends(all_options: Sequence[BusOptions], messages: int = 50) -> Race:
    """Each replica appends each message, all at the same time."""
    account = RACING
    async with AsyncExitStack() as stack:
        buses = [await stack.enter_async_context(Bus(o, "racer")) for o in all_options]
        for bus in buses:
            await bus.wait_ready(10)
        logs = [Log(bus) for bus in buses]
        start = await logs[0].end() + 1
        told = []
        unread = 0
        for number in range(messages):
            event = _message(number)
            told.append(set(await asyncio.gather(*(log.append(event) for log in logs))))
            for log in logs:
                by_id = await log.of_message(account, event.chat, event.message)
                by_number = await log.at(min(told[-1]))
                unread += not (by_id and by_number)
        stored = await logs[0].read("events.>", start=start)
        return Race(
            messages=messages,
            entries=sum(entry.event.account == account for entry in stored),
            several_numbers=sum(len(numbers) != 1 for numbers in told),
            unread=unread,
        )


class Fenced(Struct, frozen=True):
    """Of events whose ids are made up. `stale`: stored by an owner that is none any more."""

    appended: int
    entries: int
    stale: int
    in_order: bool


async def fenced(all_options: Sequence[BusOptions], events: int = 100) -> Fenced:
    """Each process owns the account after the one before it, which goes on with one append more:
    it had looked at its claim already when it lost it.
    """
    account = parse_account("t.fenced")
    async with AsyncExitStack() as stack:
        buses = [await stack.enter_async_context(Bus(o, "owner")) for o in all_options]
        for bus in buses:
            await bus.wait_ready(10)
        start = await Log(buses[0]).end() + 1
        told: list[int] = []
        late: list[Coroutine[Any, Any, int]] = []
        stale = 0
        for turn, bus in enumerate([*buses, buses[0]]):
            fence = Fence(bus, Log(bus), account, lambda: True)
            await fence.take()
            after = await asyncio.gather(*late, return_exceptions=True)
            stale += sum(isinstance(sequence, int) for sequence in after)
            batch = [_message(turn * events + number, account) for number in range(events)]
            told += await asyncio.gather(*(fence.append(event) for event in batch))
            event = _message(10**6 + turn, account)
            late = [
                bus.store(
                    f"onebus.{subjects.of_event(event)}",
                    encode(event),
                    last_sequence=fence._record,
                    last_of=fence._subject,
                )
            ]
        late.pop().close()
        stored = await Log(buses[0]).read(subjects.events_of(account), start=start)
    return Fenced(
        appended=len(told),
        entries=len(stored),
        stale=stale,
        in_order=told == sorted(set(told)),
    )


def _message(number: int, account: Account = RACING) -> MessageReceived:
    return MessageReceived(
        account=account,
        time_ms=1000 + number,
        chat=group_chat(ChatId("race")),
        message=MessageId(f"m{number}"),
        sender=User(UserId("alice"), "Alice"),
        segments=(Text(f"text {number}"),),
    )
