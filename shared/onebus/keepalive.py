"""Sockets on which the system notices a peer that is gone without a word.

What was written and is not acknowledged for `GONE_S`, or a silence with unanswered probes, ends the
connection. A peer that is merely busy is no matter: its system answers for it.
"""

import asyncio
import contextlib
import socket
import struct
from typing import Protocol

GONE_S = 25
_IDLE_S = 10
_BETWEEN_S = 5
_LAST_ACK_RECV = 56  # in Linux's `struct tcp_info` (linux/tcp.h), ms ago


class HasOptions(Protocol):
    """A socket, or what an event loop shows of one."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """As a socket's."""


def watch_peer(watched: HasOptions) -> None:
    """Set the options; a listening socket hands them on. Systems that lack one go without."""
    options = {
        "TCP_KEEPIDLE": _IDLE_S,
        "TCP_KEEPINTVL": _BETWEEN_S,
        "TCP_KEEPCNT": (GONE_S - _IDLE_S) // _BETWEEN_S,
        "TCP_USER_TIMEOUT": GONE_S * 1000,
    }
    with contextlib.suppress(OSError):
        watched.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            if hasattr(socket, name):
                watched.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def peer_answers(transport: asyncio.BaseTransport | None, within_s: float) -> bool:
    """Whether the peer's system has acknowledged something of late; False where nothing says so."""
    below = transport.get_extra_info("socket") if transport else None
    if below is None or not hasattr(socket, "TCP_INFO"):
        return False
    try:
        info = below.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK_RECV + 4)
        (ago_ms,) = struct.unpack_from("=I", info, _LAST_ACK_RECV)
    except (OSError, struct.error):
        return False
    return bool(ago_ms < within_s * 1000)
