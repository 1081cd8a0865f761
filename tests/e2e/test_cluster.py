"""A cluster loses the node that makes consumers: readers wait for an election, and for no more."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.e2e.nats_cluster import NatsCluster, Node, nats_cluster
from tests.fakes.followed import message
from tests.fakes.onebot_session import ACCOUNT

from onebus import subjects
from onebus.bus import Bus
from onebus.errors import BusError
from onebus.log import Log, Stored

READERS = 8
"""So many that some have their consumer on the node that is lost."""
AFTER_S = 0.6
"""From the election to the first event at every reader, the quicker time of two."""
ELECTED = "Self is new JetStream cluster metadata leader"
LOG_ELECTED = "new stream leader for '$G > onebus_events'"


class Heard:
    """When the last event came."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self, _: Stored) -> None:
        self.at = time.monotonic()


@pytest.mark.timeout(180)
async def test_readers_go_on_when_consumers_can_be_made_again(tmp_path: Path) -> None:
    async with nats_cluster(tmp_path) as cluster, AsyncExitStack() as stack:
        where, heard = [subjects.events_of(ACCOUNT)], [Heard() for _ in range(READERS)]
        for each in heard:
            log = Log(await connected(stack, cluster, "reader"))
            await stack.enter_async_context(log.follow(where, each, start=1))
        log = Log(await connected(stack, cluster, "writer"))
        speaking = asyncio.ensure_future(speak(log))
        try:
            await all_hear(heard, time.monotonic())
            backs_s: list[float] = []
            for _ in range(2):
                lost = maker(cluster)
                killed_at = time.monotonic()
                await lost.kill()
                elected_at = await elected(cluster, killed_at)
                backs_s.append(await all_hear(heard, killed_at + 1) - elected_at)
                print(f"elected after {elected_at - killed_at:.2f} s, all heard {backs_s[-1]:+.2f}")
                await lost.start()
                await cluster.settled()
            assert min(backs_s) < AFTER_S
        finally:
            speaking.cancel()


async def connected(stack: AsyncExitStack, cluster: NatsCluster, name: str) -> Bus:
    bus = await stack.enter_async_context(Bus(cluster.options, name))
    await bus.wait_ready(10)
    return bus


async def speak(log: Log) -> None:
    """An event every 50 ms, whenever one can be stored."""
    number = 0
    while True:
        try:
            await log.append(message(number := number + 1))
        except BusError:
            continue
        await asyncio.sleep(0.05)


def maker(cluster: NatsCluster) -> Node:
    """The node that leads the cluster's metadata."""
    return max(cluster.nodes, key=lambda node: max(said_at(node, ELECTED), default=0.0))


def said_at(node: Node, text: str) -> list[float]:
    assert node.running
    pairs = zip(node.running.lines, node.running.heard_at, strict=False)
    return [at for line, at in pairs if text in line]


async def elected(cluster: NatsCluster, since: float) -> float:
    """When the nodes had elected whom they lost: who makes consumers, and the log's leader."""
    async with asyncio.timeout(30):
        while not (made := [at for n in cluster.nodes for at in said_at(n, ELECTED) if at > since]):
            await asyncio.sleep(0.05)
    await cluster.leader()
    log = [at for n in cluster.nodes for at in said_at(n, LOG_ELECTED) if at > since]
    return max(made + log)


async def all_hear(heard: list[Heard], since: float) -> float:
    """Wait until each reader has had something that came after a moment; when the last had."""
    async with asyncio.timeout(30):
        while min(each.at for each in heard) < since:
            await asyncio.sleep(0.01)
    return time.monotonic()
