"""docker-compose.ha.yml: the loss of any NATS node, and of any replica, is not noticed by bots."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.compose.crowd import Crowd, Targets, crowd, gaps
from tests.compose.stack import (
    ROLES,
    SPEAKS_TO_NATS,
    Stack,
    bridge_address,
    docker,
    docker_later,
    run_in,
    running,
)
from tests.e2e.faults.stage import stable_port

pytestmark = [
    pytest.mark.compose,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]

FILES = ("docker-compose.yml", "docker-compose.ha.yml")
NODES = ("nats", "nats-2", "nats-3")
GAP_S = 8.0
UNLUCKY_S = 15.0
STREAM = "onebus_events"
STREAMS = "http://127.0.0.1:8222/jsz?accounts=true&streams=true&config=true"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(image: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crowd]:
    assert image
    targets = Targets(bridge_address())
    config = targets.config(tmp_path_factory.mktemp("ha"))
    stack = Stack("onebus-ha", stable_port(), {"ONEBUS_CONFIG": str(config)}, FILES)
    with running(stack):
        async with crowd(stack, targets) as made:
            yield made


def node(stack: Stack, service: str) -> str:
    """The container of one node."""
    (container,) = stack.containers(service)
    return container


def streams(container: str) -> list[dict[str, object]]:
    """All streams as a node's monitoring shows them, to those within the container alone."""
    page = json.loads(docker("exec", container, "wget", "-q", "-O-", STREAMS))
    return [s for account in page["account_details"] for s in account.get("stream_detail", ())]


def leader(stack: Stack) -> str:
    """The container of the node that leads the event log."""
    (log,) = [s for s in streams(node(stack, "nats-2")) if s["name"] == STREAM]
    name = log["cluster"]["leader"]  # type: ignore[index]
    return node(stack, NODES[int(name.rpartition("-")[2]) - 1])


async def test_there_are_two_of_each_role_and_three_of_everything_kept(there: Crowd) -> None:
    assert all(len(there.stack.containers(role)) == 2 for role in ROLES)
    kept = streams(node(there.stack, "nats"))
    assert STREAM in {s["name"] for s in kept}
    replicas = {s["name"]: s["config"]["num_replicas"] for s in kept}  # type: ignore[index]
    assert set(replicas.values()) == {3}, replicas


@pytest.mark.parametrize("port", ["4222", "6222"])
async def test_nobody_joins_without_a_password(there: Crowd, port: str) -> None:
    """Neither as a client nor as another node."""
    (inside, *_) = there.stack.containers("frontend-http")
    answer = run_in(inside, SPEAKS_TO_NATS, "nats-2", port)
    assert "Authorization Violation" in answer
    assert "PONG" not in answer


async def test_the_leader_of_the_log_is_killed(there: Crowd) -> None:
    """Nothing is lost, and not much time. How long nodes wait before they elect is drawn by
    nats-server, 4 to 9 s, and a reader may need two elections: so a second try counts as well.
    """
    for last in (False, True):
        longest_s = await longest_gap_s(there)
        assert longest_s <= UNLUCKY_S
        if longest_s <= GAP_S:
            return
        assert not last, f"twice longer than {GAP_S} s"


async def longest_gap_s(there: Crowd) -> float:
    """How long a bot had nothing at most, while the log's leader was killed."""
    async with there.talking() as load:
        await there.hears(time.monotonic())
        killed = leader(there.stack)
        await docker_later("kill", killed)
        await there.hears(time.monotonic())
        await asyncio.sleep(GAP_S)  # an election that comes late would be seen
        await docker_later("start", killed)
        await there.hears(time.monotonic())
    longest_s = {bot.record.name: max(gaps(bot.record, load)) for bot in there.bots}
    print("longest gaps:", {name: f"{gap_s:.1f} s" for name, gap_s in longest_s.items()})
    return max(longest_s.values())


async def test_one_replica_of_each_role_is_killed(there: Crowd) -> None:
    async with there.talking():
        for role in ROLES:
            await there.hears(time.monotonic())
            await docker_later("kill", there.stack.containers(role)[0])
        await there.hears(time.monotonic())
