"""The calls that this process is answering, each until its deadline."""

import asyncio
import math
from types import TracebackType

from onebus.inflight import InFlight


class Underway(InFlight):
    """Counts them, and ends them early when the process has no time left.

    They share one timer, as nearly none of them ever needs it: `asyncio.timeout` makes one for
    each, which costs more than all else that is done here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.limits: set[Limited] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at_s = math.inf

    def until(self, ends_at_s: float) -> "Limited":
        """One call, until this time of the loop's clock. Raises TimeoutError, in its own body."""
        return Limited(self, ends_at_s)

    def give_up(self) -> None:
        """Let the time of all of them be over now."""
        for limit in self.limits:
            limit.end()

    def look_at(self, time_s: float) -> None:
        """Look at this time at the latest for those whose time is over."""
        if time_s < self._looks_at_s:
            if self._timer:
                self._timer.cancel()
            self._looks_at_s = time_s
            self._timer = asyncio.get_running_loop().call_at(time_s, self._look)

    def _look(self) -> None:
        self._timer, self._looks_at_s = None, math.inf
        now_s = asyncio.get_running_loop().time()
        for limit in self.limits:
            if limit.ends_at_s <= now_s:
                limit.end()
        self.look_at(
            min((limit.ends_at_s for limit in self.limits if not limit.over), default=math.inf)
        )


class Limited:
    """The time of one call; see `Underway.until`."""

    __slots__ = ("_cancelled_before", "_task", "_underway", "ends_at_s", "over")

    def __init__(self, underway: Underway, ends_at_s: float) -> None:
        self._underway = underway
        self.ends_at_s = ends_at_s
        self.over = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be cut short")
        self._task, self._cancelled_before = task, task.cancelling()
        self._underway.look_at(self.ends_at_s)
        self._underway.limits.add(self)
        self._underway.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._underway.__exit__()
        self._underway.limits.discard(self)
        if not self.over or self._task.uncancel() > self._cancelled_before:
            return  # in time, or somebody else wants the task to end, too
        if kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end(self) -> None:
        """Cut the call short, once."""
        if not self.over:
            self.over = True
            self._task.cancel()
