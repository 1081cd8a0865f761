"""Bots on every transport and people who talk, all through the containers of a stack.

Bots that connect, and people, use the gateway. Bots that onebus goes to listen on this machine,
where containers reach it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from tests.compose.stack import CONFIG, Stack
from tests.e2e.faults.bots import Bot, PostBot, ReverseBot, SseBot, WsBot, calling, served
from tests.e2e.faults.load import Load
from tests.e2e.faults.verdict import Record, Verdict, judge, lost
from tests.e2e.processes import Account

CHATS = 20
RATE_PER_S = 50
EACH = 3
"""Bots of each kind that onebus goes to, so that replicas share them."""
CAUGHT_UP_S = 60.0
WINDOW_MS = 900_000
NOT_ACKNOWLEDGED = (403, 502, 503, 504)
"""What is no acknowledgement: of the gateway and the connector, and 403 of a proxy that some
networks have at their end, and that answers for addresses of containers that are gone."""


class Targets:
    """Bots that onebus goes to, listening at an address of this machine."""

    def __init__(self, host: str) -> None:
        self.reverse = [ReverseBot(f"ws-reverse-{n}", host) for n in range(EACH)]
        self.post = [PostBot(f"http-post-{n}", host=host) for n in range(EACH)]

    def config(self, folder: Path, **accounts: Any) -> Path:
        """The shipped configuration with these bots in it, and further accounts."""
        text: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
        block = {
            "ws_reverse": [{"url": bot.url, "reconnect_interval": 200} for bot in self.reverse],
            "http_reverse": [{"url": bot.url, "timeout": 30_000} for bot in self.post],
            "replay_window": WINDOW_MS,
        }
        text["sandbox.demo"]["onebot.v11"] = block
        text |= {name.replace("__", "."): account for name, account in accounts.items()}
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(text))
        path.chmod(0o644)
        folder.chmod(0o755)
        return path


class Crowd:
    """Everybody, with nobody talking yet."""

    def __init__(self, stack: Stack, bots: list[Bot], http: aiohttp.ClientSession) -> None:
        self.stack = stack
        self.bots = bots
        self.http = http
        self.account = Account(http, stack.base)
        self._names = (f"{a}{b}" for a in "bcdefg" for b in "abcdefgh")

    @asynccontextmanager
    async def talking(self, rate_per_s: float = RATE_PER_S) -> AsyncIterator[Load]:
        """People talk in new chats; at the end every bot must have had all of it, in order."""
        load = Load(
            self.http,
            [self.stack.base],
            chats=CHATS,
            rate_per_s=rate_per_s,
            prefix=next(self._names),
            refusals=NOT_ACKNOWLEDGED,
        )
        await load.warm_up()
        async with asyncio.TaskGroup() as group:
            speaking = group.create_task(load.run(300))
            try:
                yield load
            finally:
                load.stop()
            await speaking
        await self.caught_up(load)
        verdicts = {bot.record.name: judge(part(bot.record, load), load.acked) for bot in self.bots}
        missing = {bot.record.name: lost(part(bot.record, load), load.acked) for bot in self.bots}
        assert all(verdict.clean for verdict in verdicts.values()), _table(verdicts, missing)
        assert load.total > CHATS, "nobody said anything"

    async def caught_up(self, load: Load) -> None:
        """Wait until every bot has the last message of every chat, or no longer."""
        acked = dict(load.acked)
        waits = [bot.until(partial(bot.record.has, acked), CAUGHT_UP_S) for bot in self.bots]
        await asyncio.gather(*waits)

    async def hears(self, since: float, timeout_s: float = 40) -> None:
        """Wait until every bot has had something that came after this moment."""
        waits = [bot.until(partial(_later, bot, since), timeout_s) for bot in self.bots]
        heard = await asyncio.gather(*waits)
        deaf = [bot.record.name for bot, one in zip(self.bots, heard, strict=True) if not one]
        assert not deaf, f"nothing came to {deaf}"


def part(record: Record, load: Load) -> Record:
    """What of a record is about the chats of one load."""
    found = Record(record.name)
    found.chats = {chat: got for chat, got in record.chats.items() if chat in load.acked}
    return found


def gaps(record: Record, load: Load) -> Iterator[float]:
    """Seconds between an event and the next one, as a bot got them."""
    moments = sorted(got.at for chat in part(record, load).chats.values() for got in chat)
    return (after - before for before, after in pairwise(moments))


def _later(bot: Bot, since: float) -> bool:
    return bot.record.last_at > since


def _table(verdicts: dict[str, Verdict], missing: dict[str, list[str]]) -> str:
    return "\n".join(f"{name}: {v} {missing[name][:20]}" for name, v in verdicts.items())


@asynccontextmanager
async def crowd(stack: Stack, targets: Targets) -> AsyncIterator[Crowd]:
    """All bots are there and have had a message."""
    async with AsyncExitStack() as entered:
        there = aiohttp.TCPConnector(limit=0, limit_per_host=0)
        http = await entered.enter_async_context(aiohttp.ClientSession(connector=there))
        pushed: list[Bot] = [*targets.reverse, *targets.post]
        await entered.enter_async_context(served(*targets.reverse, *targets.post))
        made = Crowd(stack, pushed, http)
        await made.account.online()
        at = stack.base + "/sandbox/demo/onebot/v11"
        ws = WsBot("ws", http, at.replace("http", "ws", 1) + "/event")
        sse = SseBot("sse", http, f"{at}/events")
        await entered.enter_async_context(calling(ws, sse))
        made.bots += [ws, sse]
        for bot in targets.reverse:
            await asyncio.wait_for(bot.up.wait(), 30)
        async with made.talking():  # what was said before its first time is not for a bot
            await asyncio.gather(*(asyncio.wait_for(bot.up.wait(), 30) for bot in targets.post))
        yield made
