"""What the floors that go to a bot share: the log read in turn, and how far the bot has got.

Both promise the same, and so does onebus: an event is over when the bot has acknowledged it. The
place in the log below which all is over is stored every 16 events, or within a second, and the ack
of that is waited for; not more than 64 events have been sent and lie above it. What onebus has and
they do not: bots that are away, hang, refuse or die, and events that are too old for them.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable

from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.bench.floor.event_connector import Received
from tests.bench.floor.event_frontend import DECODER, make_stream

SAVE_EVERY = 16
AHEAD = 64
"""Events that would come again after a crash, at most."""
REST_S = 1.0
_BUCKET = {
    "name": "KV_floor",
    "subjects": ["$KV.floor.>"],
    "max_msgs_per_subject": 1,
    "storage": "file",
    "allow_direct": True,
    "num_replicas": 1,
}

_running: set[asyncio.Task[None]] = set()


def begin(work: Coroutine[None, None, None]) -> None:
    """Do this until the program is killed; a fault shows as a bot that never gets all."""
    _running.add(asyncio.get_running_loop().create_task(work))


class Cursor:
    """How far the bot has got."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._room = asyncio.Semaphore(AHEAD)
        self._open: dict[int, None] = {}
        self._last = 0
        self._ended = 0

    async def create(self) -> None:
        """Make the bucket, and store what is left over each second."""
        body = json.dumps(_BUCKET).encode()
        await self._client.request("$JS.API.STREAM.CREATE.KV_floor", body, timeout=5)
        begin(self._rest())

    async def begin(self, sequence: int) -> None:
        """An event is to be sent, in the order of the log; waits while too many are not stored."""
        await self._room.acquire()
        self._open[sequence] = None
        self._last = sequence

    async def end(self, sequences: Iterable[int]) -> None:
        """The bot has these."""
        for sequence in sequences:
            del self._open[sequence]
            self._ended += 1
        if self._ended >= SAVE_EVERY:
            await self._save()

    async def _save(self) -> None:
        ended, self._ended = self._ended, 0
        place = next(iter(self._open), self._last + 1) - 1
        await self._client.request("$KV.floor.cursor", b"%d" % place, timeout=5)
        for _ in range(ended):
            self._room.release()

    async def _rest(self) -> None:
        while True:
            await asyncio.sleep(REST_S)
            if self._ended:
                await self._save()


async def read_log(client: Client, take: Callable[[Received, int], Awaitable[None]]) -> None:
    """Give each entry and its sequence to `take`, which may hold the next one back."""

    async def on_entry(message: Msg) -> None:
        headers = message.headers
        if headers and "Status" in headers:
            if reply := message.reply or headers.get("Nats-Consumer-Stalled"):
                await client.publish(reply)
            return
        await take(DECODER.decode(message.data), int(message.reply.split(".", 7)[5]))

    inbox = client.new_inbox()
    await client.subscribe(inbox, cb=on_entry)
    await make_stream(client, consumer_inbox=inbox)
