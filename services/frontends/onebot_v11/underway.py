"""The calls that this process is answering, each until its deadline."""

import asyncio
from types import TracebackType

from onebus.inflight import InFlight


class Underway(InFlight):
    """Counts them, and ends them early when the process has no time left."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: set[Limited] = set()

    def until(self, ends_at_s: float) -> "Limited":
        """One call, until this time of the loop's clock. Raises TimeoutError, in its own body."""
        return Limited(self, ends_at_s)

    def give_up(self) -> None:
        """Let the time of all of them be over now."""
        for limit in self.limits:
            limit.end()


class Limited:
    """The time of one call: `asyncio.timeout_at` at a third of what that costs."""

    __slots__ = ("_cancelled_before", "_ends_at_s", "_over", "_task", "_timer", "_underway")

    def __init__(self, underway: Underway, ends_at_s: float) -> None:
        self._underway = underway
        self._ends_at_s = ends_at_s
        self._over = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        if (task := asyncio.current_task(loop)) is None:
            raise RuntimeError("only a task can be cut short")
        self._task, self._cancelled_before = task, task.cancelling()
        self._timer = loop.call_at(self._ends_at_s, self.end)
        self._underway.__enter__()
        self._underway.limits.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._underway.limits.discard(self)
        self._underway.__exit__()
        self._timer.cancel()
        if not self._over or self._task.uncancel() > self._cancelled_before:
            return  # in time, or somebody else wants the task to end, too
        if kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end(self) -> None:
        """Cut the call short, once."""
        if not self._over:
            self._over = True
            self._task.cancel()
