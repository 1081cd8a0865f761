"""Numbered messages in a log, and one bot's way through them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.onebot_session import ACCOUNT, ME

from frontends.onebot_v11.feed import Feeds, Style, Translation
from frontends.onebot_v11.follow import Following, Interest
from frontends.onebot_v11.frame import Frame
from onebus.bus import Bus
from onebus.event import Chat, Event, MessageReceived
from onebus.ids import Account, ChatId, MessageId
from onebus.log import Log, Stored
from onebus.segment import Text


def message(number: int, account: Account = ACCOUNT) -> Event:
    return MessageReceived(
        account=account,
        time_ms=1_700_000_000_000,
        chat=Chat("group", ChatId("g")),
        message=MessageId(str(number)),
        sender=ME,
        segments=(Text(str(number)),),
    )


async def translate(stored: Stored, style: Style) -> Frame:
    return Frame(b"{}", "message.group", "g", 1, stored.sequence, stored.stored_at_ms)


async def store(log: Log, first: int, count: int, account: Account = ACCOUNT) -> list[int]:
    numbers = range(first, first + count)
    return [await log.append(message(number, account), timeout_s=30) for number in numbers]


PLAIN = Translation(translate)


@asynccontextmanager
async def feeds_of(bus: Bus, log: Log, translation: Translation = PLAIN) -> AsyncIterator[Feeds]:
    feeds = Feeds(bus, log, lambda _: translation)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(feeds.run())
        while feeds._reader is None:
            await asyncio.sleep(0)
        yield feeds
        running.cancel()


def following(feeds: Feeds, log: Log, after: int | None, *, patient: bool = True) -> Following:
    interest = Interest(ACCOUNT, Style("array"))
    return Following(feeds, log, interest, after=after, patient=patient)
