"""What became of the messages: lost, repeated, doubled, out of order, for each chat."""

import asyncio
import math
import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.e2e.nats_server import NatsServer

from onebus import subjects
from onebus.bus import Bus
from onebus.event import MessageReceived
from onebus.ids import Account, AccountId, Platform
from onebus.log import Log, Stored
from onebus.segment import Text

READ_S = 60.0
_NUMBERED = re.compile(r"([a-z]+\d+)#(\d+)")


class Got(NamedTuple):
    """A numbered message as a bot got it; `at` on the monotonic clock."""

    number: int
    event_id: int
    message_id: int
    at: float


class Record:
    """What one bot got, in its order, by chat."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.chats: dict[str, list[Got]] = {}
        self.count = 0
        self.last_event_id = ""
        self.last_at = 0.0

    def note(self, event: dict[str, Any]) -> Got | None:
        """An event came; None when it is no numbered message."""
        if "event_id" in event:
            self.last_event_id = event["event_id"]
        match = _NUMBERED.fullmatch(str(event.get("raw_message", "")))
        if match is None:
            return None
        self.last_at = time.monotonic()
        got = Got(int(match[2]), int(event["event_id"]), int(event["message_id"]), self.last_at)
        self.chats.setdefault(match[1], []).append(got)
        self.count += 1
        return got

    def first_since(self, moment: float) -> float:
        """When the first message came after this moment; for ever, if none did."""
        late = (got.at for chat in self.chats.values() for got in chat if got.at > moment)
        return min(late, default=math.inf)

    def has(self, acked: Mapping[str, int]) -> bool:
        """Whether the last acknowledged message of every chat has come."""
        return all(
            any(got.number >= last for got in reversed(self.chats.get(chat, [])))
            for chat, last in acked.items()
            if last
        )


class Verdict(NamedTuple):
    """Counts over all chats.

    `lost`: acknowledged, and never came. `repeated`: frames whose event_id had come before.
    `doubled`: the same message under another id, which no bot can tell. `inverted`: events that
    came after a later one of their chat, repeats left out.
    """

    lost: int
    repeated: int
    doubled: int
    inverted: int

    @property
    def clean(self) -> bool:
        """Nothing lost, doubled or out of order; repeats with known ids are another question."""
        return not (self.lost or self.doubled or self.inverted)

    def __str__(self) -> str:
        return (
            f"{self.lost} lost, {self.repeated} repeated, {self.doubled} doubled,"
            f" {self.inverted} inverted"
        )


def judge(record: Record, acked: Mapping[str, int]) -> Verdict:
    """A bot's record against what was acknowledged to the speakers."""
    lost = repeated = doubled = inverted = 0
    for chat in {*acked, *record.chats}:
        all_got = record.chats.get(chat, [])
        first: dict[int, Got] = {}
        for got in all_got:
            first.setdefault(got.event_id, got)
        fresh = list(first.values())
        repeated += len(all_got) - len(fresh)
        numbers = [got.number for got in fresh]
        lost += len(set(range(1, acked.get(chat, 0) + 1)).difference(numbers))
        doubled += len(numbers) - len(set(numbers))
        inverted += _inversions(numbers)
    return Verdict(lost, repeated, doubled, inverted)


def lost(record: Record, acked: Mapping[str, int]) -> list[str]:
    """What a bot never had, as `chat#number`, and when it got what came before in that chat."""
    missing: list[str] = []
    for chat, last in acked.items():
        at = {got.number: got.at for got in record.chats.get(chat, [])}
        gone = (number for number in range(1, last + 1) if number not in at)
        missing += [f"{chat}#{n} after {at.get(n - 1, 0):.2f} s" for n in gone]
    return missing


def repeats(record: Record) -> list[float]:
    """The moments at which frames came whose event_id had come before."""
    found: list[float] = []
    for all_got in record.chats.values():
        seen: set[int] = set()
        for got in all_got:
            if got.event_id in seen:
                found.append(got.at)
            seen.add(got.event_id)
    return sorted(found)


def _inversions(numbers: list[int]) -> int:
    """How many come after a greater one."""
    greatest = found = 0
    for number in numbers:
        found += number < greatest
        greatest = max(greatest, number)
    return found


async def judge_log(nats: NatsServer, acked: Mapping[str, int], account: str = "demo") -> Verdict:
    """The log itself: what is missing, in it twice, or out of order."""
    record = Record("the log")

    def on_event(stored: Stored) -> None:
        event = stored.event
        if isinstance(event, MessageReceived) and isinstance(event.segments[0], Text):
            text = event.segments[0].text
            number = {"event_id": stored.sequence, "message_id": stored.sequence}
            record.note({"raw_message": text, **number})

    async with Bus(nats.options, "verdict") as bus:
        await bus.wait_ready(10)
        where, log = subjects.events_of(Account(Platform("sandbox"), AccountId(account))), Log(bus)
        end = await log.end()
        async with log.follow([where], on_event, start=1) as reader, asyncio.timeout(READ_S):
            while reader.handled < end:  # a node that was away has less than the leader for a while
                await asyncio.sleep(0.1)
    return judge(record, acked)


def most_between(moments: list[float], marks: list[float]) -> int:
    """The most of these moments that follow one mark before the next one comes."""
    after = Counter(sum(mark <= moment for mark in marks) for moment in moments)
    return max(after.values(), default=0)
