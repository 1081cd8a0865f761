"""Answers to what this process asks over NATS: all at one inbox, each told by a number of its own.

nats-py's own `request` makes a task, a random id and several closures for each question, which is
a third of what asking costs. It also forgets a cancellation that comes with the answer, and keeps
an entry of what it could not send.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from nats.aio.msg import Msg

from onebus.client import BusClient

LOOK_S = 0.1
"""How often it is looked whether somebody is left to answer; a question ends so late at most."""


class Replies:
    """Questions of one connection that wait for an answer."""

    def __init__(self, client: BusClient) -> None:
        self._client = client
        self._waiting: dict[str, _Question] = {}
        self._looking = False
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

        `lives` is asked now and then whether there is still somebody to answer. Raises
        TimeoutError, ConnectionResetError when the connection is lost meanwhile, and what
        `BusClient.send` raises.
        """
        loop = asyncio.get_running_loop()
        number = str(next(self._numbers))
        reply: asyncio.Future[Msg] = loop.create_future()
        self._waiting[number] = _Question(reply, loop.time() + timeout_s, lives)
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_S, self._look, loop)
        try:
            self._client.send(subject, body, f"{self._inbox}.{number}", headers)
            return await reply
        except asyncio.CancelledError:
            if reply.done() and not reply.cancelled():
                reply.exception()  # it came with the cancellation: nobody else reads it
            raise
        finally:
            del self._waiting[number]

    def lost(self) -> None:
        """The connection is: no answer can come any more to what was asked over it."""
        for question in self._waiting.values():
            if not question.reply.done():
                question.reply.set_exception(ConnectionResetError("NATS connection lost"))

    def _on_reply(self, message: Msg) -> None:
        question = self._waiting.get(message.subject.rpartition(".")[2])
        if question is not None and not question.reply.done():
            question.reply.set_result(message)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what nobody is going to answer; the one timer of all questions, while there are any.

        One of its own for each costs a fifth of asking.
        """
        self._looking = bool(self._waiting)
        if self._looking:
            loop.call_later(LOOK_S, self._look, loop)
        now_s = loop.time()
        for question in self._waiting.values():
            if not question.reply.done() and question.is_over(now_s):
                question.reply.set_exception(TimeoutError())


class _Question(NamedTuple):
    """What waits for an answer."""

    reply: asyncio.Future[Msg]
    ends_at_s: float
    lives: Callable[[], bool] | None

    def is_over(self, now_s: float) -> bool:
        """Whether its time is, or nobody is left to answer."""
        return now_s >= self.ends_at_s or (self.lives is not None and not self.lives())
