"""A time of the test's own, for what waits by a `now_s` and a `sleep` that it is given."""

import asyncio
import heapq


class Clock:
    """A time that passes when everybody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._made = 0

    def now_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._made += 1
        heapq.heappush(self._sleepers, (self.now + seconds, self._made, woken))
        await woken

    async def run(self, *tasks: asyncio.Task[None]) -> None:
        """Let time pass until all are done."""
        while not all(task.done() for task in tasks):
            for _ in range(5):
                await asyncio.sleep(0)
            if self._sleepers and not all(task.done() for task in tasks):
                at_s, _, woken = heapq.heappop(self._sleepers)
                self.now = max(self.now, at_s)
                if not woken.done():
                    woken.set_result(None)
        await asyncio.gather(*tasks)
