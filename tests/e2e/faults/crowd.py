"""The usual cast: replicas of every role, a bot on every transport, and people who talk."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from tests.e2e.faults.bots import Bot, PostBot, ReverseBot, SseBot, WsBot, calling, served
from tests.e2e.faults.load import Load
from tests.e2e.faults.stage import Stage, stage
from tests.e2e.faults.verdict import Verdict, judge, judge_log

from onebus.bus import Bus
from onebus.dead import DeadLetters

ROLES = {
    "sandbox": ("connector", "sandbox"),
    "http": ("frontend", "http"),
    "ws": ("frontend", "ws"),
    "ws-reverse": ("frontend", "ws-reverse"),
    "http-post": ("frontend", "http-post"),
}
"""What is run of each role: `onebus …`."""
SERVES = {"sandbox": "online as", "ws-reverse": ": connected", "http-post": ": delivered"}
"""What a process says when it begins to serve what only one does."""
WINDOW_MS = 900_000
CAUGHT_UP_S = 60.0


class Crowd:
    """A stage with all roles, a bot on each transport, and load that has not begun."""

    def __init__(self, made: Stage, bots: dict[str, Bot], load: Load) -> None:
        self.stage = made
        self.bots = bots
        self.load = load

    def replicas(self, role: str) -> list[str]:
        """Names of the processes of a role."""
        return [name for name in self.stage.members if name.rstrip("0123456789") == role]

    def owner(self, role: str) -> str:
        """The replica that serves: for `http` and `ws` the only one."""
        names = self.replicas(role)
        return self.stage.owner(names, SERVES[role]) if role in SERVES else names[0]

    async def caught_up(self, timeout_s: float = CAUGHT_UP_S) -> None:
        """Wait until every bot has the last message of every chat, or no longer."""
        acked = dict(self.load.acked)
        waits = [b.until(partial(b.record.has, acked), timeout_s) for b in self.bots.values()]
        await asyncio.gather(*waits)

    def verdicts(self) -> dict[str, Verdict]:
        """What each bot got, against what was acknowledged."""
        return {name: judge(bot.record, self.load.acked) for name, bot in self.bots.items()}

    async def given_up(self) -> int:
        """How many events became dead letters: a bot hung up before it answered, say."""
        async with Bus(self.stage.nats.options, "verdict") as bus:
            await bus.wait_ready(10)
            return len(await DeadLetters(bus).all())

    async def log_verdict(self) -> Verdict:
        """What the log has, against what was acknowledged."""
        return await judge_log(self.stage.nats, self.load.acked)


@asynccontextmanager
async def crowd(
    folder: Path,
    *,
    replicas: int = 2,
    chats: int = 100,
    rate_per_s: float = 200,
    bots: Sequence[str] = ("ws", "sse", "ws-reverse", "http-post"),
    connections: int = 100,
    planted: dict[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[Crowd]:
    """Everything runs, every bot has had a message, every chat exists.

    `replicas`: of connectors and push frontends. `bots` leaves roles out that have no bot; the
    HTTP frontend is always there. `connections`: how many the speakers have to each replica.
    `planted`: a fault for each replica of a role.
    """
    reverse, post = ReverseBot("ws-reverse"), PostBot("http-post")
    block: dict[str, Any] = {"use_http": True, "use_ws": True, "replay_window": WINDOW_MS}
    if "ws-reverse" in bots:
        block |= {"use_ws_reverse": True, "ws_reverse_url": reverse.url}
        block["ws_reverse_reconnect_interval"] = 200
    if "http-post" in bots:
        block |= {"http_reverse": [post.url], "post_timeout": 30_000}
    account = {"onebot.v11": block | settings}
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(stage(folder, sandbox__demo=account))
        await stack.enter_async_context(served(reverse, post))
        for role, arguments in ROLES.items():
            if role in ("sandbox", "http") or role in bots:
                for number in range(replicas if role in SERVES else 1):
                    name = f"{role}{number + 1}" if number else role
                    made.add(name, *arguments, planted=(planted or {}).get(role, ""))
        await made.start()
        await made.account("http").online()
        sandboxes = [made[n].base for n in made.members if n.startswith("sandbox")]
        speaking = aiohttp.TCPConnector(limit=0, limit_per_host=connections)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=speaking))
        load = Load(http, sandboxes, chats=chats, rate_per_s=rate_per_s)
        url = made["http"].base + "/sandbox/demo/onebot/v11"
        callers: dict[str, WsBot | SseBot] = {}
        if "ws" in bots:
            at = made["ws"].base.replace("http", "ws") + "/sandbox/demo/onebot/v11/event"
            callers["ws"] = WsBot("ws", made.http, at)
        if "sse" in bots:
            callers["sse"] = SseBot("sse", made.http, f"{url}/events")
        await stack.enter_async_context(calling(*callers.values()))
        pushed = {b.record.name: b for b in (reverse, post) if b.record.name in bots}
        there = Crowd(made, {**callers, **pushed}, load)
        for bot in pushed.values():  # what was said before its first time is not for it
            await asyncio.wait_for(bot.up.wait(), 30)
        await load.warm_up()
        await there.caught_up()
        assert all(verdict.clean for verdict in there.verdicts().values()), there.verdicts()
        yield there
