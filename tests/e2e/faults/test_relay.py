"""The relay delays and loses nothing, or what is said of a slow link is worth nothing."""

import asyncio
import time

from tests.e2e.faults.network import relay
from tests.e2e.faults.stage import stable_port

DELAY_S = 0.05
LINES = 500


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def test_a_relay_is_late_in_order_and_complete() -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        there, port = server.sockets[0].getsockname()[1], stable_port()
        lag = {"delay_s": DELAY_S, "jitter_s": 0.02}
        async with relay("127.0.0.1", port, there, **lag) as link:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            started_at = time.monotonic()
            sent = [b"%d\n" % number for number in range(LINES)]
            for line in sent:
                writer.write(line)
            async with asyncio.timeout(10):
                got = [await reader.readline()]
                first_s = time.monotonic() - started_at
                got += [await reader.readline() for _ in sent[1:]]
            assert got == sent
            assert first_s >= 2 * (DELAY_S - 0.02)
            assert link.connections == 1
            writer.write_eof()
            async with asyncio.timeout(5):
                assert await reader.read() == b""
                writer.close()
                await writer.wait_closed()
