"""R11 as it is written: a fifth of all calls put off for 1 to 30 s, in a time of the test's own.

Where a pause holds for the whole account, a dozen busy chats would wait longer than an action may
take, whoever waits how: they are refused then, for certain. So that is played with a few chats.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Struct
from tests.fakes.clock import Clock

from onebus.api import Answer, Api, Call, Options, Pause, Way
from onebus.pace import Limits, Pacer, Rate

EACH = 40


class Forbidden(Struct):
    """A stretch of time in which the platform wants no call."""

    start_s: float
    end_s: float
    chat: str = ""


class Content:
    """The body of an answer."""

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        yield b"{}"


class Response:
    """What aiohttp would give."""

    content = Content()

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers

    def close(self) -> None:
        pass


class Platform:
    """In the place of the process's session: answers at once, by the test's clock."""

    def __init__(self, clock: Clock, *, chat_only: bool) -> None:
        self._clock = clock
        self._chat_only = chat_only
        self._dice = random.Random(11)
        self.accepted: list[tuple[float, str, int]] = []
        self.forbidden: list[Forbidden] = []
        self.early: list[float] = []

    async def request(self, _: str, __: Any, **more: Any) -> Response:
        now_s, (chat, number) = self._clock.now, more["data"]
        for stretch in self.forbidden:
            if stretch.start_s < now_s < stretch.end_s - 1e-6 and stretch.chat in {"", chat}:
                self.early.append(now_s)
        if self._dice.random() < 0.2:
            seconds = self._dice.randint(1, 30)
            where = chat if self._chat_only else ""
            self.forbidden.append(Forbidden(now_s, now_s + seconds, where))
            return Response(429, {"Retry-After": str(seconds)})
        self.accepted.append((now_s, chat, number))
        return Response(200, {})


def in_the_chat(answer: Answer) -> Pause | None:
    seconds = answer.headers.get("Retry-After")
    return Pause(float(seconds), chat_only=True) if seconds else None


@pytest.mark.parametrize("limits", [Limits(), Limits(Rate(5, 1.0), Rate(1, 1.0))])
@pytest.mark.parametrize(("chats", "chat_only"), [(12, True), (3, False)])
async def test_r11_nothing_is_dropped_or_early_and_chats_keep_their_order(
    limits: Limits, chats: int, chat_only: bool
) -> None:
    clock = Clock()
    platform = Platform(clock, chat_only=chat_only)
    way = Way(platform, lambda: True, logging.LoggerAdapter(logging.getLogger("test"), {}))  # type: ignore[arg-type]
    pacer = Pacer(limits, now_s=clock.now_s, sleep=clock.sleep)
    options = Options(pause=in_the_chat) if chat_only else Options()
    api = Api(way, "http://127.0.0.1:1", pacer, options)

    async def conversation(chat: str) -> None:
        for number in range(EACH):
            body = (chat, number)
            call = Call("POST", "/say", data=lambda body=body: body, writes=True, chat=chat)  # type: ignore[misc]
            assert (await api.call(call)).ok

    await clock.run(*(asyncio.ensure_future(conversation(str(chat))) for chat in range(chats)))
    assert len(platform.forbidden) > chats * EACH / 10
    assert platform.early == []
    for chat in range(chats):
        numbers = [number for _, where, number in platform.accepted if where == str(chat)]
        assert numbers == list(range(EACH))
