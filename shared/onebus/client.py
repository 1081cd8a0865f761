"""nats-py's client with three short cuts, for what an action's time goes into; see docs/adr/0032.

It overrides four methods that nats-py does not promise and stands for a fifth;
tests/unit/test_client.py fails when a version of it has others.
"""

import asyncio
import re
from asyncio import StreamReader
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport, Transport
from nats.protocol.parser import AWAITING_CONTROL_LINE

Take = Callable[[Msg], None]

_MESSAGE = re.compile(rb"MSG (\S+) (\d+) (?:(\S+) )?()(\d+)\r\n")
_WITH_HEADERS = re.compile(rb"HMSG (\S+) (\d+) (?:(\S+) )?(\d+) (\d+)\r\n")
_NO_STATUS = b"NATS/1.0\r\n"
BURST_BYTES = 32 << 10
"""So much is handed over at once: then other sockets are looked after, too."""


class BusClient(Client):
    """Hands messages over while they are read, and writes what a turn of the loop has sent at once.

    nats-py wakes a task for each message and another for each write.
    """

    def __init__(self) -> None:
        super().__init__()
        self._takers: dict[int, Take] = {}
        self._write_is_due = False

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """A server's headers, without nats-py's look at each character of each name."""
        lines = raw.decode("utf-8", "replace").split("\r\n")
        named = (line.partition(":") for line in lines)
        return {name: value.strip() for name, colon, value in named if colon}

    async def subscribe_direct(self, subject: str, take: Take) -> Subscription:
        """Hand the messages of a subject over as they come; `take` must be quick and not raise.

        nats-py's limits for what waits do not apply, because nothing does.
        """

        async def on_message(message: Msg) -> None:
            take(message)

        subscription = await self.subscribe(subject, cb=on_message)
        self._takers[subscription._id] = take  # noqa: SLF001
        return subscription

    def send(
        self, subject: str, body: bytes, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """What `publish` does, at once and in a third of its time; it is for what fits.

        Raises BadSubjectError, BadHeaderError, and OutboundBufferLimitError without a connection.
        """
        if not self.is_connected:
            raise errors.OutboundBufferLimitError
        if headers:
            block = _header_block(*headers.items())
            head = f"HPUB {subject} {reply} {len(block)} {len(block) + len(body)}"
        else:
            block = b""
            head = f"PUB {subject} {reply} {len(body)}"
        # What has a space or a line break in it would be another command.
        if not subject or len(head.split()) != 3 + bool(reply) + bool(headers):
            raise errors.BadSubjectError
        command = b"%b\r\n%b%b\r\n" % (head.encode(), block, body)
        self._pending.append(command)
        self._pending_data_size += len(command)
        self._flush_soon()

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._takers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def _read_loop(self) -> None:
        reader = getattr(self._transport, "_io_reader", None)
        if isinstance(reader, StreamReader):
            reader.feed_data = partial(self._on_data, reader)  # type: ignore[method-assign]
        await super()._read_loop()

    def _on_data(self, reader: StreamReader, data: bytes) -> None:
        """What has come, unless something before it has still to be read, or this is its body."""
        waiting = reader._buffer or self._ps.buf  # type: ignore[attr-defined]  # noqa: SLF001
        begins = not waiting and self._ps.state == AWAITING_CONTROL_LINE
        rest = self.hand_over(data) if begins else data
        if len(data) - len(rest) >= BURST_BYTES:
            reader._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001
            asyncio.get_running_loop().call_soon(self._go_on, reader, rest)
        elif rest:
            StreamReader.feed_data(reader, rest)

    def _go_on(self, reader: StreamReader, rest: bytes) -> None:
        """Others had their turn: what is left of what has come, and what comes then."""
        transport = reader._transport  # type: ignore[attr-defined]  # noqa: SLF001
        if not transport.is_closing():
            transport.resume_reading()
        self._on_data(reader, rest)

    def hand_over(self, data: bytes) -> bytes:
        """Give away the whole messages that data begins with, to who takes them directly.

        Returns the rest, and stops at BURST_BYTES.
        """
        at = 0
        while at < BURST_BYTES and (
            found := _MESSAGE.match(data, at) or _WITH_HEADERS.match(data, at)
        ):
            subject, sid, reply, head, size = found.groups(b"")
            take, begins = self._takers.get(int(sid)), found.end()
            body, ends = begins + int(head or 0), begins + int(size)
            if take is None or len(data) < ends + 2:
                break
            headers = None
            if head:
                if not data.startswith(_NO_STATUS, begins):
                    break
                headers = self._parse_header_lines(data[begins + len(_NO_STATUS) : body]) or None
            take(Msg(self, subject.decode(), reply.decode(), data[body:ends], headers))
            at = ends + 2
        return data[at:]

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        take = self._takers.get(sid)
        if take is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        parsed = await self._process_headers(headers) if headers else None
        take(self._build_message(sid, subject, reply, data, parsed))

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        if force_flush or not self.is_connected or type(self._transport) is not TcpTransport:
            return await super()._flush_pending(force_flush)
        self._flush_soon()
        return None

    def _flush_soon(self) -> None:
        """At the end of this turn of the loop; of another transport nats-py's flusher is woken."""
        if self._write_is_due:
            return
        loop = asyncio.get_running_loop()
        if type(self._transport) is TcpTransport:
            self._write_is_due = True
            loop.call_soon(self._write)
        elif self._flush_queue is not None and self._flush_queue.empty():
            self._flush_queue.put_nowait(loop.create_future())

    def _write(self) -> None:
        """What is not written because the connection is gone, the next one begins with."""
        self._write_is_due = False
        if self.is_connected and self._transport and _is_open(self._transport):
            waiting, self._pending = self._pending, []
            if waiting:
                self._transport.writelines(waiting)
        if not self._pending:  # nats-py counts pings as well, which it has written by itself
            self._pending_data_size = 0


def _is_open(transport: Transport) -> bool:
    """Whether it can be written to; nats-py hears of a cut only when it reads again."""
    writer = getattr(transport, "_io_writer", None)
    return writer is not None and not writer.is_closing()


@lru_cache(64)
def _header_block(*headers: tuple[str, str]) -> bytes:
    """Headers as they are sent; most messages have the same. Raises BadHeaderError.

    A line break in one would begin another.
    """
    lines = "".join([f"{key}: {value}\r\n" for key, value in headers])
    if len(lines.splitlines()) != len(headers):
        raise errors.BadHeaderError(lines)
    return f"NATS/1.0\r\n{lines}\r\n".encode()
