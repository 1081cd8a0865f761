"""How long to wait before trying again: the only place that sleeps for it."""

import asyncio
import random


class Backoff:
    """Full-jitter exponential delays, in seconds, from `first_s` up to `most_s`."""

    def __init__(self, first_s: float = 0.25, most_s: float = 15) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._attempts = 0

    def next_s(self) -> float:
        """The next delay; grows until `reset`."""
        ceiling_s = min(self._most_s, self._first_s * 2.0**self._attempts)
        self._attempts = min(self._attempts + 1, 32)
        return random.uniform(self._first_s / 2, max(ceiling_s, self._first_s))  # noqa: S311

    async def wait(self) -> None:
        """Sleep for the next delay."""
        await asyncio.sleep(self.next_s())

    def reset(self) -> None:
        """It worked: start small again."""
        self._attempts = 0
