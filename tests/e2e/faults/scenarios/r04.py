"""R4: a cluster of three loses a node: killed, or cut off from the others and from us."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import cast

import aiohttp
from tests.e2e.faults.bots import WsBot, calling
from tests.e2e.faults.load import Load
from tests.e2e.faults.network import Namespace, namespace
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import Stage
from tests.e2e.faults.verdict import Record, judge, judge_log
from tests.e2e.nats_cluster import NatsCluster, Node
from tests.e2e.nats_server import NatsServer
from tests.e2e.processes import BIN, Running, spawn

from onebus.bus import Bus

RATE_PER_S = 200
CHATS = 100
GAP_S = 8.0
EVENTS = "onebus_events"


class PlacedNode(Node):
    """A node at an address of its own; one of the cluster is in a namespace."""

    def __init__(self, name: str, folder: Path, host: str, there: Namespace | None) -> None:
        super().__init__(name, folder)
        self.host = host
        self._there = there

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"

    def configure(self, routes: list[str], sync_interval: str) -> None:
        super().configure(routes, sync_interval)
        text = self._config.read_text()
        self._config.write_text(text.replace('"127.0.0.1:', f'"{self.host}:'))

    async def start(self) -> None:
        command = (str(BIN / "nats-server"), "--config", str(self._config))
        self.running = await spawn(
            self.name, *(self._there.command(*command) if self._there else command)
        )
        await self.running.says("Server is ready")


class PlacedCluster(NatsCluster):
    """n1 and n2 here, n3 in a namespace, where the network can be cut."""

    def __init__(self, folder: Path, there: Namespace) -> None:
        self.far = PlacedNode("n3", folder / "n3", there.there, there)
        near = [PlacedNode(name, folder / name, there.ours, None) for name in ("n1", "n2")]
        placed = [*near, self.far]
        self.running: Running | None = None  # what a stage keeps is that of a single server
        self.nodes = [*placed]
        for node in placed:
            routes = [f"nats-route://{other.host}:{other.route_port}" for other in placed]
            node.configure(routes, "2m")

    async def led_by(self, node: Node) -> None:
        """Let a node lead the log."""
        async with Bus(self.options, "faults") as bus:
            await bus.wait_ready(10)
            place = {"placement": {"preferred": node.name}}
            while (await self.leader(EVENTS)) is not node:
                await bus.api(f"STREAM.LEADER.STEPDOWN.{EVENTS}", place)
                await asyncio.sleep(1)


@dataclass
class Scene:
    """A cluster, onebus, a bot, and load that runs."""

    cluster: PlacedCluster
    there: Namespace
    stage: Stage
    bot: WsBot
    load: Load
    gaps_s: dict[str, float] = field(default_factory=dict)

    async def suffer(self, what: str, fault: Callable[[], Awaitable[None]]) -> None:
        """A fault and its end, with ordinary life before and after it; how long nothing came."""
        await asyncio.sleep(3)
        began_at = time.monotonic()
        await fault()
        await asyncio.sleep(5)
        self.gaps_s[what] = longest_gap(self.bot.record, began_at, time.monotonic())


def longest_gap(record: Record, since: float, until: float) -> float:
    """The longest time in which no event came."""
    moments = sorted(got.at for all_got in record.chats.values() for got in all_got)
    marks = [since, *(at for at in moments if since < at < until), until]
    return max(later - earlier for earlier, later in pairwise(marks))


async def r4(run: Run) -> list[Row]:
    """Nodes are lost in turn under load; the log's leader first."""
    async with _scene(run) as scene:
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(scene.load.run(3600))
            for node in scene.cluster.nodes[:1] if run.quick else scene.cluster.nodes:
                down_s = 4 if run.quick else 20
                await scene.cluster.led_by(node)
                await scene.suffer(f"{node.name} killed", partial(_killed, scene, node, down_s))
                await scene.cluster.settled()
            if not run.quick:
                await scene.cluster.led_by(scene.cluster.far)
                await scene.suffer("n3 cut off", partial(_cut_off, scene, 60))
                await scene.cluster.settled()
            scene.load.stop()
            await loading
        await scene.bot.until(partial(scene.bot.record.has, scene.load.acked))
        verdict = judge(scene.bot.record, scene.load.acked)
        log = await judge_log(cast("NatsServer", scene.cluster), scene.load.acked)
        good = verdict.clean and log.clean and not log.repeated
    gaps = "; ".join(f"{what}: gap {gap_s:.1f} s" for what, gap_s in scene.gaps_s.items())
    return [
        run.row(
            f"cluster of 3, the leader of the log lost at {RATE_PER_S}/s"
            f"{'' if run.quick else ', each node once, and one cut off for 60 s'}: 0 lost, gap ≤"
            f" {run.within_s(GAP_S):.0f} s",
            f"{gaps}; {scene.load.total} messages, {scene.load.again} said again, log: {log};"
            f" bot: {verdict}",
            good and max(scene.gaps_s.values()) <= run.within_s(GAP_S),
        )
    ]


async def _killed(scene: Scene, node: Node, down_s: float) -> None:
    await node.kill()
    await asyncio.sleep(down_s)
    await node.start()


async def _cut_off(scene: Scene, cut_s: float) -> None:
    await scene.there.cut()
    await asyncio.sleep(cut_s)
    await scene.there.heal()


@asynccontextmanager
async def _scene(run: Run) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(namespace())
        cluster = PlacedCluster(run.folder / "nats", there)
        stack.push_async_callback(cluster.stop)
        await cluster.start()
        await cluster.set_up()
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        made = Stage(run.folder, cast("NatsServer", cluster), http, {})
        stack.push_async_callback(made.close)
        made.add("sandbox", "connector", "sandbox")
        made.add("ws", "frontend", "http", "ws")
        await made.start()
        await made.account("ws").online()
        at = made["ws"].base.replace("http", "ws") + "/sandbox/demo/onebot/v11/event"
        bot = WsBot("ws", http, at)
        load = Load(http, [made["sandbox"].base], chats=CHATS, rate_per_s=RATE_PER_S)
        await stack.enter_async_context(calling(bot))
        await load.warm_up()
        yield Scene(cluster, there, made, bot, load)
        if made.faults:
            raise AssertionError("\n".join(made.faults[:20]))


SCENARIOS = [Scenario("R4", r4, root=True)]
