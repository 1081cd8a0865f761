"""What every test may use: a real nats-server of its own, and connections to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from onebus.bus import Bus
from onebus.embedded import EmbeddedNats
from onebus.setup import Storage, set_up

pytest.register_assert_rewrite("onebus.testing")
# A loaded machine takes its time over an example, which says nothing about what is tested.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """A nats-server on a free port; a missing one fails the test."""
    server = EmbeddedNats(tmp_path / "nats", sync_interval="2m")
    (tmp_path / "nats").mkdir()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def bus(nats: EmbeddedNats) -> AsyncIterator[Bus]:
    """A connection with streams and buckets in place."""
    async with Bus(nats.options(), "test") as connection:
        await connection.wait_ready(5)
        await set_up(connection, Storage())
        yield connection
