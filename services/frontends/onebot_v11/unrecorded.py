"""Posts that are not on record: those that come again when this process dies. At most so many."""

import asyncio
from collections.abc import Collection


class Unrecorded:
    """Their sequences: under way, or ended and not yet recorded."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._room = asyncio.Semaphore(most)
        self._open: set[int] = set()
        self._ended: set[int] = set()
        self.news = asyncio.Event()
        """Set when something ends, for whoever records it to clear."""

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._open

    @property
    def ended(self) -> Collection[int]:
        """What can be recorded now."""
        return frozenset(self._ended)

    async def room(self) -> None:
        """Wait until one more may come twice; then `add` it."""
        await self._room.acquire()

    def no_limit(self) -> None:
        """Let go on who waits for room: nothing more is posted."""
        for _ in range(self._most):
            self._room.release()

    def add(self, sequence: int) -> None:
        """It is being posted, for the first time or again."""
        self._open.add(sequence)

    def discard(self, sequence: int) -> None:
        """The bot certainly has not taken it."""
        self._open.discard(sequence)
        self._room.release()

    def end(self, sequence: int) -> None:
        """It has its final answer; or it was left out, and maybe never posted."""
        if sequence in self._open:
            self._open.discard(sequence)
            self._ended.add(sequence)
        self.news.set()

    def recorded(self, ended: Collection[int]) -> None:
        """These are on record: so many more may be posted. Each is told once."""
        kept = self._ended.intersection(ended)
        self._ended -= kept
        for _ in kept:
            self._room.release()
