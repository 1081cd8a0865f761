"""How much time the action that is being carried out has left.

The owner of an account sets it around each call of a connector, so that whatever waits below, for
a rate or for the platform, can give up in time and say for certain that nothing was done.
"""

import time
from contextvars import ContextVar

_ENDS_AT_S: ContextVar[float | None] = ContextVar("ends_at_s", default=None)


class within:  # noqa: N801  # reads as what it is
    """What is called inside, tasks it starts included, has so many seconds."""

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._token = _ENDS_AT_S.set(time.monotonic() + self._seconds)

    def __exit__(self, *error: object) -> None:
        _ENDS_AT_S.reset(self._token)


def left_s() -> float | None:
    """Seconds that are left; None where no action is carried out."""
    ends_at_s = _ENDS_AT_S.get()
    return None if ends_at_s is None else max(0.0, ends_at_s - time.monotonic())
