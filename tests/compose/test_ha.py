"""docker-compose.ha.yml: the loss of any NATS node, and of any replica, is not noticed by bots."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

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
    logged,
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
OURS_S = 2.0
"""From the moment when all are elected to the first event at every bot."""
STREAM = "onebus_events"
ELECTED = re.compile(
    r"new stream leader for '.* > ((?:onebus_events|KV_onebus_(?:sessions|claims|cursors)))'"
    r"|Self is new JetStream cluster metadata leader"
)
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


@pytest.mark.parametrize("time_of_three", [1, 2, 3])
async def test_the_leader_of_the_log_is_killed(there: Crowd, time_of_three: int) -> None:
    """Nothing is lost, and no more than 8 s.

    The nodes wait for 4 to 9 s, as nats-server draws it, before they elect. Where that alone was
    too long, what is ours to answer for is the time from there on.
    """
    async with there.talking() as load:
        await there.hears(time.monotonic())
        killed, killed_at = leader(there.stack), datetime.now(UTC)
        await docker_later("kill", killed)
        await there.hears(time.monotonic())
        await asyncio.sleep(GAP_S)  # an election that comes late would be seen
        elected = {node: elections(node, killed_at) for node in nodes(there.stack)}
        await docker_later("start", killed)
        await there.hears(time.monotonic())
    longest_s = {bot.record.name: max(gaps(bot.record, load)) for bot in there.bots}
    last_s = max((after_s for found in elected.values() for after_s in found.values()), default=0.0)
    print(f"{time_of_three}: elections {elected}, longest gaps", longest_s)
    assert max(longest_s.values()) <= max(GAP_S, last_s + OURS_S)


def nodes(stack: Stack) -> set[str]:
    """The containers of all nodes that run."""
    return {node for service in NODES for node in stack.containers(service)}


def elections(node: str, since: datetime) -> dict[str, float]:
    """What a node was elected for that events need, and how many seconds after a moment."""
    found = ((ELECTED.search(line), line.split(" ", 1)[0]) for line in logged(node, since))
    return {
        match[1] or "all": round((datetime.fromisoformat(at) - since).total_seconds(), 2)
        for match, at in found
        if match
    }


async def test_one_replica_of_each_role_is_killed(there: Crowd) -> None:
    async with there.talking():
        for role in ROLES:
            await there.hears(time.monotonic())
            await docker_later("kill", there.stack.containers(role)[0])
        await there.hears(time.monotonic())
