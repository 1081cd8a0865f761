"""Load: people who say numbered messages in many chats, each until it is acknowledged.

`g07#12` is the twelfth message of the chat g07. It has an id of the speaker's own, so saying it
again after a lost answer is no second message. A chat's next message comes after the last one was
acknowledged: that is the order in which bots must get them.
"""

import asyncio
import time
from collections.abc import Collection, Sequence

import aiohttp

SAY_S = 12.0
"""How long an answer may take: longer than the connector waits for its log."""
AGAIN_S = 0.2


class Load:
    """Speaks in `chats` chats, `rate_per_s` messages in all, through any of the sandbox's replicas.

    `acked` has for each chat how many messages were acknowledged: 1 to that number. `refusals`:
    statuses that only say that a message was not acknowledged; any other one is a fault.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        sandboxes: Sequence[str],
        *,
        chats: int = 100,
        rate_per_s: float = 200,
        account: str = "demo",
        prefix: str = "g",
        refusals: Collection[int] = (503,),
    ) -> None:
        self._http = http
        self._account = account
        self._answers = {200, *refusals}
        self._sandboxes = list(sandboxes)
        self._interval_s = chats / rate_per_s
        self.chats = [f"{prefix}{number:03}" for number in range(chats)]
        self.acked = dict.fromkeys(self.chats, 0)
        self.acked_at: list[float] = []
        """The moment of each acknowledgement, of all chats."""
        self.again = 0
        """How often a message had to be said again."""
        self.paused = False
        self._stopping = asyncio.Event()

    @property
    def total(self) -> int:
        """How many messages were acknowledged."""
        return sum(self.acked.values())

    async def warm_up(self) -> None:
        """The first message of every chat, which makes the person and the group."""
        for chat in self.chats:
            await self._say_next(chat)

    async def run(self, duration_s: float) -> None:
        """Speak for so long, or until `stop`; all that was begun is acknowledged then."""
        self._stopping.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._until(duration_s))
            for index, chat in enumerate(self.chats):
                delay_s = self._interval_s * index / len(self.chats)
                group.create_task(self._speak(chat, delay_s))

    def stop(self) -> None:
        """Begin no further message."""
        self._stopping.set()

    async def say(self, count: int) -> None:
        """So many messages as fast as they are taken, dealt to the chats in turn."""
        shares = [len(range(index, count, len(self.chats))) for index in range(len(self.chats))]
        async with asyncio.TaskGroup() as group:
            for chat, share in zip(self.chats, shares, strict=True):
                group.create_task(self._say_many(chat, share))

    async def _say_many(self, chat: str, count: int) -> None:
        for _ in range(count):
            await self._say_next(chat)

    async def _until(self, duration_s: float) -> None:
        try:
            async with asyncio.timeout(duration_s):
                await self._stopping.wait()
        except TimeoutError:
            self._stopping.set()

    async def _speak(self, chat: str, delay_s: float) -> None:
        """One message each interval; what an outage delayed is not caught up in a burst."""
        due = time.monotonic() + delay_s
        while not self._stopping.is_set():
            if (left_s := due - time.monotonic()) > 0:
                await asyncio.sleep(left_s)
            if not self._stopping.is_set() and not self.paused:
                await self._say_next(chat)
            due = max(due + self._interval_s, time.monotonic())

    async def _say_next(self, chat: str) -> None:
        number = self.acked[chat] + 1
        text = f"{chat}#{number}"
        body = {
            "user": f"u{chat}",
            "group": chat,
            "message": text,
            "message_id": f"{chat}-{number}",
        }
        if chat.startswith("p"):
            del body["group"]
        replica = number % len(self._sandboxes)
        while not await self.say_to(self._sandboxes[replica], body):
            self.again += 1
            replica = (replica + 1) % len(self._sandboxes)
            await asyncio.sleep(AGAIN_S)
        self.acked[chat] = number
        self.acked_at.append(time.monotonic())

    async def say_to(self, base: str, body: dict[str, str], timeout_s: float = SAY_S) -> bool:
        """Say a message to one replica, once; whether it was acknowledged."""
        url = f"{base}/sandbox/{self._account}/api/messages"
        try:
            timeout = aiohttp.ClientTimeout(total=timeout_s)
            async with self._http.post(url, json=body, timeout=timeout) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return False
        assert response.status in self._answers, (response.status, text)
        return response.status == 200
