"""How much time the action that is being carried out has left.

The owner of an account sets it around each call of a connector, so that whatever waits below, for
a rate or for the platform, can give up in time and say for certain that nothing was done.
"""

import asyncio
import time
from contextvars import ContextVar
from types import TracebackType

_ENDS_AT_S: ContextVar[float | None] = ContextVar("ends_at_s", default=None)


class within:  # noqa: N801  # reads as what it is
    """What is called inside, tasks it starts included, has so many seconds; then it is cut short.

    Raises TimeoutError then. It is `asyncio.timeout` at a third of what that costs an action.
    """

    __slots__ = ("_cancelled_before", "_over", "_seconds", "_task", "_timer", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        if (task := asyncio.current_task(loop)) is None:
            raise RuntimeError("only a task can be cut short")
        self._task, self._cancelled_before = task, task.cancelling()
        self._timer = loop.call_later(max(0.0, self._seconds), self._end)
        self._token = _ENDS_AT_S.set(time.monotonic() + self._seconds)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        _ENDS_AT_S.reset(self._token)
        self._timer.cancel()
        if not self._over or self._task.uncancel() > self._cancelled_before:
            return  # in time, or somebody else wants the task to end, too
        if kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _end(self) -> None:
        self._over = True
        self._task.cancel()


def left_s() -> float | None:
    """Seconds that are left; None where no action is carried out."""
    ends_at_s = _ENDS_AT_S.get()
    return None if ends_at_s is None else max(0.0, ends_at_s - time.monotonic())
