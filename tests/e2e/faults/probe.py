"""An action asked for again and again, over HTTP and WebSocket: how long, and what came of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from tests.e2e.processes import Account

EVERY_S = 0.25
Ask = Callable[..., Awaitable[dict[str, Any]]]


class Answer(NamedTuple):
    """One call: when it was asked on the monotonic clock, how long it took, its retcode."""

    asked_at: float
    took_s: float
    retcode: int


class Probe:
    """Sends private messages to a visitor until cancelled."""

    def __init__(self, http: Account, ws: Account) -> None:
        self._http = http
        self._ws = ws
        self.answers: list[Answer] = []

    async def run(self) -> None:
        """Both transports beside each other, each one call at a time."""
        bot = await self._ws.ws("/api")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask(self._http.call))
            group.create_task(self._ask(bot.call))

    async def _ask(self, ask: Ask) -> None:
        while True:
            asked_at = time.monotonic()
            answer = await ask("send_private_msg", user_id="visitor", message="anybody?")
            took_s = time.monotonic() - asked_at
            self.answers.append(Answer(asked_at, took_s, answer["retcode"]))
            await asyncio.sleep(EVERY_S)

    def between(self, start: float, end: float) -> list[Answer]:
        """What was asked within this time."""
        return [answer for answer in self.answers if start <= answer.asked_at < end]
