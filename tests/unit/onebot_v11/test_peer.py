"""Whether the other machine was there, on real connections."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from frontends.onebot_v11 import peer as peer_module
from frontends.onebot_v11.peer import Peer
from frontends.onebot_v11.push import watched


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[Peer, socket.socket, socket.socket]]:
    """A post's peer, our end, and the bot's."""
    with socket.create_server(("127.0.0.1", 0)) as server, Peer() as peer:
        address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("", 0))
        with watched(address) as ours:
            ours.connect(server.getsockname())
            theirs, _ = server.accept()
            with theirs:
                yield peer, ours, theirs


async def test_the_system_of_a_bot_that_hangs_answers() -> None:
    """It answers no sooner than it is probed, and what we closed is asked about all the same."""
    async with connection() as (peer, ours, _):
        ours.sendall(b"POST")
        ours.close()
        began_at = time.monotonic()
        assert not await peer.gone()
        assert time.monotonic() - began_at < peer_module.SILENT_S


async def test_a_silence_that_is_long_enough_means_that_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peer_module, "SILENT_S", 0.5)  # shorter than the time between two probes
    async with connection() as (peer, _, __):
        began_at = time.monotonic()
        assert await peer.gone()
        assert 0.3 < time.monotonic() - began_at < 5


async def test_who_hangs_up_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "SILENT_S", 0.5)
    async with connection() as (peer, ours, theirs):
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()  # resets
        with pytest.raises(ConnectionResetError):
            await asyncio.get_running_loop().sock_recv(_unblocked(ours), 1)
        assert not await peer.gone()


async def test_a_connection_that_was_never_made_says_nothing() -> None:
    with Peer() as peer:
        assert not await peer.gone()


def _unblocked(made: socket.socket) -> socket.socket:
    made.setblocking(False)
    return made
