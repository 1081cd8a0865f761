"""The room on the disk where a nats-server of our own keeps its data.

A stream of nats-server 2.15 that once met a full disk takes nothing more until the server is
started anew, also when there is room again; so whoever runs it must notice both.
"""

import logging
import shutil
from pathlib import Path

logger = logging.getLogger(__name__)

LOW_BYTES = 256 << 20
FULL_BYTES = 8 << 20
"""The largest message that the server takes: with less free one may have been refused."""
ROOM_BYTES = 16 << 20


class Disk:
    """Says in the log when it runs low or full, and when it has room again, once each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._low = False
        self._full = False

    def regained(self) -> bool:
        """Look; whether there is room again after it was full."""
        free_bytes = shutil.disk_usage(self._folder).free
        return self.judge(free_bytes)

    def judge(self, free_bytes: int) -> bool:
        """What `regained` makes of so much room."""
        if free_bytes < FULL_BYTES and not self._full:
            self._low = self._full = True
            logger.error("the disk of %s is full: events are refused; make room", self._folder)
        elif free_bytes < LOW_BYTES and not self._low:
            self._low = True
            text = "the disk of %s has %d MiB left: events are refused when it is full"
            logger.warning(text, self._folder, free_bytes >> 20)
        elif self._full and free_bytes >= ROOM_BYTES:
            self._full = False
            logger.info("the disk of %s has room again", self._folder)
            return True
        elif self._low and not self._full and free_bytes >= 2 * LOW_BYTES:
            self._low = False
            logger.info("the disk of %s has enough room again", self._folder)
        return False
