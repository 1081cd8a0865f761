"""Waiting for something: no longer than is bearable, and at no more cost than it is worth."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


# Not asyncio.wait_for: before Python 3.12 it forgets a cancellation that comes with the result.
@contextlib.asynccontextmanager
async def at_most(timeout_s: float) -> AsyncIterator[None]:
    """Leave what is inside after so long, as if it had ended.

    A TimeoutError of what is inside itself (a socket's, say) is raised.
    """
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise


class Flag:
    """What `asyncio.Event` is, for what each of ten thousand connections has several of.

    An Event holds an empty queue of 760 bytes, while nobody waits as well; this is a tenth of it.
    """

    __slots__ = ("_set", "_waiting")

    def __init__(self) -> None:
        self._set = False
        self._waiting: tuple[asyncio.Future[None], ...] = ()

    def is_set(self) -> bool:
        """Whether nobody has to wait."""
        return self._set

    def set(self) -> None:
        """Let who waits go on, and who comes pass until it is cleared."""
        self._set = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def clear(self) -> None:
        """Let those who come from now on wait."""
        self._set = False

    async def wait(self) -> None:
        """Until it is set, if it is not."""
        if self._set:
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting = (*self._waiting, mine)
        try:
            await mine
        finally:
            self._waiting = tuple(other for other in self._waiting if other is not mine)
