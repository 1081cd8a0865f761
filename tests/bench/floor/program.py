"""What the floor's programs share: a connection, and arguments. No retries, no limits, no checks.

`URL USER PASSWORD …`: of NATS.
"""

import asyncio
from collections.abc import Awaitable, Callable

import nats
import uvloop
from nats.aio.client import Client

ACTIONS = "floor.actions"


def run(main: Callable[[Client], Awaitable[None]], url: str, user: str, password: str) -> None:
    """Connect to NATS, and do this until killed; says `ready` once `main` returned."""

    async def live() -> None:
        client = await nats.connect(url, user=user, password=password)
        await main(client)
        print("ready", flush=True)
        await asyncio.Event().wait()

    uvloop.run(live())
