"""How much of Telegram one process carries: `python -m tests.e2e.telegram_load [UPDATES]`.

A fake Bot API on the same machine has a backlog of updates; one connector process takes it by
long polling into a nats-server that syncs each write, a frontend hands it to one bot over
WebSocket. Then the bot sends as fast as the connector lets it, without Telegram's own limits.
"""

import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from tests.e2e.nats_server import nats_server
from tests.e2e.processes import Account, onebus, write_config
from tests.fakes.telegram_api import TOKEN, FakeTelegram

CHATS = 50
SENDS = 500


async def measure(folder: Path, count: int) -> str:
    """One line with the figures."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(FakeTelegram().serve())
        for user in range(7000, 7000 + CHATS):
            api.world.user(user, f"User {user}")
        nats = await stack.enter_async_context(nats_server(folder / "nats"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        settings = {
            "token": TOKEN,
            "base_url": api.base,
            "messages_per_s": 100_000,
            "group_messages_per_min": 1_000_000,
        }
        changes = {"bus": nats.settings, "port": 0, "log_level": "info"}
        config = write_config(folder / "config.yaml", telegram__my_bot=settings, **changes)
        frontends = ("frontend", "http", "ws", "-c", str(config))
        line = await (await stack.enter_async_context(onebus(*frontends))).says("listening on")
        base = f"http://127.0.0.1:{line.rpartition(':')[2]}"
        account = Account(http, base, "my_bot", platform="telegram")
        connector = ("connector", "telegram", "-c", str(config))
        await stack.enter_async_context(onebus(*connector))
        await account.online()
        bot = await account.ws()
        received = await _receive(api, bot, count)
        group = -1001
        api.world.group(group, "Load")
        started_s = time.monotonic()
        for start in range(0, SENDS, 50):
            texts = [str(number) for number in range(start, start + 50)]
            await asyncio.gather(
                *(account.ok("send_group_msg", group_id=str(group), message=t) for t in texts)
            )
        sent = SENDS / (time.monotonic() - started_s)
        return f"{count} updates of {CHATS} chats: {received:.0f}/s to the bot; {sent:.0f} sent/s"


async def _receive(api: FakeTelegram, bot: object, count: int) -> float:
    async with api._changed:
        for number in range(count):
            user = 7000 + number % CHATS
            message = api.world.message(user, user, text=f"message {number}")
            api._queue.append({"update_id": api._next_update, "message": message})
            api._next_update += 1
        started_s = time.monotonic()
        api._changed.notify_all()
    for _ in range(count):
        await bot.event(timeout_s=60)  # type: ignore[attr-defined]
    return count / (time.monotonic() - started_s)


def main() -> None:
    """Measure once."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as folder:
        print(asyncio.run(measure(Path(folder), count)))


if __name__ == "__main__":
    main()
