"""A message reads the state anew only when it may have changed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from connectors.sandbox.documents import Person, Status
from connectors.sandbox.state import State
from onebus.bucket import Bucket, Entry
from onebus.bus import Bus
from onebus.errors import Forbidden
from onebus.ids import Account, AccountId, Platform, UserId

ACCOUNT = Account(Platform("sandbox"), AccountId("demo"))
ALICE = UserId("alice")


class CountingBucket(Bucket):
    """Counts direct gets."""

    gets = 0

    async def get(self, key: str) -> Entry | None:
        self.gets += 1
        return await super().get(key)


@asynccontextmanager
async def followed(
    state: State, on_status: Callable[[Status], None] = lambda _: None
) -> AsyncIterator[None]:
    async with state.followed(on_status):
        reader = state._copies._reader
        assert reader
        await reader.all_read()
        yield


def bucket_and_state(bus: Bus) -> tuple[CountingBucket, State]:
    bucket = CountingBucket(bus, "sandbox")
    return bucket, State(bucket, ACCOUNT, "demo")


def refuse(person: Person) -> Person:
    raise Forbidden(f"{person.name} may not")


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not done():
            await asyncio.sleep(0.001)


async def test_what_changes_nothing_is_read_once(bus: Bus) -> None:
    bucket, state = bucket_and_state(bus)
    async with followed(state):
        await state.named(ALICE)
        await until(lambda: state._copies.changes > 0)
        await state.named(ALICE)
        bucket.gets = 0
        assert [(await state.named(ALICE)).id for _ in range(5)] == [ALICE] * 5
        assert bucket.gets == 0
    await state.named(ALICE)
    assert bucket.gets == 1  # nobody follows the changes any more


async def test_what_is_written_here_is_seen_here_at_once(bus: Bus) -> None:
    _, state = bucket_and_state(bus)
    async with followed(state):
        for age in range(50):
            await state.named(ALICE, lambda person, age=age: replace(person, age=age))  # type: ignore[misc]
            assert (await state.named(ALICE)).age == age


async def test_what_another_replica_changes_is_seen_soon(bus: Bus) -> None:
    _, state = bucket_and_state(bus)
    _, other = bucket_and_state(bus)
    async with followed(state):
        for age in range(20):
            await state.named(ALICE)
            changes = state._copies.changes
            await other.named(ALICE, lambda person, age=age: replace(person, age=age + 1))  # type: ignore[misc]
            await until(lambda changes=changes: state._copies.changes > changes)  # type: ignore[misc]
            assert (await state.named(ALICE)).age == age + 1


async def test_a_refusal_is_of_what_is_there_now(bus: Bus) -> None:
    bucket, state = bucket_and_state(bus)
    async with followed(state):
        await state.named(ALICE)
        await until(lambda: state._copies.changes > 0)
        await state.named(ALICE)
        bucket.gets = 0
        with pytest.raises(Forbidden):
            await state.named(ALICE, refuse)
        assert bucket.gets == 1


async def test_who_follows_is_told_how_the_account_is(bus: Bus) -> None:
    _, state = bucket_and_state(bus)
    told: list[bool] = []
    await state.statuses.change(lambda _: Status(online=True), "now")
    async with followed(state, lambda status: told.append(status.online)):
        await state.named(ALICE)
        await state.statuses.change(lambda _: Status(online=False), "now")
        await until(lambda: len(told) == 2)
    assert told == [True, False]
