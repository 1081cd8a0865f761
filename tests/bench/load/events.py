"""Events from a platform's people to bots: `talk` posts them, `listen` counts what arrives."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any

from tests.bench.measure import Load
from tests.e2e.faults.stage import ROOT

IN_FLIGHT = 64
WAIT_S = 90.0
SETTLE_S = 0.6
"""A frontend gathers changes of what it reads for a quarter of a second."""


async def events_load(
    posts: str, bots: str, seconds: float, *, sockets: int, rate: float, hello: int
) -> Load:
    """Post for so long, and wait until each bot has had all.

    `rate` events a second, 0 for as many as possible with IN_FLIGHT on their way. `hello`: text
    frames that a socket begins with. The times are from the post to the bots' sockets.
    """
    paced = ("--paced",) if rate else ()
    listen = await start(
        "listen", bots, "--sockets", str(sockets), "--skip", str(hello), *paced, stdin=PIPE
    )
    assert listen.stdin
    assert listen.stdout
    async with asyncio.timeout(WAIT_S):
        assert (await listen.stdout.readline()).strip() == b"ready"
        await asyncio.sleep(SETTLE_S)
        said = await result(
            await start(
                "talk",
                posts,
                *("--connections", str(IN_FLIGHT), "--seconds", str(seconds), "--rate", str(rate)),
            )
        )
        assert not said["failed"], said
        listen.stdin.write(b"%d\n" % said["count"])
        heard = await result(listen)
    assert heard["events"] >= said["count"], (said, heard)
    took_s = heard["ended_at_s"] - said["begun_at_s"]
    return Load(said["count"], took_s, heard["p50_ms"], heard["p99_ms"])


async def start(name: str, *arguments: str, stdin: int | None = None) -> Process:
    """Start a program of `tests.bench.load` whose output is read."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", f"tests.bench.load.{name}", *arguments),
        stdin=stdin,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


async def result(process: Process) -> dict[str, Any]:
    """What a program printed last, once it has ended; fails if it failed."""
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found
