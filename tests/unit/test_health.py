"""Probes and metrics of a process: what they say with NATS and without, and to whom."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable

import aiohttp
import pytest
from tests.fakes.outage import eventually, outage

from onebus import metrics
from onebus.bus import Bus
from onebus.directory import Directory
from onebus.embedded import EmbeddedNats
from onebus.health import Health
from onebus.lease import Lease, Sessions
from onebus.listener import Listener, ListenOptions
from onebus.service import Role


class Lacking(Role):
    """A role that lacks what a test says, and looks at its queue when it is asked to."""

    def __init__(self) -> None:
        self.lacks: list[str] = []

    def missing(self) -> Iterable[str]:
        return self.lacks

    def observe(self) -> None:
        metrics.queue_waiting.labels("feeds").inc(2)


class Served:
    def __init__(self, health: Health, role: Lacking, base: str) -> None:
        self.health = health
        self.role = role
        self._base = base

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as http,
            http.get(self._base + path, headers=headers) as response,
        ):
            return response.status, await response.text()

    async def ready(self) -> tuple[int, list[str]]:
        status, text = await self.get("/readyz")
        body = json.loads(text)
        assert body["ready"] == (status == 200)
        return status, body["missing"]


@pytest.fixture
async def served(bus: Bus) -> AsyncIterator[Served]:
    role, other = Lacking(), Lacking()
    health = Health(bus, [role, other])
    listener = Listener(ListenOptions("127.0.0.1", 0, local=True), health.routes())
    await listener.start()
    yield Served(health, role, f"http://127.0.0.1:{listener.port}")
    await listener.stop()


async def test_nats_away_fails_readiness_and_not_health(
    served: Served, nats: EmbeddedNats, bus: Bus
) -> None:
    assert await served.ready() == (200, [])
    async with outage(nats, bus):
        assert await served.ready() == (503, ["NATS is away"])
        assert (await served.get("/healthz"))[0] == 200
        assert "onebus_nats_connected 0.0\n" in (await served.get("/metrics"))[1]
    assert await served.ready() == (200, [])
    assert "onebus_nats_connected 1.0\n" in (await served.get("/metrics"))[1]


async def test_a_dead_read_loop_fails_health(served: Served, bus: Bus) -> None:
    assert (await served.get("/healthz"))[0] == 200
    reading = bus._client._reading_task
    assert reading
    reading.cancel()
    await asyncio.wait([reading])
    assert bus.connected
    status, text = await served.get("/healthz")
    assert (status, json.loads(text)["missing"]) == (503, ["NATS is not read"])
    await bus._client.force_reconnect()  # what the watchdog does, seconds later
    await eventually(lambda: bus.reading)
    assert (await served.get("/healthz"))[0] == 200


async def test_what_a_role_lacks_is_said_and_so_is_stopping(served: Served) -> None:
    served.role.lacks = ["the claims are not known yet"]
    assert await served.ready() == (503, ["the claims are not known yet"])
    served.role.lacks = []
    await served.health.drain()
    assert await served.ready() == (503, ["it is stopping"])
    assert (await served.get("/healthz"))[0] == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_only_probes_answer_to_any_name(served: Served, path: str) -> None:
    expected = 421 if path == "/metrics" else 200
    assert (await served.get(path, Host="10.1.2.3:6727"))[0] == expected
    foreign = {"Origin": "https://attacker.test"}
    assert (await served.get(path, **foreign))[0] == 403


async def test_gauges_are_of_the_moment_and_sums_of_all_roles(served: Served) -> None:
    await served.get("/metrics")
    status, text = await served.get("/metrics")
    assert status == 200
    assert 'onebus_queue_waiting{queue="feeds"} 4.0\n' in text
    assert "process_resident_memory_bytes" in text
    assert "process_open_fds" in text
    assert "onebus_tasks " in text


async def test_a_loop_that_stood_still_is_seen(served: Served) -> None:
    def late() -> float:
        found = metrics.REGISTRY.get_sample_value("onebus_loop_lag_seconds_sum")
        assert found is not None
        return found

    before_s = late()
    running = asyncio.ensure_future(served.health.run())
    await asyncio.sleep(0)
    started_at = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - started_at < 0.6:
        pass  # what a stalled loop is
    await eventually(lambda: late() > before_s + 0.2)
    running.cancel()


async def test_a_lease_is_ready_once_it_has_a_session_and_knows_the_claims(bus: Bus) -> None:
    sessions = Sessions(bus)
    lease, directory = (
        Lease(bus, "sandbox", sessions, ["account.sandbox.demo"]),
        Directory(bus, sessions),
    )
    assert [*sessions.missing(), *lease.missing(), *directory.missing()] == [
        "the sessions are not known yet",
        "no session is held",
        "the claims are not known yet",
        "the accounts are not known yet",
    ]
    async with asyncio.TaskGroup() as group:
        works = [sessions.run(), lease.run("account.sandbox"), directory.run()]
        tasks = [group.create_task(work) for work in works]
        await eventually(lambda: not [*sessions.missing(), *lease.missing(), *directory.missing()])
        for task in tasks:
            task.cancel()
