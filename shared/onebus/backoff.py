"""How long to wait before trying again: the only place that sleeps for it."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Backoff:
    """Exponential delays with jitter, in seconds, from `first_s` up to `most_s`.

    `fixed` is the part of a delay that is left to no chance: the more, the fewer attempts.
    """

    def __init__(self, first_s: float = 0.25, most_s: float = 15, *, fixed: float = 0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._fixed = fixed
        self._attempts = 0

    def next_s(self) -> float:
        """The next delay; grows until `reset`."""
        ceiling_s = min(self._most_s, self._first_s * 2.0**self._attempts)
        self._attempts = min(self._attempts + 1, 32)
        least_s = max(self._first_s / 2, ceiling_s * self._fixed)
        return random.uniform(least_s, max(ceiling_s, self._first_s))  # noqa: S311

    async def wait(self, at_least_s: float = 0) -> None:
        """Sleep for the next delay, or for longer when one was asked to."""
        await asyncio.sleep(max(self.next_s(), at_least_s))

    @contextmanager
    def trying(self, stable_s: float) -> Iterator[None]:
        """What is tried inside has worked when it lasts for so long, however it ends."""
        started_s = time.monotonic()
        try:
            yield
        finally:
            if time.monotonic() - started_s >= stable_s:
                self.reset()

    def reset(self) -> None:
        """It worked: start small again."""
        self._attempts = 0
