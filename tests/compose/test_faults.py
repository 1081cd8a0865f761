"""What breaks and what is scaled, at 50 events a second: nothing is lost to any bot."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from tests.compose.crowd import Crowd, Targets, crowd
from tests.compose.stack import (
    ROLES,
    Stack,
    bridge_address,
    docker_later,
    run_in,
    running,
    wait_for_line,
)
from tests.e2e.faults.bots import WsBot, calling
from tests.e2e.faults.stage import stable_port

pytestmark = [
    pytest.mark.compose,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]

SOCKETS = 60
RECONNECTED_S = 5.0
CUT_S = 20.0
DOWN_S = 1.0
RESTARTED_S = 60.0
CALM_PER_S = 20
PUSHING = ("frontend-ws-reverse", "frontend-http-post")
COUNT_SOCKETS = """
import re, urllib.request as u
page = u.urlopen("http://127.0.0.1:6727/metrics", timeout=10).read().decode()
found = re.search(r'^onebus_sockets{transport="ws"} (\\d+)', page, re.M)
print(found[1] if found else 0)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(image: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crowd]:
    targets = Targets(bridge_address())
    config = targets.config(tmp_path_factory.mktemp("faults"))
    stack = Stack("onebus-faults", stable_port(), {"ONEBUS_CONFIG": str(config)})
    with running(stack):
        async with crowd(stack, targets) as made:
            yield made


def scaled(count: int, *services: str) -> list[str]:
    """What `up` has to be told to run so many of these."""
    return [part for service in services for part in ("--scale", f"{service}={count}")]


async def scale(stack: Stack, count: int, *services: str) -> None:
    await asyncio.to_thread(stack.start, *scaled(count, *services))
    for service in services:
        assert len(stack.containers(service)) == count


async def test_nats_is_restarted(there: Crowd) -> None:
    async with there.talking():
        await there.hears(time.monotonic())
        await there.stack.later("restart", "nats")
        await there.hears(time.monotonic())


@pytest.mark.parametrize(("reverse", "post"), [("edge", "bus"), ("bus", "edge")])
async def test_networks_of_two_frontends_are_cut(there: Crowd, reverse: str, post: str) -> None:
    """One loses its bots, the other NATS."""
    cuts = {"frontend-ws-reverse": reverse, "frontend-http-post": post}
    async with there.talking():
        await there.hears(time.monotonic())
        for service, network in cuts.items():
            await cut(there.stack, service, network, "disconnect")
        await asyncio.sleep(CUT_S)
        for service, network in cuts.items():
            await cut(there.stack, service, network, "connect")
        await there.hears(time.monotonic())
    assert "no dead letters" in await there.stack.later("run", "--rm", "-T", "operator")


async def cut(stack: Stack, service: str, network: str, how: str) -> None:
    (container,) = stack.containers(service)
    await docker_later("network", how, f"{stack.project}_{network}", container)


async def test_each_service_is_killed(there: Crowd) -> None:
    """`docker kill` counts as a wish to the engine: who killed it starts it again."""
    async with there.talking():
        for service in (*ROLES, "nats", "gateway"):
            await there.hears(time.monotonic())
            (container,) = there.stack.containers(service)
            await docker_later("kill", container)
            await asyncio.sleep(DOWN_S)
            await docker_later("start", container)
            await there.hears(time.monotonic())


@pytest.mark.parametrize("service", [*ROLES, "nats", "gateway"])
async def test_what_crashes_is_started_again(there: Crowd, service: str) -> None:
    (container,) = there.stack.containers(service)
    before = there.stack.inspect(container)
    os.kill(before["State"]["Pid"], signal.SIGKILL)
    async with asyncio.timeout(RESTARTED_S):
        while (now := there.stack.inspect(container))["RestartCount"] == before["RestartCount"]:
            await asyncio.sleep(0.1)
        while now["State"].get("Health", {}).get("Status") != "healthy":
            await asyncio.sleep(0.2)
            now = there.stack.inspect(container)


async def test_sockets_are_spread_and_come_back(there: Crowd) -> None:
    await scale(there.stack, 3, "frontend-ws")
    gateway = there.stack.containers("gateway")[0]
    await asyncio.to_thread(wait_for_line, gateway, "Server frontend-ws/ws3 administratively READY")
    url = there.stack.base.replace("http", "ws", 1) + "/sandbox/demo/onebot/v11/event"
    bots = [WsBot(f"socket-{number}", there.http, url) for number in range(SOCKETS)]
    async with AsyncExitStack() as entered:
        for bot in bots:  # one after another
            await entered.enter_async_context(calling(bot))
        replicas = there.stack.containers("frontend-ws")
        counts = {replica: int(run_in(replica, COUNT_SOCKETS)) for replica in replicas}
        even = (SOCKETS + 1) / 3  # the crowd's own one is there, too
        assert all(0.8 * even <= count <= 1.2 * even for count in counts.values()), counts
        there.bots += bots
        try:
            async with there.talking(CALM_PER_S):
                await replica_is_killed(there, bots, replicas[1], counts[replicas[1]])
        finally:
            del there.bots[-SOCKETS:]


async def replica_is_killed(there: Crowd, bots: list[WsBot], replica: str, sockets: int) -> None:
    """Those whose sockets it had are back soon, at the others."""
    await there.hears(time.monotonic())
    killed_at = time.monotonic()
    await docker_later("kill", replica)
    async with asyncio.timeout(30):
        while len(lost := [bot for bot in bots if bot.lost_at]) < sockets - 1:
            await asyncio.sleep(0.02)
        for bot in bots:
            await bot.up.wait()
    back_s = [bot.connected_at[-1] - killed_at for bot in lost]
    print(f"{len(lost)} sockets were lost and back within {max(back_s):.1f} s of the kill")
    assert max(back_s) <= RECONNECTED_S, back_s
    await there.hears(time.monotonic())


async def test_scaling_up_and_down_loses_nothing(there: Crowd) -> None:
    async with there.talking():
        for count in (3, 1, 3):
            await scale(there.stack, count, *PUSHING)
            await there.hears(time.monotonic())
