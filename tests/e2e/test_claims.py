"""Claims while processes and servers come and go: none moves without need or is owned twice.

On real time and with the constants of production; most of a scenario is waiting.
"""

import asyncio
from pathlib import Path

from tests.e2e import claims
from tests.e2e.nats_cluster import nats_cluster
from tests.e2e.nats_server import nats_server

from onebus.lease import LIST_S

TAKEOVER_S = 8.0
AT_ONCE_S = 2.0


async def test_no_outage_moves_a_claim_and_a_cluster_stores_once(tmp_path: Path) -> None:
    """NATS away for ten seconds; beside it, on a cluster, the leader of the sessions killed."""
    outages = await asyncio.gather(on_a_server(tmp_path / "one"), on_a_cluster(tmp_path / "three"))
    print(*outages)
    for found in outages:
        assert found.unsure_s > 2  # the fault was one
        assert (found.moved, found.begun_anew, found.twice) == (0, 0, 0)


async def on_a_server(folder: Path) -> claims.Moved:
    async with nats_server(folder) as server:
        return await claims.nats_away(server)


async def on_a_cluster(folder: Path) -> claims.Moved:
    async with nats_cluster(folder) as cluster:
        nodes = [*cluster.nodes, cluster.nodes[0]]
        race = await claims.racing_appends([cluster.options_of(node) for node in nodes])
        fenced = await claims.fenced([cluster.options_of(node) for node in cluster.nodes])
        print(race, fenced)
        assert (race.entries, race.several_numbers, race.unread) == (race.messages, 0, 0)
        assert (fenced.entries, fenced.stale, fenced.in_order) == (fenced.appended, 0, True)
        return await claims.leader_killed(cluster)


async def test_replicas_share_and_take_over(tmp_path: Path) -> None:
    async with nats_server(tmp_path) as server:
        found = await claims.shares(server.options)
    print(found)
    # Who is born later than the others look at the sessions gets a share once all have settled.
    assert found.born_within_s > LIST_S or all(80 <= share <= 120 for share in found.at_start)
    assert found.takeover_s <= TAKEOVER_S
    assert all(120 <= share <= 147 for share in found.after_kill)
    assert found.after_join == [100, 100, 100, 100]
    assert found.given >= 100
    assert found.stop_s <= AT_ONCE_S
    assert all(120 <= share <= 147 for share in found.after_stop)
    assert found.twice == 0
