"""How much time the action that is being carried out has left.

The owner of an account sets it around each call of a connector, so that whatever waits below, for
a rate or for the platform, can give up in time and say for certain that nothing was done.
"""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

_ENDS_AT_S: ContextVar[float | None] = ContextVar("ends_at_s", default=None)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is called inside, tasks it starts included, has so many seconds."""
    token = _ENDS_AT_S.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ENDS_AT_S.reset(token)


def left_s() -> float | None:
    """Seconds that are left; None where no action is carried out."""
    ends_at_s = _ENDS_AT_S.get()
    return None if ends_at_s is None else max(0.0, ends_at_s - time.monotonic())
