"""Open files of a process: a bot's connection is one, and there may be ten thousand of them."""

import contextlib
import sys

MOST = 1 << 20
"""As many as Linux gives one process by itself (fs.nr_open)."""


def allow_many() -> None:
    """Use what the system grants, and not only the 1,024 that it begins with.

    That low limit is for programs that call select(2), which know no higher number
    (https://0pointer.net/blog/file-descriptor-limits.html).
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # some systems say infinity and mean less
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
