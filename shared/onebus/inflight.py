"""What is under way at the moment, counted, for whoever has to wait until it is over."""

from typing import Any

from onebus.waiting import Flag


class InFlight:
    """How much of one kind runs now: `count`."""

    def __init__(self) -> None:
        self.count = 0
        self._idle = Flag()
        self._idle.set()

    def one(self) -> "InFlight":
        """One more is under way inside of the block: `with in_flight.one():`."""
        return self

    def __enter__(self) -> None:
        self.count += 1
        if self.count == 1:
            self._idle.clear()

    def __exit__(self, *error: Any) -> None:
        self.count -= 1
        if not self.count:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing is."""
        await self._idle.wait()
