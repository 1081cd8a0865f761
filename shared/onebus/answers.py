"""Asking another service: where its answer arrives, and nobody else's.

Not in an inbox. There NATS itself answers, and whoever could publish to it could forge what NATS
says. Leave to answer in it once is no way out: NATS forgets it with the connection, before an
answer that has waited for a reconnect, and grants it for any reply subject that an asker writes.
"""

import asyncio
import secrets

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from onebus import subjects
from onebus.bus import Bus, NoResponders
from onebus.errors import BusTimeout

NOBODY = "503"


class Answers:
    """Of one connection. Nobody guesses where an answer is awaited: 96 bits, drawn for each."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        mine = subjects.answers_to(bus.options.user)
        self._below = f"{bus.prefix}.{mine}.{secrets.token_hex(8)}"
        self._awaited: dict[str, asyncio.Future[Msg]] = {}
        self._one = asyncio.Lock()
        self._subscription: Subscription | None = None

    async def ask(self, subject: str, body: bytes, timeout_s: float) -> Msg:
        """Ask and wait; raises as `Bus.request` does."""
        await self._listen()
        token = secrets.token_hex(12)
        with self._bus.awaiting() as answer:
            self._awaited[token] = answer
            try:
                async with asyncio.timeout(timeout_s):
                    await self._bus.publish(subject, body, reply=f"{self._below}.{token}")
                    message = await answer
            except (TimeoutError, ConnectionResetError):
                raise BusTimeout("NATS gave no answer in time") from None
            finally:
                del self._awaited[token]
        if not message.data and (message.headers or {}).get("Status") == NOBODY:
            raise NoResponders(subject)
        return message

    async def _listen(self) -> None:
        """Once; nats-py listens again by itself after a reconnect."""
        async with self._one:
            if self._subscription is None:
                self._subscription = await self._bus.subscribe(f"{self._below}.*", self._take)

    async def _take(self, message: Msg) -> None:
        answer = self._awaited.get(message.subject.rpartition(".")[2])
        if answer and not answer.done():
            answer.set_result(message)
