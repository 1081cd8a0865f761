"""Taking requests at the edges of an account's life; what they are answered is in test_host.py."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator

import pytest
from nats.aio.msg import Msg
from tests.fakes.chat_platform import ACCOUNT, Stage, said, stage
from tests.fakes.outage import eventually

from onebus import subjects
from onebus.action import Sent
from onebus.bus import Bus
from onebus.embedded import EmbeddedNats
from onebus.ids import MessageId


@pytest.fixture
async def on(nats: EmbeddedNats, bus: Bus) -> AsyncIterator[Stage]:
    async with stage(nats) as made:
        yield made


async def test_a_request_that_comes_while_its_group_is_ending_harms_nobody(on: Stage) -> None:
    """What reads the connection, and hands it over, goes on: others need it."""
    bus = (await on.replica()).bus
    await eventually(lambda: on.directory.online(ACCOUNT), 10)
    client = bus._client
    where = f"onebus.{subjects.actions(ACCOUNT)}"
    (number, take), *_ = (
        (number, take)
        for number, take in client._takers.items()
        if client._subs[number].subject == where
    )
    handed: list[Msg] = []
    faults: list[Exception] = []
    ended = asyncio.Event()
    entered: asyncio.Task[None]

    async def leave(group: asyncio.TaskGroup) -> None:
        async with group:
            pass
        ended.set()

    group = asyncio.TaskGroup()
    entered = asyncio.ensure_future(leave(group))
    await ended.wait()
    await entered

    def late(message: Msg) -> None:
        handed.append(message)
        try:
            take.func(group, message)  # type: ignore[attr-defined]  # it is a partial
        except Exception as error:
            faults.append(error)
            raise

    client._takers[number] = late
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await on.bus.publish(where, b"{}", reply="nobody")
        await eventually(lambda: bool(handed), 5)
        gc.collect()  # a coroutine that nobody awaited would be told of here
    assert not faults
    assert bus.reading
    client._takers[number] = take
    assert await on.caller.call(ACCOUNT, said("hi")) == Sent(MessageId("m-hi"), 7)
