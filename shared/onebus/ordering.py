"""One thing at a time per conversation, many conversations at once."""

import asyncio
from collections.abc import Hashable
from typing import Any

from onebus.errors import RateLimited


class Place:
    """A place in a lane: entered when those before it have left. Leaving twice does no harm."""

    __slots__ = ("_called", "_key", "_lanes")

    def __init__(self, lanes: dict[Hashable, list["Place"]], key: Hashable) -> None:
        self._lanes = lanes
        self._key = key
        self._called: asyncio.Future[None] | None = None
        lanes.setdefault(key, []).append(self)

    @property
    def first(self) -> bool:
        """Whether nobody is to be waited for."""
        return self._lanes[self._key][0] is self

    def leave(self) -> None:
        """Let the next one go, also without ever having entered."""
        lane = self._lanes.get(self._key)
        if lane is None or self not in lane:
            return
        lane.remove(self)
        if lane:
            lane[0].call()
        else:
            del self._lanes[self._key]

    def call(self) -> None:
        """Tell the first in the lane that it is its turn."""
        if self._called and not self._called.done():
            self._called.set_result(None)

    async def __aenter__(self) -> None:
        if self.first:
            return
        self._called = asyncio.get_running_loop().create_future()
        try:
            await self._called
        except asyncio.CancelledError:
            self.leave()
            raise

    async def __aexit__(self, *error: Any) -> None:
        self.leave()


class Turn:
    """A place that is taken when it is entered."""

    __slots__ = ("_key", "_lanes", "_place")

    def __init__(self, lanes: "Lanes", key: Hashable) -> None:
        self._lanes = lanes
        self._key = key

    async def __aenter__(self) -> None:
        self._place = self._lanes.join(self._key)
        await self._place.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        self._place.leave()


class Lanes:
    """Turns in order of arrival, a lane per key; a lane exists while somebody is in it.

    At most `most_waiting` may queue in one lane; one more is refused with RateLimited, so a chat
    that stands still cannot take the memory of the others.
    """

    def __init__(self, most_waiting: int = 1000) -> None:
        self._most_waiting = most_waiting
        self._lanes: dict[Hashable, list[Place]] = {}

    @property
    def taken(self) -> int:
        """How many places are taken, in all lanes: who waits and who holds the turn."""
        return sum(map(len, self._lanes.values()))

    def join(self, key: Hashable) -> Place:
        """Take a place in the lane of this key at once, for work that starts later.

        Enter it with `async with`, or `leave` it. Raises RateLimited when the lane is full.
        """
        if len(self._lanes.get(key, ())) > self._most_waiting:
            raise RateLimited("too much is waiting for this chat already", retry_after_s=1)
        return Place(self._lanes, key)

    def turn(self, key: Hashable) -> Turn:
        """Wait for the turn of this key and hold it. Raises RateLimited when the lane is full."""
        return Turn(self, key)
