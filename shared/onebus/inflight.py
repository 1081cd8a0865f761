"""What is under way at the moment, counted, for whoever has to wait until it is over."""

from collections.abc import Iterator
from contextlib import contextmanager

from onebus.waiting import Flag


class InFlight:
    """How much of one kind runs now: `count`."""

    def __init__(self) -> None:
        self.count = 0
        self._idle = Flag()
        self._idle.set()

    @contextmanager
    def one(self) -> Iterator[None]:
        """One more is under way inside of the block."""
        self.count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing is."""
        await self._idle.wait()
