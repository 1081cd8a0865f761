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
_CLOSED = b"\x07"  # its `tcpi_state`, the first byte


class HasOptions(Protocol):
    """A socket, or what an event loop shows of one."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """As a socket's."""


class HasInfo(Protocol):
    """Likewise."""

    def getsockopt(self, level: int, option: int, size_bytes: int, /) -> bytes:
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


def probe_often(watched: HasOptions) -> None:
    """Ask the peer's system for a sign each second while nothing is under way, after `watch_peer`.

    When a silence ends the connection remains as it is: `TCP_USER_TIMEOUT` decides.
    """
    with contextlib.suppress(OSError):
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
            if hasattr(socket, name):
                watched.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), 1)


def peer_answers(transport: asyncio.BaseTransport | None, within_s: float) -> bool:
    """Whether the peer's system has acknowledged something of late; False where nothing says so."""
    below = transport.get_extra_info("socket") if transport else None
    silence_s = None if below is None else silent_s(below)
    return silence_s is not None and silence_s < within_s


def silent_s(below: HasInfo) -> float | None:
    """Seconds since the peer's system acknowledged something; None where nothing says so."""
    info = _info(below, _LAST_ACK_RECV + 4)
    return struct.unpack_from("=I", info, _LAST_ACK_RECV)[0] / 1000 if info else None


def ended(below: HasInfo) -> bool:
    """Whether the connection is no more, so that there will be no further sign of the peer."""
    return _info(below, 1)[:1] == _CLOSED


def _info(below: HasInfo, size_bytes: int) -> bytes:
    """The beginning of the system's `struct tcp_info`; nothing where there is none."""
    if not hasattr(socket, "TCP_INFO"):
        return b""
    with contextlib.suppress(OSError):
        info = below.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size_bytes)
        return info if len(info) == size_bytes else b""
    return b""
