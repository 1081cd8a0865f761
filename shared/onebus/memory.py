"""Memory of a process that runs for months: what bots leave behind goes back to the system."""

import ctypes
import gc

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of mallopt(3)."""
LARGE_BYTES = 64 * 1024


def give_back_what_is_freed() -> None:
    """Give large blocks memory of their own, and the top of the heap back once it is free.

    The allocator of glibc raises both limits by itself, up to 32 MiB, with each large block that is
    freed. A page of the log then leaves holes that small objects settle in, and it takes a process
    longer to be at its size. Another allocator has its own ways.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, LARGE_BYTES)


def forget_what_starting_left() -> None:
    """Take what was loaded out of the garbage collector's sight.

    Python looks for old garbage once it has grown by a quarter of everything that lives, and most
    of that is modules: for hours it would not look, while connections come and go.
    """
    gc.collect()
    gc.freeze()
