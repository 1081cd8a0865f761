"""How much time the action that is being carried out has left.

The owner of an account sets it around each call of a connector, so that whatever waits below, for
a rate or for the platform, can give up in time and say for certain that nothing was done.
"""

import asyncio
import time
from contextvars import ContextVar, Token

_ENDS_AT_S: ContextVar[float | None] = ContextVar("ends_at_s", default=None)

LOOK_S = 0.1
"""What takes longer than it may is cut short so late at most."""


class within:  # noqa: N801  # reads as what it is
    """What is called inside, tasks it starts included, has so many seconds."""

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._token = _ENDS_AT_S.set(time.monotonic() + self._seconds)

    def __exit__(self, *error: object) -> None:
        _ENDS_AT_S.reset(self._token)


class Watch:
    """Cuts short what takes longer than it may: one timer for all, while there is something.

    `asyncio.timeout`, with a timer for each, costs an action three times as much.
    """

    def __init__(self) -> None:
        self._running: set[_Watched] = set()
        self._looking = False

    def within(self, seconds: float) -> "_Watched":
        """As the other `within`, and TimeoutError is raised when the time is over."""
        return _Watched(self, seconds)

    def add(self, one: "_Watched") -> None:
        """Look after it."""
        self._running.add(one)
        if not self._looking:
            self._looking = True
            self._look_later()

    def remove(self, one: "_Watched") -> None:
        """It has ended."""
        self._running.discard(one)

    def _look_later(self) -> None:
        asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._looking = bool(self._running)
        if self._looking:
            self._look_later()
        now_s = time.monotonic()
        for one in self._running:
            one.end_if_over(now_s)


class _Watched:
    __slots__ = ("_cancelled_before", "_ends_at_s", "_over", "_task", "_token", "_watch")

    _task: asyncio.Task[object]
    _token: Token[float | None]

    def __init__(self, watch: Watch, seconds: float) -> None:
        self._watch = watch
        self._ends_at_s = time.monotonic() + seconds
        self._over = False

    def __enter__(self) -> None:
        if (task := asyncio.current_task()) is None:
            raise RuntimeError("only a task can be cut short")
        self._task, self._cancelled_before = task, task.cancelling()
        self._token = _ENDS_AT_S.set(self._ends_at_s)
        self._watch.add(self)

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        self._watch.remove(self)
        _ENDS_AT_S.reset(self._token)
        if not self._over or self._task.uncancel() > self._cancelled_before:
            return  # in time, or somebody else wants the task to end, too
        if kind is asyncio.CancelledError:
            raise TimeoutError

    def end_if_over(self, now_s: float) -> None:
        """Cancel what is inside, once."""
        if now_s >= self._ends_at_s and not self._over:
            self._over = True
            self._task.cancel()


def left_s() -> float | None:
    """Seconds that are left; None where no action is carried out."""
    ends_at_s = _ENDS_AT_S.get()
    return None if ends_at_s is None else max(0.0, ends_at_s - time.monotonic())
