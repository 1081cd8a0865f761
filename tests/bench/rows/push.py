"""Row 4: an event to a bot that onebus goes to, which has it for certain; and all that it missed.

A message is posted to the sandbox and appended; a frontend reads it and hands it over: it writes
to a WebSocket, whose pong is the ack, or posts to the bot, whose answer is. How far the bot has got
is stored meanwhile, by the floor too.

By HTTP POST onebus makes a connection for each event, because on one that is kept a bot may hang up
while we write, and nobody could tell whether it had the event (docs/adr/0018). So there are two
rows: the floor keeps its connections in the one, and makes them anew in the other; how far its
rates lie apart is what this certainty costs.
"""

from functools import partial

from msgspec import Struct, structs
from tests.bench.group import Group, Run
from tests.bench.load.deliveries import FarBot, deliveries_load, far_bot, say
from tests.bench.measure import Side
from tests.bench.programs import floor, onebus, pids
from tests.bench.row import Bars, Row
from tests.bench.rows.events import POSTS
from tests.e2e.faults.stage import Stage, stable_port

REPLAY_WINDOW_MS = 600_000
AWAY_S, QUICK_AWAY_S = 5.0, 2.0
CATCH_UP_PER_S = 1_000


class Way(Struct, frozen=True):
    """One transport: its name, the scheme and the key of a bot's address, and its floor.

    `floor`: the program, and what it is told besides the address. `greets`: text frames or posts
    that a bot gets for its own sake when it comes back.
    """

    transport: str
    scheme: str
    key: str
    floor: tuple[str, ...]
    greets: int = 0


WS = Way("ws-reverse", "ws", "ws_reverse", ("push_ws",), greets=1)
POST = Way("http-post", "http", "http_reverse", ("push_post",))
POST_ALIKE = structs.replace(POST, floor=("push_post", "fresh"))


async def measure(sync: str, run: Run) -> list[Row]:
    """All rows with one setting of when NATS writes to the disk."""
    rows: list[Row] = []
    for name, way, work in (
        ("ws-reverse deliveries", WS, _deliver),
        ("ws-reverse catch-up", WS, _catch_up),
        ("http-post deliveries", POST, _deliver),
        ("http-post deliveries, a connection each in the floor too", POST_ALIKE, _deliver),
        ("http-post catch-up", POST, _catch_up),
    ):
        named = f"{name}, sync {sync}"
        if run.wants(named):
            rows += await work(named, way, sync, run)
    return rows


def _config(way: Way, port: int) -> dict[str, object]:
    block = {way.key: [f"{way.scheme}://127.0.0.1:{port}/"], "replay_window": REPLAY_WINDOW_MS}
    return {"sandbox__demo": {"onebot.v11": block}}


async def _deliver(name: str, way: Way, sync: str, run: Run) -> list[Row]:
    port, below_port, posts = stable_port(), stable_port(), stable_port()
    folder = run.folder / name.replace(" ", "-")
    async with (
        far_bot(port) as bot,
        far_bot(below_port) as below_bot,
        onebus(folder / "onebus", way.transport, sync=sync, config=_config(way, port)) as ours,
        floor(folder / "floor", sync=sync) as below,
    ):
        await bot.has(1)  # the lifecycle event: onebus has found it
        target = f"{way.scheme}://127.0.0.1:{below_port}/"
        program, *told = way.floor
        await below.add("frontend", target, *told, program=program)
        await below.add("connector", str(posts), program="event_connector")
        mine = partial(deliveries_load, _posts(ours), bot)
        theirs = partial(deliveries_load, POSTS.format(posts), below_bot)
        sides = Side(pids(ours), mine), Side(below.pids, theirs)
        return await run.compare(name, *sides, Bars())


async def _catch_up(name: str, way: Way, sync: str, run: Run) -> list[Row]:
    """Events are stored while the bot is away; the time runs from the first that it then gets."""
    port = stable_port()
    folder = run.folder / name.replace(" ", "-")
    config = _config(way, port)
    async with onebus(folder, way.transport, sync=sync, config=config) as ours:
        async with far_bot(port) as bot:
            await bot.has(1)
        missed, _ = await say(_posts(ours), QUICK_AWAY_S if run.quick else AWAY_S)
        async with far_bot(port) as bot:
            return [await _caught_up(name, bot, missed, way.greets)]


async def _caught_up(name: str, bot: FarBot, missed: int, greets: int) -> Row:
    had = await bot.has(greets + missed)
    rate = missed / (had.at_s - had.first_at_s)
    goal = f"≥ {CATCH_UP_PER_S:,}/s"
    figures = {"events missed": float(missed)}
    return Row(name=name, rate=rate, figures=figures, goal=goal, met=rate >= CATCH_UP_PER_S)


def _posts(ours: Stage) -> str:
    return POSTS.format(ours["sandbox"].port)


GROUPS = [
    Group(4, "push", partial(measure, "2m"), quick=False),
    Group(4, "push-always", partial(measure, "always")),
]
