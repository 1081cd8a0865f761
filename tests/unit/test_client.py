"""What is overridden of nats-py is there, and is still what it was."""

import asyncio
import inspect
from hashlib import blake2b

import pytest
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser
from tests.fakes.outage import eventually, outage

from onebus.bus import Bus
from onebus.client import BURST_BYTES, BusClient
from onebus.embedded import EmbeddedNats

READ = {
    "_parse_header_lines": "8e92c73283770938",
    "_process_msg": "f193aaba389b4b6b",
    "_remove_sub": "ca5c2560435fe9de",
    "_flush_pending": "fb5d0720e55ac761",
    "_flusher": "ce5a6b3fef49975d",
    "publish": "1fed65cf07acbfb2",
    "_send_publish": "1f204321ba14190e",
    "_send_command": "f512691c7d190c62",
    "_build_message": "86fce4ec8e15cb60",
    "parse": "defd587457c1be33",
    "_read_loop": "0de1d1e72d0e3dc8",
    "_process_headers": "7445574083b2d6fd",
}
"""Hashes of what was read when `onebus.client` was written."""
HEARTBEAT = b"NATS/1.0 100 Idle Heartbeat\r\nLeft: 9\r\n\r\n"


@pytest.mark.parametrize("name", READ)
def test_nats_py_is_what_was_read(name: str) -> None:
    source = inspect.getsource(Parser.parse if name == "parse" else getattr(Client, name))
    digest = blake2b(source.encode(), digest_size=8).hexdigest()
    assert digest == READ[name], (
        f"nats-py has another {name}: read it, see that onebus.client still fits, "
        f"and write {digest!r} here"
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"Nats-Expected-Last-Subject-Sequence: 0\r\n\r\n",
        b"Nats-Last-Consumer: 1016\r\nNats-Last-Stream:1024\r\n\r\n",
        b"Description: it is 10:30 \xe2\x82\xac\r\nEmpty:\r\nnothing\r\n\r\n",
        b"\r\n",
    ],
)
def test_headers_are_read_as_by_nats_py(raw: bytes) -> None:
    assert BusClient._parse_header_lines(raw) == Client._parse_header_lines(raw)


async def test_a_message_is_handed_over_while_it_is_read(bus: Bus) -> None:
    taken: list[bytes] = []
    arrived = asyncio.Event()

    def take(message: Msg) -> None:
        taken.append(message.data)
        if message.data == b"2":
            arrived.set()

    subscription = await bus.subscribe_direct("direct", take)
    await bus.publish("direct", b"1")
    await bus.publish("direct", b"2")
    await asyncio.wait_for(arrived.wait(), 5)
    await bus.drain(subscription)
    await bus.publish("direct", b"3")
    assert await bus._round_trip(5)
    assert taken == [b"1", b"2"]
    assert subscription._id not in bus._client._takers


async def test_it_goes_on_after_an_outage(nats: EmbeddedNats, bus: Bus) -> None:
    asked = asyncio.Event()

    def take(message: Msg) -> None:
        asked.set()

    await bus.subscribe_direct("direct", take)
    async with outage(nats, bus):
        pass
    await bus.wait_ready(10)
    await bus.publish("direct", b"1")
    await asyncio.wait_for(asked.wait(), 5)
    assert (await bus.api("INFO"))["streams"] >= 0


async def test_what_one_turn_of_the_loop_sends_is_one_write_in_order(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bytes] = []
    done = asyncio.Event()

    def take(message: Msg) -> None:
        taken.append(message.data)
        if len(taken) == 100:
            done.set()

    await bus.subscribe_direct("direct", take)
    assert await bus._round_trip(5)
    writes: list[int] = []
    transport = bus._client._transport
    assert transport
    write = transport.writelines

    def counted(lines: list[bytes]) -> None:
        writes.append(len(lines))
        write(lines)

    monkeypatch.setattr(transport, "writelines", counted)
    for number in range(100):
        await bus.publish("direct", b"%d" % number)
    await asyncio.wait_for(done.wait(), 5)
    assert taken == [b"%d" % number for number in range(100)]
    assert writes[0] == 100


@pytest.mark.parametrize(
    "headers", [None, {"Nats-Msg-Id": "a.b"}, {"Nats-TTL": "600s", "Onebus-Outcome": "né"}]
)
@pytest.mark.parametrize("reply", ["", "there"])
@pytest.mark.parametrize("body", [b"", "grüße".encode()])
async def test_it_sends_what_nats_py_sends(
    bus: Bus, body: bytes, reply: str, headers: dict[str, str] | None
) -> None:
    client = bus._client
    sent: list[bytes] = []
    await client.publish("subject", body, reply, headers)
    sent += client._pending
    client.send("subject", body, reply, headers)
    ours = client._pending[len(sent) :]
    assert ours == sent[-1:]
    assert client._pending_data_size == sum(map(len, client._pending))


