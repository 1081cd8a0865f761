"""Answers to what this process asks over NATS: all at one inbox, each told by a number of its own.

nats-py's own `request` makes a task, a random id and several closures for each question, which is
a third of what asking costs. It also forgets a cancellation that comes with the answer, and keeps
an entry of what it could not send.
"""

import asyncio
from itertools import count

from nats.aio.client import Client
from nats.aio.msg import Msg


class Replies:
    """Questions of one connection that wait for an answer."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._numbers = count(1)
        self._inbox = ""

    async def listen(self) -> None:
        """Subscribe to the answers, once; nats-py subscribes again after a reconnect."""
        inbox = self._client.new_inbox()
        await self._client.subscribe(f"{inbox}.*", cb=self._on_reply)
        self._inbox = inbox

    async def ask(
        self, subject: str, body: bytes, timeout_s: float, headers: dict[str, str] | None
    ) -> Msg:
        """What is answered, by the server too: with the header `Status` where nobody listens.

        Raises TimeoutError, ConnectionResetError when the connection is lost meanwhile, and what
        nats-py's `publish` raises.
        """
        loop = asyncio.get_running_loop()
        number = str(next(self._numbers))
        reply: asyncio.Future[Msg] = loop.create_future()
        self._waiting[number] = reply
        limit = loop.call_later(timeout_s, _give_up, reply)
        try:
            await self._client.publish(subject, body, f"{self._inbox}.{number}", headers)
            return await reply
        finally:
            limit.cancel()
            del self._waiting[number]

    def lost(self) -> None:
        """The connection is: no answer can come any more to what was asked over it."""
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(ConnectionResetError("NATS connection lost"))

    async def _on_reply(self, message: Msg) -> None:
        reply = self._waiting.get(message.subject.rpartition(".")[2])
        if reply is not None and not reply.done():
            reply.set_result(message)


def _give_up(reply: asyncio.Future[Msg]) -> None:
    if not reply.done():
        reply.set_exception(TimeoutError())
