"""Many bots that connect to us at once, each with the back-off that a decent client has."""

import asyncio
import contextlib
import json
import random
import time

import aiohttp

FIRST_S = 1.0
MOST_S = 30.0
HANDSHAKE_S = 10.0


class Member:
    """One bot; `tried_at` are the moments of its attempts to connect."""

    def __init__(self, draw: random.Random) -> None:
        self.tried_at: list[float] = []
        self.back_at = 0.0
        self.heard: dict[str, float] = {}
        self._draw = draw
        self._failed = 0

    async def run(self, http: aiohttp.ClientSession, url: str) -> None:
        """Be connected, until cancelled: wait 1, 2, 4 … 30 s with jitter before each new try."""
        while True:
            self.tried_at.append(time.monotonic())
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                await self._listen(http, url)
            ceiling_s = min(MOST_S, FIRST_S * 2.0**self._failed)
            self._failed += 1
            await asyncio.sleep(self._draw.uniform(ceiling_s / 2, ceiling_s))

    def tries(self, since: float, until: float) -> int:
        """How often it tried in this time."""
        return sum(since <= at < until for at in self.tried_at)

    async def _listen(self, http: aiohttp.ClientSession, url: str) -> None:
        ws = await asyncio.wait_for(http.ws_connect(url, autoping=True), HANDSHAKE_S)
        try:
            async for message in ws:
                event = json.loads(message.data)
                if event["post_type"] == "meta_event":
                    self.back_at, self._failed = time.monotonic(), 0
                else:
                    self.heard[event["raw_message"]] = time.monotonic()
        finally:
            await ws.close()


class Herd:
    """So many of them."""

    def __init__(self, draw: random.Random, count: int) -> None:
        self.members = [Member(random.Random(draw.getrandbits(64))) for _ in range(count)]

    async def run(self, http: aiohttp.ClientSession, url: str) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for member in self.members:
                group.create_task(member.run(http, url))

    async def all_back(self, since: float, timeout_s: float) -> float:
        """Wait until each is connected anew; the seconds from `since` until the last was."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(member.back_at <= since for member in self.members):
                    await asyncio.sleep(0.05)
        behind = any(member.back_at <= since for member in self.members)
        return timeout_s if behind else max(member.back_at for member in self.members) - since

    async def all_heard(self, text: str, timeout_s: float) -> int:
        """How many got a message in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(text not in member.heard for member in self.members):
                    await asyncio.sleep(0.02)
        return sum(text in member.heard for member in self.members)
