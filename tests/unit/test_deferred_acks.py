"""Actions that wait for their turn while answers of NATS get lost, or another owner is faster."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.fakes.deferred_owner import CURSOR, Owner, entries, put, serving, settled

from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.cursor import Cursor
from onebus.embedded import EmbeddedNats
from onebus.errors import BusTimeout


class LosesAcks(Bus):
    """NATS takes what is stored, and its answer never arrives; three times."""

    losses = 0
    meanwhile: Callable[[], Awaitable[Any]] | None = None

    async def store(self, subject: str, body: bytes, **options: Any) -> int:
        sequence = await super().store(subject, body, **options)
        if self.losses:
            self.losses -= 1
            if self.meanwhile:
                await self.meanwhile()
            raise BusTimeout("the ack was lost")
        return sequence


@pytest.fixture
async def lossy(nats: EmbeddedNats, bus: Bus) -> AsyncIterator[LosesAcks]:
    connection = LosesAcks(nats.options(), "lossy")
    async with connection:
        await connection.wait_ready(5)
        yield connection


async def test_an_action_is_kept_once_when_an_ack_is_lost(bus: Bus, lossy: LosesAcks) -> None:
    lossy.losses = 2
    await put(lossy, 1)
    await put(lossy, 2)
    assert len(await entries(bus)) == 2


async def test_an_action_that_was_done_before_its_ack_was_missed_is_not_kept_again(
    bus: Bus, lossy: LosesAcks
) -> None:
    owner = Owner()
    async with serving(bus, owner):
        lossy.losses, lossy.meanwhile = 1, lambda: settled(bus, 1)
        await put(lossy, 1)
        await put(bus, 2)
        await owner.has_started(2)
    assert owner.started == [1, 2]


async def test_a_cursor_whose_ack_was_lost_is_ours_all_the_same(
    lossy: LosesAcks, bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    await put(bus, 1, 2)
    lossy.losses = 1
    owner = Owner()
    async with serving(lossy, owner):
        await owner.has_started(2)
    assert owner.started == [1, 2]
    assert "another owner" not in caplog.text


async def test_an_outcome_whose_ack_was_lost_is_not_a_second_start(
    lossy: LosesAcks, bus: Bus
) -> None:
    await put(bus, 1, 2)
    owner = Owner()
    owner.hangs_at = 1
    async with serving(lossy, owner):
        await owner.has_started(1)
        lossy.losses = 1
        owner.answers.set()
        await owner.has_started(2)
        await settled(bus, 2)
    assert owner.started == [1, 2]


async def test_an_entry_that_another_owner_started_is_passed_by(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    owner = Owner()
    owner.open = False
    await put(bus, 1, 2)
    async with serving(bus, owner):
        first = (await entries(bus))[0].sequence
        elsewhere = Cursor(Bucket(bus, "cursors"), CURSOR)
        await elsewhere.move(f"{first} another-run")
        await elsewhere.save()
        owner.open = True
        await owner.has_started(1)
    assert owner.started == [2]
    assert "another owner" in caplog.text
