"""R6: the link between a role and NATS is cut, with no word to either side."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from tests.e2e.faults.bots import WsBot, calling
from tests.e2e.faults.load import Load
from tests.e2e.faults.network import Namespace, namespace, relay
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import Stage, stable_port, stage
from tests.e2e.faults.verdict import judge, judge_log
from tests.e2e.processes import Account

NOTICED_S = 30.0
AGAIN_S = 30.0
ROLES = {"sandbox": ("connector", "sandbox"), "ws": ("frontend", "http", "ws")}


async def r6_link(run: Run) -> list[Row]:
    """A connector and a frontend elsewhere, under load; their link to NATS drops all packets."""
    cut_s = 20.0 if run.quick else 60.0
    async with _elsewhere(run) as (made, there, port):
        base = _base(made, there, "ws")
        url = f"{base.replace('http', 'ws')}/sandbox/demo/onebot/v11/event"
        load = Load(made.http, [_base(made, there, "sandbox")], chats=10, rate_per_s=50)
        bot = WsBot("ws", made.http, url)
        async with calling(bot):
            await load.warm_up()
            async with asyncio.TaskGroup() as group:
                loading = group.create_task(load.run(600))
                await asyncio.sleep(2)
                await there.cut(port)
                cut_at = time.monotonic()
                noticed_s = {name: await _lost(made, name, cut_at) for name in ROLES}
                await asyncio.sleep(max(0.0, cut_at + cut_s - time.monotonic()))
                refused = load.again
                await there.heal()
                healed_at = time.monotonic()
                await _appended(load, healed_at)
                back_s = load.acked_at[-1] - healed_at
                await asyncio.sleep(2)
                load.stop()
                await loading
            await bot.until(partial(bot.record.has, load.acked))
            verdict = judge(bot.record, load.acked)
        log = await judge_log(made.nats, load.acked)
    worst_s = max(noticed_s.values())
    good = verdict.clean and log.clean and not log.repeated and worst_s <= NOTICED_S
    return [
        run.row(
            f"link to NATS cut for {cut_s:.0f} s (iptables DROP both ways): noticed ≤"
            f" {NOTICED_S:.0f} s, 0 lost",
            "; ".join(f"{name} noticed after {s:.1f} s" for name, s in noticed_s.items())
            + f"; {refused} messages told to come again, the first taken {back_s:.1f} s after it"
            f" healed; {load.total} messages, log: {log}; bot: {verdict}",
            good and refused > 0,
        )
    ]


async def _lost(made: Stage, name: str, since: float) -> float:
    """The seconds until a role says that NATS is gone."""
    async with asyncio.timeout(2 * NOTICED_S):
        while (at := made[name].last_said("at nats://")) <= since:
            await asyncio.sleep(0.05)
    return at - since


async def _appended(load: Load, since: float) -> None:
    """Wait until a message is acknowledged again."""
    async with asyncio.timeout(AGAIN_S):
        while load.acked_at[-1] <= since:
            await asyncio.sleep(0.02)


def _base(made: Stage, there: Namespace, name: str) -> str:
    return f"http://{there.there}:{made[name].port}"


@asynccontextmanager
async def _elsewhere(run: Run) -> AsyncIterator[tuple[Stage, Namespace, int]]:
    """Both roles in a namespace, and the port by which they reach NATS here."""
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(stage(run.folder))
        there = await stack.enter_async_context(namespace())
        port = stable_port()
        await stack.enter_async_context(relay(there.ours, port, made.nats.port))
        bus = {**made.nats.settings, "url": f"nats://{there.ours}:{port}"}
        for name, arguments in ROLES.items():
            member = made.add(name, *arguments, bus=bus, host=there.there, loopback_only=True)
            config = made.folder / f"{name}.yaml"
            config.write_text(f"public_url: {_base(made, there, name)}\n{config.read_text()}")
            member.command = there.command(*member.command)
        stack.push_async_callback(made.close)  # while there is a namespace to leave
        await made.start()
        http, sandbox = _base(made, there, "ws"), _base(made, there, "sandbox")
        await Account(made.http, http, sandbox_base=sandbox).online()
        yield made, there, port


SCENARIOS = [Scenario("R6-link", r6_link, alone=False, root=True)]
