"""A slow link to NATS: every packet of every role comes late, by a varying time."""

import asyncio
import time
from functools import partial

from tests.e2e.faults.bots import WsBot, calling
from tests.e2e.faults.load import Load
from tests.e2e.faults.network import relay
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import stable_port, stage
from tests.e2e.faults.verdict import judge, judge_log
from tests.e2e.processes import Account

DELAY_MS, JITTER_MS = 50, 20
RATE_PER_S = 50
ACTIONS = 20
ANSWERED_S = 5.0
ROLES = {"sandbox": ("connector", "sandbox"), "ws": ("frontend", "http", "ws")}


async def delayed(run: Run) -> list[Row]:
    """Load and actions over the slow link, which nobody may take for a broken one."""
    port = stable_port()
    lag = {"delay_s": DELAY_MS / 1000, "jitter_s": JITTER_MS / 1000}
    async with stage(run.folder) as made, relay("127.0.0.1", port, made.nats.port, **lag) as link:
        bus = {**made.nats.settings, "url": f"nats://127.0.0.1:{port}"}
        for name, arguments in ROLES.items():
            made.add(name, *arguments, bus=bus)
        await made.start()
        account = made.account("ws")
        await account.online()
        url = f"{made['ws'].base.replace('http', 'ws')}/sandbox/demo/onebot/v11/event"
        bot = WsBot("ws", made.http, url)
        load = Load(made.http, [made["sandbox"].base], chats=20, rate_per_s=RATE_PER_S)
        async with calling(bot):
            await load.say(len(load.chats))
            async with asyncio.TaskGroup() as group:
                loading = group.create_task(load.run(5 if run.quick else 60))
                taken_s = await _act(account)
                await loading
            await bot.until(partial(bot.record.has, load.acked))
        verdict, log = judge(bot.record, load.acked), await judge_log(made.nats, load.acked)
        await made.close()  # while they still reach NATS
    lost = sum("lost NATS" in line for m in made.members.values() for line in m.now.lines)
    slowest_s = max(taken_s)
    return [
        run.row(
            f"link to NATS late by {DELAY_MS} ± {JITTER_MS} ms each way, {RATE_PER_S}/s: 0 lost, no"
            f" reconnect, actions answered ≤ {ANSWERED_S:.0f} s",
            f"{load.total} messages, {load.again} said again, log: {log}; bot: {verdict};"
            f" {link.connections} connections of {len(ROLES)} processes, {lost} lost;"
            f" {len(taken_s)} actions done, the slowest in {slowest_s:.1f} s",
            verdict.clean
            and log.clean
            and not lost
            and link.connections == len(ROLES)
            and slowest_s <= ANSWERED_S,
        )
    ]


async def _act(account: Account) -> list[float]:
    """Messages of the bot, one after the other; how long each took."""
    taken_s = []
    for number in range(ACTIONS):
        started_at = time.monotonic()
        await account.ok("send_group_msg", group_id="acts", message=str(number))
        taken_s.append(time.monotonic() - started_at)
    return taken_s


SCENARIOS = [Scenario("delay", delayed, alone=False)]
