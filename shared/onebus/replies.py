"""Answers to what this process asks over NATS: all at one inbox, each told by a number of its own.

nats-py's own `request` makes a task, a random id and several closures for each question, which is
a third of what asking costs. It also forgets a cancellation that comes with the answer, and keeps
an entry of what it could not send.
"""

import asyncio
from collections.abc import Callable
from itertools import count

from nats.aio.msg import Msg

from onebus.client import BusClient

LOOK_S = 1.0
"""How often it is looked whether there is still somebody to answer."""


class Replies:
    """Questions of one connection that wait for an answer."""

    def __init__(self, client: BusClient) -> None:
        self._client = client
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._numbers = count(1)
        self._inbox = ""

    async def listen(self) -> None:
        """Subscribe to the answers, once; nats-py subscribes again after a reconnect."""
        inbox = self._client.new_inbox()
        await self._client.subscribe_direct(f"{inbox}.*", self._on_reply)
        self._inbox = inbox

    async def ask(
        self,
        subject: str,
        body: bytes,
        timeout_s: float,
        headers: dict[str, str] | None,
        lives: Callable[[], bool] | None,
    ) -> Msg:
        """What is answered, by the server too: with the header `Status` where nobody listens.

        Once a second `lives` is asked whether there is still somebody to answer. Raises
        TimeoutError, ConnectionResetError when the connection is lost meanwhile, and what
        `BusClient.send` raises.
        """
        loop = asyncio.get_running_loop()
        number = str(next(self._numbers))
        reply: asyncio.Future[Msg] = loop.create_future()
        self._waiting[number] = reply
        waits = _Wait(loop, reply, loop.time() + timeout_s, lives)
        try:
            self._client.send(subject, body, f"{self._inbox}.{number}", headers)
            return await reply
        finally:
            waits.timer.cancel()
            del self._waiting[number]

    def lost(self) -> None:
        """The connection is: no answer can come any more to what was asked over it."""
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(ConnectionResetError("NATS connection lost"))

    def _on_reply(self, message: Msg) -> None:
        reply = self._waiting.get(message.subject.rpartition(".")[2])
        if reply is not None and not reply.done():
            reply.set_result(message)


class _Wait:
    """The one timer of a question: for its end, and for a look at who should answer."""

    __slots__ = ("_ends_at_s", "_lives", "_loop", "_reply", "timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        reply: asyncio.Future[Msg],
        ends_at_s: float,
        lives: Callable[[], bool] | None,
    ) -> None:
        self._loop, self._reply, self._ends_at_s, self._lives = loop, reply, ends_at_s, lives
        self._wait(loop.time())

    def _wait(self, now_s: float) -> None:
        self.timer = self._loop.call_at(min(now_s + LOOK_S, self._ends_at_s), self._look)

    def _look(self) -> None:
        now_s = self._loop.time()
        if now_s < self._ends_at_s and (self._lives is None or self._lives()):
            self._wait(now_s)
        elif not self._reply.done():
            self._reply.set_exception(TimeoutError())
