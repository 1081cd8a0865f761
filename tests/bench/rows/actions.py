"""Rows 1 and 2: an action from the bot by way of NATS to the sandbox and back, by HTTP and by WS.

`get_stranger_info`, asked about the account itself, is an action of which the sandbox knows the
answer without a look at its store; `send_private_msg` is answered once the log has the message.
What `get_login_info` answers a frontend knows already; its floor asks all the same.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from tests.bench.group import Group, Run
from tests.bench.load.http import http_load
from tests.bench.load.ws_calls import ws_load
from tests.bench.measure import Load, Side
from tests.bench.programs import floor, onebus, pids
from tests.bench.row import Bars, Row
from tests.e2e.faults.stage import Stage, stable_port

CONNECTIONS = (1, 16, 64)
LOGIN, READ, SEND = "get_login_info", "get_stranger_info", "send_private_msg"
PEOPLE = 100
TEXT = "Hello, how are you today?"
READ_BARS = {
    1: Bars(p50=1.3, cpu=1.25),
    16: Bars(ratio=0.8, cpu=1.25),
    64: Bars(ratio=0.8, cpu=1.25),
}
SEND_BARS = Bars(ratio=0.7)

Loader = Callable[[str, Path, int, float], Awaitable[Load]]


class Way(Struct, frozen=True):
    """How bots call: which load, where onebus and the floor take it, what a call looks like."""

    name: str
    load: Loader
    ours: str
    floors: str
    body: Callable[[str, Any], Any]


HTTP = Way(
    "http", http_load, "http://{}/sandbox/demo/onebot/v11/{}", "http://{}/{}", lambda _, p: p
)
WS = Way(
    "ws",
    ws_load,
    "ws://{}/sandbox/demo/onebot/v11/api",
    "ws://{}/ws",
    lambda action, params: {"action": action, "params": params},
)


async def measure(way: Way, sync: str, run: Run) -> list[Row]:
    """All rows of one way of calling, with one setting of when NATS writes to the disk."""
    rows: list[Row] = []
    async with (
        onebus(run.folder / "onebus", way.name, sync=sync) as ours,
        floor(run.folder / "floor", sync=sync) as below,
    ):
        port = stable_port()
        await below.add("connector")
        await below.add("frontend", str(port))
        people, me = await numbers(ours), await ours.account("frontend").ok(LOGIN)
        calls: dict[str, list[dict[str, Any]]] = {
            LOGIN: [{}],
            READ: [{"user_id": me["user_id"]}],
        }
        if sync == "always":  # which is a matter of what is written
            calls.clear()
        if run.quick:
            calls.pop(LOGIN, None)
        calls[SEND] = [{"user_id": number, "message": TEXT} for number in people]
        for action, params in calls.items():
            bodies = run.folder / f"{action}.jsonl"
            bodies.write_bytes(
                b"\n".join(msgspec.json.encode(way.body(action, one)) for one in params)
            )
            for connections in CONNECTIONS[1:2] if run.quick else CONNECTIONS:
                load = partial(_load, way.load, bodies, connections)
                at = f"127.0.0.1:{ours['frontend'].port}"
                mine = Side(pids(ours), partial(load, way.ours.format(at, action)))
                at = f"127.0.0.1:{port}"
                theirs = Side(below.pids, partial(load, way.floors.format(at, action)))
                name = f"{way.name} {action}, {connections} connections, sync {sync}"
                bars = SEND_BARS if action == SEND else READ_BARS[connections]
                rows += await run.compare(name, mine, theirs, bars)
        await check_answers(ours)
    return rows


async def _load(load: Loader, bodies: Path, connections: int, url: str, seconds: float) -> Load:
    return await load(url, bodies, connections, seconds)


async def numbers(ours: Stage) -> list[int]:
    """What bots know people by who have written; no plain numbers, as on most platforms."""
    account = ours.account("frontend")
    found: list[int] = []
    for number in range(PEOPLE):
        user = f"user-{number}"
        await account.say("hello", user=user)
        found.append((await account.ok("get_stranger_info", user_id=user))["user_id"])
    return found


async def check_answers(ours: Stage) -> None:
    """No call was refused, as the frontend counted them."""
    async with ours.http.get(f"{ours['frontend'].base}/metrics") as response:
        page = await response.text()
    counted = [line for line in page.splitlines() if line.startswith("onebus_actions_total{")]
    assert counted
    assert not [line for line in counted if 'retcode="0"' not in line], counted


GROUPS = [
    Group(1, "http", partial(measure, HTTP, "2m")),
    Group(1, "http-always", partial(measure, HTTP, "always"), quick=False),
    Group(2, "ws", partial(measure, WS, "2m")),
    Group(2, "ws-always", partial(measure, WS, "always"), quick=False),
]
