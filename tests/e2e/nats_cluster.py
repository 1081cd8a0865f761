"""A cluster of three nats-servers on loopback, whose nodes can be killed one by one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.e2e.nats_server import PASSWORD, USER
from tests.e2e.processes import BIN, Running, free_port, spawn

from onebus.bus import Bus, BusOptions
from onebus.errors import BusError
from onebus.setup import Storage, set_up

NODES = 3
SETTLE_S = 30.0


class Node:
    """One nats-server of the cluster: its name, its two ports and its directory are its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self.route_port = free_port()
        self.running: Running | None = None
        self._folder = folder
        self._config = folder / "nats.conf"

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        return self.running is not None and self.running.process.returncode is None

    def configure(self, routes: list[str], sync_interval: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._config.write_text(
            f"server_name: {self.name}\n"
            f'listen: "127.0.0.1:{self.port}"\n'
            f'authorization {{ user: {USER}, password: "{PASSWORD}" }}\n'
            f'jetstream {{ store_dir: "{self._folder}", sync_interval: {sync_interval} }}\n'
            f'cluster {{ name: test, listen: "127.0.0.1:{self.route_port}",'
            f" routes: [{', '.join(routes)}] }}\n"
            'ping_interval: "2s"\nping_max: 2\n'
        )

    async def start(self) -> None:
        """Returns once it takes clients; the cluster may still be catching it up."""
        command = (str(BIN / "nats-server"), "--config", str(self._config))
        self.running = await spawn(self.name, *command)
        await self.running.says("Server is ready")

    async def kill(self) -> None:
        """`kill -9`."""
        if self.running:
            await self.running.kill()


class NatsCluster:
    """Three nodes; every stream and bucket has a copy on each of them."""

    def __init__(self, folder: Path, *, sync_interval: str = "2m") -> None:
        self.nodes = [Node(f"n{number}", folder / f"n{number}") for number in range(1, NODES + 1)]
        routes = [f"nats-route://127.0.0.1:{node.route_port}" for node in self.nodes]
        for node in self.nodes:
            node.configure(routes, sync_interval)

    @property
    def options(self) -> BusOptions:
        """How to connect to any of them."""
        return BusOptions(",".join(node.url for node in self.nodes), USER, PASSWORD)

    @property
    def settings(self) -> dict[str, Any]:
        """The `bus` block of a configuration."""
        return {"url": self.options.url, "user": USER, "password": PASSWORD, "replicas": NODES}

    def options_of(self, node: Node) -> BusOptions:
        """How to connect to one node first; a client learns the others from it."""
        return BusOptions(node.url, USER, PASSWORD)

    async def start(self) -> None:
        async with asyncio.TaskGroup() as group:
            for node in self.nodes:
                group.create_task(node.start())

    async def stop(self) -> None:
        for node in self.nodes:
            await node.kill()

    async def set_up(self, storage: Storage | None = None) -> None:
        """Make streams and buckets, as soon as the nodes have elected who may; wait for copies."""
        async with Bus(self.options, "setup") as bus:
            await bus.wait_ready(10)
            async with asyncio.timeout(SETTLE_S):
                while True:
                    try:
                        await set_up(bus, storage or Storage(replicas=NODES))
                        break
                    except BusError:
                        await asyncio.sleep(0.2)
        await self.settled()

    async def leader(self, stream: str = "onebus_events") -> Node:
        """The node that leads a stream now (a bucket is `KV_onebus_{name}`); waits for one."""
        async with self._client() as bus, asyncio.timeout(SETTLE_S):
            while True:
                with contextlib.suppress(BusError):
                    name = (await _cluster_of(bus, stream)).get("leader")
                    for node in self.nodes:
                        if node.name == name and node.alive:
                            return node
                await asyncio.sleep(0.1)

    async def follower(self, stream: str = "onebus_events") -> Node:
        """A node that lives and does not lead a stream."""
        leader = await self.leader(stream)
        return next(node for node in self.nodes if node.alive and node is not leader)

    async def settled(self) -> None:
        """Wait until each stream has a leader and all nodes that live have all of it."""
        async with self._client() as bus, asyncio.timeout(SETTLE_S):
            while not await self._all_current(bus):
                await asyncio.sleep(0.2)

    async def _all_current(self, bus: Bus) -> bool:
        alive = {node.name for node in self.nodes if node.alive}
        try:
            for stream in (await bus.api("STREAM.NAMES"))["streams"]:
                cluster = await _cluster_of(bus, stream)
                current = {peer["name"] for peer in cluster.get("replicas", []) if peer["current"]}
                if not alive <= current | {cluster.get("leader")}:
                    return False
        except BusError:
            return False
        return True

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Bus]:
        urls = ",".join(node.url for node in self.nodes if node.alive)
        async with Bus(BusOptions(urls, USER, PASSWORD), "fixture") as bus:
            await bus.wait_ready(10)
            yield bus


async def _cluster_of(bus: Bus, stream: str) -> dict[str, Any]:
    cluster: dict[str, Any] = (await bus.api(f"STREAM.INFO.{stream}", timeout_s=2))["cluster"]
    return cluster


@asynccontextmanager
async def nats_cluster(folder: Path, *, sync_interval: str = "2m") -> AsyncIterator[NatsCluster]:
    """A cluster with streams and buckets on all three nodes."""
    cluster = NatsCluster(folder, sync_interval=sync_interval)
    try:
        await cluster.start()
        await cluster.set_up()
        yield cluster
    finally:
        await cluster.stop()
