"""R7: five hundred bots are cut off at once; and fifty bots that we go to are away at once."""

import asyncio
import time
from collections import Counter

from aiohttp import web
from tests.e2e.faults.herd import Herd
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import Stage, stable_port, stage

CLIENTS = 500
TARGETS = 50
BACK_S = 90.0
MOST_TRIES = 6
HEARD_S = 10.0
MINUTE_S = 60.0


async def r7(run: Run) -> list[Row]:
    """The frontend of all bots is killed; then the place where all pushed-to bots live refuses."""
    return [await _forward(run), await _reverse(run)]


async def _forward(run: Run) -> Row:
    down_s, cuts = (1.0, 1) if run.quick else (10.0, 3)
    block = {"use_http": True, "use_ws": True}
    async with stage(run.folder / "forward", sandbox__demo={"onebot.v11": block}) as made:
        made.add("sandbox", "connector", "sandbox")
        made.add("ws", "frontend", "http", "ws")
        await made.start()
        account = made.account("ws")
        await account.online()
        herd = Herd(run.draw(), CLIENTS)
        url = made["ws"].base.replace("http", "ws") + "/sandbox/demo/onebot/v11/event"
        async with asyncio.TaskGroup() as group:
            living = group.create_task(herd.run(made.http, url))
            await herd.all_back(0, BACK_S)
            figures = [await _cut(made, herd, number, down_s) for number in range(cuts)]
            living.cancel()
    back_s = max(figure[0] for figure in figures)
    tries = max(figure[1] for figure in figures)
    heard = min(figure[2] for figure in figures)
    return run.row(
        f"{CLIENTS} WebSockets cut at once, {cuts}×, their frontend killed and away {down_s:.0f} s:"
        f" all back ≤ {BACK_S:.0f} s, ≤ {MOST_TRIES} tries per client and minute, none starves",
        f"all back {back_s:.1f} s after the cut; {tries:.1f} tries per client in the minute after"
        f" it; {heard} of {CLIENTS} got the next message within {HEARD_S:.0f} s",
        back_s < BACK_S and tries <= MOST_TRIES and heard == CLIENTS,
    )


async def _cut(made: Stage, herd: Herd, number: int, down_s: float) -> tuple[float, float, int]:
    """Kill, start again; when all were back, tries per client, and how many are served then."""
    cut_at = await made["ws"].kill()
    await asyncio.sleep(down_s)
    await made["ws"].start()
    back_s = await herd.all_back(cut_at, BACK_S)
    text = f"after cut {number}"
    await made.account("ws").say(text, user="alice", group="all")
    heard = await herd.all_heard(text, HEARD_S)
    tries = sum(member.tries(cut_at, cut_at + MINUTE_S) for member in herd.members)
    return back_s, tries / len(herd.members), heard


class Home:
    """Where fifty bots live: it takes their connections, or refuses them and counts."""

    def __init__(self) -> None:
        self.port = stable_port()
        self.away = False
        self.tries: Counter[str] = Counter()
        self.open: dict[str, web.WebSocketResponse] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """A connection of onebus."""
        if self.away:
            self.tries[request.path] += 1
            return web.Response(status=503)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.open[request.path] = ws
        try:
            async for _ in ws:
                pass
        finally:
            self.open.pop(request.path, None)
        return ws

    async def leave(self) -> None:
        """All at once, without a word."""
        self.away = True
        for ws in list(self.open.values()):
            transport = ws._req.transport if ws._req else None
            if transport:
                transport.close()

    async def all_open(self, timeout_s: float) -> float:
        """The seconds until all are connected."""
        started_at = time.monotonic()
        async with asyncio.timeout(timeout_s):
            while len(self.open) < TARGETS:
                await asyncio.sleep(0.05)
        return time.monotonic() - started_at


async def _reverse(run: Run) -> Row:
    away_s = 6.0 if run.quick else 120.0
    home = Home()
    targets = [f"ws://127.0.0.1:{home.port}/bot{number}" for number in range(TARGETS)]
    app = web.Application()
    app.router.add_get("/{path}", home.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", home.port, backlog=512).start()
    try:
        block = {"use_http": True, "ws_reverse": targets}
        async with stage(run.folder / "reverse", sandbox__demo={"onebot.v11": block}) as made:
            made.add("sandbox", "connector", "sandbox")
            made.add("ws-reverse", "frontend", "ws-reverse")
            await made.start()
            await home.all_open(BACK_S)
            await home.leave()
            await asyncio.sleep(away_s)
            home.away = False
            back_s = await home.all_open(BACK_S)
    finally:
        await runner.cleanup()
    return _reverse_row(run, home.tries, away_s, back_s)


def _reverse_row(run: Run, tries: Counter[str], away_s: float, back_s: float) -> Row:
    allowed = MOST_TRIES * max(1.0, away_s / MINUTE_S)
    mean, most = tries.total() / TARGETS, max(tries.values())
    return run.row(
        f"{TARGETS} bots that onebus goes to away for {away_s:.0f} s, default settings: ≤"
        f" {MOST_TRIES} tries per bot and minute on average, all back ≤ {BACK_S:.0f} s",
        f"{mean:.1f} tries per bot in {away_s:.0f} s, {most} for one at most; all connected"
        f" {back_s:.1f} s after the bots were there again",
        mean <= allowed and back_s < BACK_S,
    )


SCENARIOS = [Scenario("R7", r7)]
