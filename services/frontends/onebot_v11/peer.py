"""Whether the machine at the other end of a post's connection was there while we waited.

A bot that hangs is not a network that is cut: in the one case the bot's system acknowledges what is
sent and the probes of the connection, in the other nobody does. It is probed each second.
"""

import asyncio
import contextlib
import socket
import time
from contextvars import ContextVar, Token
from typing import Any

from onebus.keepalive import ended, probe_often, silent_s

SILENT_S = 3.0
"""After so long, and as many probes, without a sign of the other machine the way to it was cut."""
LOOK_S = 0.1

_posting: ContextVar["Peer | None"] = ContextVar("_posting", default=None)


class Peer:
    """That of one post, whose connection is made inside of the block; see `opened`."""

    def __init__(self) -> None:
        self._own: socket.socket | None = None
        self._token: Token[Peer | None] | None = None

    def __enter__(self) -> "Peer":
        self._token = _posting.set(self)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._token:
            _posting.reset(self._token)
        self._close()

    def connect_by(self, made: socket.socket) -> None:
        """The next try to connect is made by this socket; of several, the last one counts."""
        self._close()
        probe_often(made)
        # Another handle of the same connection: the first one is closed before we are asked.
        self._own = made.dup()

    async def gone(self, *, certain: bool = False) -> bool:
        """Whether there was no sign of it for `SILENT_S`; waits until one comes, or none can.

        `certain`: what happened speaks for itself already, and nothing is waited for. False where
        the system cannot say so.
        """
        began_at = time.monotonic()
        while self._own and (silence_s := silent_s(self._own)) is not None:
            if silence_s >= SILENT_S:
                return True
            if certain or ended(self._own) or silence_s < time.monotonic() - began_at - LOOK_S:
                return False
            await asyncio.sleep(LOOK_S)
        return False

    def _close(self) -> None:
        if self._own:
            with contextlib.suppress(OSError):
                self._own.close()
            self._own = None


def opened(made: socket.socket) -> None:
    """A socket was made: if it is for a post, whoever posts can ask for its peer."""
    if peer := _posting.get():
        peer.connect_by(made)
