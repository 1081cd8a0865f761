"""A feed's place survives its owner: saved after the log's ack, and at once when it stops."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.fakes.chat_platform import ACCOUNT, Config, Stage, said, stage
from tests.fakes.outage import eventually

from onebus import action as act
from onebus import deadline
from onebus.action import Sent
from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.connector import Connector, SelfInfo
from onebus.cursor import Cursor, feed_key
from onebus.embedded import EmbeddedNats
from onebus.event import FriendAdded, User
from onebus.ids import MessageId, UserId


class Feed:
    """A platform's updates, numbered from 0; `given`: what each owner began with."""

    def __init__(self) -> None:
        self.updates = asyncio.Queue[int]()
        self.began_at: list[str | None] = []
        self.moved: list[int] = []
        self.left_s: list[float | None] = []


def polling(feed: Feed) -> type[Connector[Config]]:
    class Polling(Connector[Config]):
        Config = Config

        async def open(self) -> SelfInfo:
            return SelfInfo(User(UserId("bot"), "Bot"))

        async def run(self) -> None:
            cursor = self.kit.cursor("updates")
            feed.began_at.append(await cursor.load())
            while True:
                await self.kit.ready()
                number = await feed.updates.get()
                user, account = User(UserId(f"u{number}")), self.kit.account
                event = FriendAdded(account=account, time_ms=1, id=f"f{number}", user=user)
                await self.kit.append(event)
                await cursor.move(str(number))
                feed.moved.append(number)

        async def send_message(self, action: act.SendMessage) -> Sent:
            feed.left_s.append(deadline.left_s())
            return Sent(MessageId("m"), 1)

    return Polling


@pytest.fixture
async def on(nats: EmbeddedNats, bus: Bus) -> AsyncIterator[Stage]:
    async with stage(nats) as made:
        yield made


async def test_the_next_owner_begins_where_the_last_one_stopped(on: Stage) -> None:
    feed = Feed()
    first = await on.replica(polling(feed))
    await eventually(lambda: len(feed.began_at) == 1, 10)
    for number in range(5):  # fewer than are saved as a batch, faster than once a second
        feed.updates.put_nowait(number)
    await eventually(lambda: len(feed.moved) == 5, 10)
    await first.host.drain()
    await on.replica(polling(feed))
    await eventually(lambda: len(feed.began_at) == 2, 10)
    assert feed.began_at == [None, "4"]


async def test_who_finds_the_place_moved_by_another_opens_again_from_there(on: Stage) -> None:
    feed = Feed()
    replica = await on.replica(polling(feed))
    await eventually(lambda: len(feed.began_at) == 1, 10)
    feed.updates.put_nowait(1)
    await eventually(lambda: len(feed.moved) == 1, 10)
    cursor = replica.host._hosts[0]._kit.cursor("updates")
    other = Cursor(Bucket(on.bus, "cursors"), feed_key(ACCOUNT, "updates"))
    await other.load()
    await other.move("7")
    await other.save()
    cursor._saved_at = 0  # as if a second had passed
    feed.updates.put_nowait(2)
    await eventually(lambda: len(feed.began_at) == 2, 10)
    assert feed.began_at == [None, "7"]


async def test_an_action_knows_how_much_time_it_has(on: Stage) -> None:
    feed = Feed()
    await on.replica(polling(feed))
    await eventually(lambda: on.directory.online(ACCOUNT), 10)
    await on.caller.call(ACCOUNT, said("x"), timeout_s=7)
    (left_s,) = feed.left_s
    assert left_s is not None
    assert 6 < left_s <= 7
