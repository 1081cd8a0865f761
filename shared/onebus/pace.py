"""How fast a platform may be called: rates for an account and each chat, and pauses it asked for.

A rate is kept exactly: no stretch of `per_s` seconds ever holds more than `count` calls. Turns are
given in the order of asking. A call whose turn is too far away gets RateLimited, with nothing done.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from msgspec import Struct

from onebus.errors import RateLimited

MAX_CHATS = 10_000
"""Chats whose last calls are remembered; beyond, those that are free anyway are forgotten."""
MAX_WAIT_S = 120.0
"""How long a call waits that no action set a deadline for."""


class Rate(Struct, frozen=True):
    """At most `count` calls in any `per_s` seconds; they may come all at once."""

    count: int
    per_s: float


class Limits(Struct, frozen=True):
    """What a platform allows; None: as fast as it goes.

    `account` is for all paced calls together, `chat` for those into one chat.
    """

    account: Rate | None = None
    chat: Rate | None = None


class Window:
    """The last calls of one account or chat, and the line of those that wait for their turn."""

    def __init__(self, rate: Rate | None) -> None:
        self.rate = rate
        self.first = asyncio.Lock()
        self._at_s: deque[float] = deque(maxlen=rate.count if rate else 0)

    def next_s(self, now_s: float) -> float:
        """When the next call may go out."""
        if self.rate is None or len(self._at_s) < self.rate.count:
            return now_s
        return max(now_s, self._at_s[0] + self.rate.per_s)

    def note(self, at_s: float) -> None:
        """A call goes out then."""
        self._at_s.append(at_s)

    def idle(self, now_s: float) -> bool:
        """Whether it might as well be forgotten."""
        past = not self._at_s or self.rate is None or self._at_s[-1] + self.rate.per_s <= now_s
        return past and not self.first.locked()

    @asynccontextmanager
    async def line(self, most_s: float) -> AsyncIterator[None]:
        """Be the first in line, for so long as the block lasts. Raises RateLimited."""
        try:
            async with asyncio.timeout(most_s):
                await self.first.acquire()
        except TimeoutError:
            raise RateLimited(
                "too many calls wait for the platform",
                retry_after_s=self.rate.per_s if self.rate else None,
            ) from None
        try:
            yield
        finally:
            self.first.release()


class Pacer:
    """The turns of one account's calls. `now_s` and `sleep` are a test's to replace."""

    def __init__(
        self,
        limits: Limits,
        *,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = limits
        self._now_s = now_s
        self._sleep = sleep
        self._account = Window(limits.account)
        self._chats: dict[str, Window] = {}
        self._pauses: dict[str, float] = {}
        """Until when nothing may go out: by chat, "" for the whole account."""

    def pause(self, seconds: float, chat: str = "") -> None:
        """Let nothing out for so long, into this chat or at all."""
        until_s = self._now_s() + seconds
        self._pauses[chat] = max(self._pauses.get(chat, 0), until_s)
        if len(self._pauses) > MAX_CHATS:
            now_s = self._now_s()
            self._pauses = {key: at_s for key, at_s in self._pauses.items() if at_s > now_s}

    async def turn(self, chat: str = "", rate: Rate | None = None, *, most_s: float) -> None:
        """Wait until a call may go out, into a chat if one is named; `rate`: that chat's own.

        Raises RateLimited when that is more than `most_s` away.
        """
        ends_at_s = self._now_s() + most_s
        window = self._chat(chat, rate)
        # The chat's line first: its turn may be far away, and must not keep others waiting.
        async with window.line(most_s):
            while not await self._went(chat, window, ends_at_s):
                pass

    async def _went(self, chat: str, window: Window, ends_at_s: float) -> bool:
        """Whether it could go: the chat may have been paused while it stood in the account's line.

        Who waits for the end of the account's pause stands in line too: else those who come right
        after it would run into the next one before the others had their turn.
        """
        await self._ready(chat, window, ends_at_s)
        self._check(self._pauses.get("", 0), ends_at_s)
        async with self._account.line(ends_at_s - self._now_s()):
            await self._ready("", self._account, ends_at_s)
            now_s = self._now_s()
            if chat and self._pauses.get(chat, 0) > now_s:
                return False
            window.note(now_s)
            self._account.note(now_s)
            return True

    async def unpaused(self, *, most_s: float) -> None:
        """Wait for the end of a pause of the whole account alone: for what is not paced."""
        await self._unpaused("", self._now_s() + most_s)

    async def _ready(self, chat: str, window: Window, ends_at_s: float) -> None:
        """Wait for the rate, and for the end of the pause, which may have been made longer."""
        await self._until(window.next_s(self._now_s()), ends_at_s)
        await self._unpaused(chat, ends_at_s)

    async def _unpaused(self, chat: str, ends_at_s: float) -> None:
        while (until_s := self._pauses.get(chat, 0)) > self._now_s():
            await self._until(until_s, ends_at_s)

    async def _until(self, at_s: float, ends_at_s: float) -> None:
        """Sleep until then, or refuse to at once."""
        self._check(at_s, ends_at_s)
        while (wait_s := at_s - self._now_s()) > 0:
            await self._sleep(wait_s)

    def _check(self, at_s: float, ends_at_s: float) -> None:
        if at_s > ends_at_s:
            wait_s = at_s - self._now_s()
            raise RateLimited("the platform allows no call soon enough", retry_after_s=wait_s)

    def _chat(self, chat: str, rate: Rate | None) -> Window:
        rate = rate or self._limits.chat
        if not chat:
            return Window(None)
        window = self._chats.get(chat)
        if window is None or window.rate != rate:
            if len(self._chats) >= MAX_CHATS:
                self._forget()
            window = self._chats[chat] = Window(rate)
        return window

    def _forget(self) -> None:
        now_s = self._now_s()
        self._chats = {chat: one for chat, one in self._chats.items() if not one.idle(now_s)}