@pytest.mark.parametrize(
    ("subject", "reply"),
    [("a b", ""), ("", ""), ("a", "b c"), ("", "b c"), ("a\r\nPING", ""), ("a", "b\r\nPING")],
)
async def test_no_subject_is_another_command(bus: Bus, subject: str, reply: str) -> None:
    for headers in (None, {"key": "value"}):
        with pytest.raises(errors.BadSubjectError):
            bus._client.send(subject, b"", reply, headers)
    assert await bus._round_trip(5)


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb"])
async def test_no_header_is_another(bus: Bus, value: str) -> None:
    with pytest.raises(errors.BadHeaderError):
        bus._client.send("subject", b"", "", {"key": value})
    with pytest.raises(errors.BadHeaderError):
        bus._client.send("subject", b"", "", {value: "value"})


async def test_nothing_is_kept_for_a_connection_to_come(nats: EmbeddedNats, bus: Bus) -> None:
    async with outage(nats, bus):
        with pytest.raises(errors.OutboundBufferLimitError):
            bus._client.send("subject", b"")


async def test_nothing_is_written_to_a_connection_that_was_cut(bus: Bus) -> None:
    """It is closed before nats-py hears of it."""
    client = bus._client
    transport = client._transport
    assert isinstance(transport, TcpTransport)
    writer = transport._io_writer
    assert writer
    writer.transport.abort()
    assert bus.connected
    client.send("subject", b"kept")
    client._write()
    assert len(client._pending) == 1
    await eventually(lambda: not bus.connected)
    await bus.wait_ready(10)
    assert (await bus.api("INFO"))["streams"] >= 0


@pytest.mark.parametrize("reads", [True, False])
async def test_messages_are_the_same_however_they_are_cut(*, reads: bool) -> None:
    """Whether or not the read loop gets to read in between."""
    client, taken = BusClient(), list[Msg]()
    client._takers[7] = taken.append
    pieces = [
        b"MSG a.b 7 back.1 5\r\nfirst\r\n",
        b"MSG other 8 5\r\nnobod\r\n",
        b"MSG c 7 0\r\n\r\n",
        b"+OK\r\n",
        b"HMSG d 7 back.2 18 20\r\nNATS/1.0\r\nk: v\r\n\r\nhi\r\n",
        b"MSG e 7 14\r\nMSG a 7 1\r\n2\r\n\r\n",
        b"MSG f 7 back.3 1\r\n!\r\n",
        b"HMSG g 7 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        b"HMSG h 7 %d %d\r\n%s\r\n" % (len(HEARTBEAT), len(HEARTBEAT), HEARTBEAT),
        b"MSG i 7 1\r\n.\r\n",
    ]
    data = b"".join(pieces)
    for cut in range(len(data)):
        taken.clear()
        reader = asyncio.StreamReader()
        for part in (data[:cut], data[cut:]):
            client._on_data(reader, part)
            if reads or part is not data[:cut]:
                await client._ps.parse(await _read(reader))
        assert [(m.subject, m.reply, m.data, m.headers) for m in taken] == [
            ("a.b", "back.1", b"first", None),
            ("c", "", b"", None),
            ("d", "back.2", b"hi", {"k": "v"}),
            ("e", "", b"MSG a 7 1\r\n2\r\n", None),
            ("f", "back.3", b"!", None),
            ("g", "", b"hi", None),
            ("h", "", b"", {"Status": "100", "Description": "Idle Heartbeat", "Left": "9"}),
            ("i", "", b".", None),
        ]
        assert not client._ps.buf


async def _read(reader: asyncio.StreamReader) -> bytes:
    """All that is waiting there, if anything is."""
    return await reader.read(1 << 16) if reader._buffer else b""  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "data",
    [
        b"MSG a 7 back 2\r\nhi\r\n",
        b"HMSG a 7 back 18 20\r\nNATS/1.0\r\nk: v\r\n\r\nhi\r\n",
    ],
)
async def test_a_whole_message_does_without_nats_pys_parser(data: bytes) -> None:
    client, taken = BusClient(), list[Msg]()
    client._takers[7] = taken.append
    assert client.hand_over(data + data[:-1]) == data[:-1]
    assert [(m.subject, m.reply, m.data) for m in taken] == [("a", "back", b"hi")]


class Stopping(asyncio.Transport):
    """Notes whether anything is read from it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[bool] = []

    def pause_reading(self) -> None:
        self.reads.append(False)

    def resume_reading(self) -> None:
        self.reads.append(True)

    def is_closing(self) -> bool:
        return False


async def test_of_much_that_comes_at_once_others_get_their_turn_in_between() -> None:
    client, taken, reader, transport = BusClient(), list[Msg](), asyncio.StreamReader(), Stopping()
    reader.set_transport(transport)
    client._takers[7] = taken.append
    body = bytes(BURST_BYTES // 4)
    count = 10
    whole = [b"MSG s.%d 7 %d\r\n%s\r\n" % (n, len(body), body) for n in range(count)]
    client._on_data(reader, b"".join([*whole, b"PING\r\n"]))
    turns = 1
    while len(taken) < count:
        assert len(taken) == 4 * turns
        assert transport.reads[-1] is False
        await asyncio.sleep(0)
        turns += 1
    assert turns == 3
    assert transport.reads == [False, True, False, True]
    assert [message.subject for message in taken] == [f"s.{n}" for n in range(count)]
    assert await _read(reader) == b"PING\r\n"
