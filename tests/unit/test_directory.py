"""Whether an account is online, in the moments when the look at the sessions is behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from onebus import directory
from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.directory import AccountRecord, Directory
from onebus.event import User
from onebus.ids import UserId, parse_account
from onebus.lease import Sessions
from onebus.renewal import boot_time_s

OLD, NEW = parse_account("sandbox.old"), parse_account("sandbox.new")


def record(account: str, session: str, *, online: bool = True) -> AccountRecord:
    me = User(UserId("9"), "bot")
    return AccountRecord(parse_account(account), me, None, (), "0", session, online=online)


@pytest_asyncio.fixture
async def known(bus: Bus) -> AsyncIterator[tuple[Directory, Sessions]]:
    """A directory that has read what was there: an account whose session ended long ago."""
    await directory.write(bus, record("sandbox.old", "sandbox.ended"))
    sessions = Sessions(bus)
    sessions.live, sessions.listed_at_s = set(), boot_time_s()
    watching = Directory(bus, sessions)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watching.run())
        async with asyncio.timeout(5):
            while list(watching.missing()):
                await asyncio.sleep(0.01)
        yield watching, sessions
        task.cancel()


async def changed(watching: Directory, bus: Bus, new: AccountRecord) -> None:
    seen = asyncio.Event()
    watching.on_change(lambda _: seen.set())
    await directory.write(bus, new)
    await asyncio.wait_for(seen.wait(), 5)


async def test_an_owner_that_has_just_come_is_there_before_its_session_is_listed(
    bus: Bus, known: tuple[Directory, Sessions]
) -> None:
    watching, sessions = known
    assert not watching.online(OLD)
    await changed(watching, bus, record("sandbox.new", "sandbox.fresh"))
    assert watching.online(NEW)
    sessions.listed_at_s = boot_time_s()
    assert not watching.online(NEW)  # it was looked for, and is not there
    sessions.live = {"sandbox.fresh"}
    assert watching.online(NEW)


async def test_an_owner_that_says_that_it_is_offline_is_so(
    bus: Bus, known: tuple[Directory, Sessions]
) -> None:
    watching, _ = known
    await changed(watching, bus, record("sandbox.new", "sandbox.fresh", online=False))
    assert not watching.online(NEW)


async def test_a_record_that_is_gone_is_forgotten(
    bus: Bus, known: tuple[Directory, Sessions]
) -> None:
    watching, _ = known
    await Bucket(bus, "accounts").delete("sandbox.old")
    async with asyncio.timeout(5):
        while watching.get(OLD):
            await asyncio.sleep(0.01)
    assert not watching.online(OLD)
