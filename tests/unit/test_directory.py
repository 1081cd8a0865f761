"""Who is online: the record says so, and its session lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.outage import eventually

from onebus import directory, lease
from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.directory import AccountRecord, Directory
from onebus.event import User
from onebus.ids import UserId, parse_account
from onebus.lease import Sessions

ACCOUNT = parse_account("t.a")
SESSION = "t.new"
RECORD = AccountRecord(ACCOUNT, User(UserId("7")), None, (), "1", SESSION, online=True)
SOON_S = lease.LIST_S / 2
"""Sooner than the next look that comes by itself."""


@asynccontextmanager
async def followed(bus: Bus) -> AsyncIterator[tuple[Directory, Sessions]]:
    sessions = Sessions(bus)
    known = Directory(bus, sessions)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sessions.run()), group.create_task(known.run())]
        await eventually(lambda: not [*known.missing(), *sessions.missing()])
        yield known, sessions
        for task in tasks:
            task.cancel()


async def test_an_account_of_a_new_session_is_online_at_once(bus: Bus) -> None:
    async with followed(bus) as (known, sessions):
        before = sessions.listed_at_s
        await eventually(lambda: sessions.listed_at_s > before)  # the next look is far
        await Bucket(bus, "sessions").create(SESSION, b"")
        await directory.write(bus, RECORD)
        async with asyncio.timeout(SOON_S):
            await eventually(lambda: known.online(ACCOUNT))


async def test_a_record_alone_makes_no_account_online(bus: Bus) -> None:
    async with followed(bus) as (known, sessions):
        await directory.write(bus, RECORD)
        await eventually(lambda: known.get(ACCOUNT) is not None)
        heard_at_s = sessions.listed_at_s
        await eventually(lambda: sessions.listed_at_s > heard_at_s)
        assert not known.online(ACCOUNT)
