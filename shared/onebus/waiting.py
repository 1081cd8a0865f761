"""Waiting for something, and no longer than is bearable."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


# Not asyncio.wait_for: before Python 3.12 it forgets a cancellation that comes with the result.
@contextlib.asynccontextmanager
async def at_most(timeout_s: float) -> AsyncIterator[None]:
    """Leave what is inside after so long, as if it had ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            yield
