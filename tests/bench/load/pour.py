"""Fills a log, and the bucket of known ids: with what onebus would write, without its waiting."""

import asyncio
import time
from collections.abc import Iterator

from onebus import subjects
from onebus.bus import Bus
from onebus.codec import encode
from onebus.event import MessageReceived, User, private_chat
from onebus.idmap import Native, number_of
from onebus.ids import Account, AccountId, MessageId, Platform, UserId
from onebus.log import Log
from onebus.segment import Text

ACCOUNT = Account(Platform("sandbox"), AccountId("demo"))
CHATS = 100
BATCH = 500
"""Far fewer than a stream of NATS lets wait before it drops some."""
ACK_S = 30.0

Entries = Iterator[tuple[str, bytes]]


def messages(first: int, last: int) -> Entries:
    """Messages to the bot: the number of each is its id, those of one chat have one sender."""
    time_ms = int(time.time() * 1000)
    for number in range(first, last):
        user = UserId(f"u{number % CHATS}")
        event = MessageReceived(
            account=ACCOUNT,
            time_ms=time_ms,
            chat=private_chat(user),
            message=MessageId(f"m{number}"),
            sender=User(user, user),
            segments=(Text(f"hello {number}, how are you today?"),),
        )
        yield f"onebus.{subjects.of_event(event)}", encode(event)


def known_ids(first: int, last: int) -> Entries:
    """Users whom bots know already."""
    for number in range(first, last):
        user = Native(ACCOUNT.platform, "user", f"known-{number}")
        key = f"user.{number_of(user.scope, user.kind, user.id)}"
        yield f"$KV.onebus_ids.{key}", encode(user)


async def pour(bus: Bus, entries: Entries) -> None:
    """Store them; of each batch only the last is waited for."""
    batch: Entries | list[tuple[str, bytes]]
    while batch := [entry for _, entry in zip(range(BATCH), entries, strict=False)]:
        for subject, body in batch[:-1]:
            await bus.publish(subject, body)
        await bus.store(*batch[-1], timeout_s=ACK_S)


async def fill(bus: Bus, first: int, last: int) -> tuple[int, int]:
    """Messages and known ids of these numbers; returns the sequences of the first and the last.

    Fails if any was not stored.
    """
    log = Log(bus)
    before = await log.extent()
    ids_before = await _known(bus)
    async with asyncio.TaskGroup() as group:
        group.create_task(pour(bus, messages(first, last)))
        group.create_task(pour(bus, known_ids(first, last)))
    after = await log.extent()
    assert after.messages - before.messages == last - first, (before, after)
    assert await _known(bus) - ids_before == last - first
    return before.last + 1, after.last


async def _known(bus: Bus) -> int:
    info = await bus.api("STREAM.INFO.KV_onebus_ids")
    return int(info["state"]["messages"])
