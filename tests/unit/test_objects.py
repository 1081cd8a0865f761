"""Bytes into a real NATS and out again."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client
from tests.fakes.outage import outage

from onebus.bus import Bus
from onebus.chunks import CHUNK_BYTES, TooBig
from onebus.codec import encode
from onebus.embedded import EmbeddedNats
from onebus.errors import NotFound
from onebus.ids import Account, AccountId, Platform
from onebus.objects import Info, Objects

ME = Account(Platform("sandbox"), AccountId("a.b"))
OTHER = Account(Platform("sandbox"), AccountId("other"))
SOME = b"".join(number.to_bytes(4) for number in range(700_000))  # 2.7 MiB, 22 chunks
MOST = 100 << 20


async def pieces(data: bytes, size: int = 50_001) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(objects: Objects, info: Info, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in objects.read(info, start, stop)])


async def test_what_is_put_is_read(bus: Bus) -> None:
    objects = Objects(bus)
    info = await objects.put(
        ME, pieces(SOME), max_bytes=MOST, describe=lambda head: {"file_name": head[:4].hex()}
    )
    assert (info.size, info.chunks, info.file_name) == (len(SOME), 22, "00000000")
    found = await objects.get(ME, info.id)
    assert found == info
    assert await read(objects, found) == SOME
    for start, stop in ((0, 1), (CHUNK_BYTES - 1, CHUNK_BYTES + 1), (2_700_000, None), (5, 5)):
        assert await read(objects, found, start, stop) == SOME[start:stop]


async def test_parts_of_objects_that_lie_between_each_other(bus: Bus) -> None:
    objects = Objects(bus)
    others = [bytes([number]) * len(SOME) for number in range(3)]
    infos = await asyncio.gather(
        *(objects.put(ME, pieces(data), max_bytes=MOST) for data in (SOME, *others))
    )
    for info, data in zip(infos, (SOME, *others), strict=True):
        assert await read(objects, info, 1_500_000, 2_600_000) == data[1_500_000:2_600_000]


async def test_an_empty_object(bus: Bus) -> None:
    objects = Objects(bus)
    info = await objects.put(ME, pieces(b""), max_bytes=MOST)
    assert await read(objects, await objects.get(ME, info.id)) == b""


async def test_too_much_is_not_taken(bus: Bus) -> None:
    with pytest.raises(TooBig):
        await Objects(bus).put(ME, pieces(SOME), max_bytes=len(SOME) - 1)


async def test_an_object_is_its_accounts_own(bus: Bus) -> None:
    objects = Objects(bus)
    info = await objects.put(OTHER, pieces(b"secret"), max_bytes=MOST)
    assert await objects.find(ME, info.id) is None
    # A description that was forged to point at it is not believed.
    name = f"sandbox.a=2Eb/{info.id}"
    forged = encode({**encode_fields(info), "name": name})
    subject = f"$O.{objects.bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"
    await bus.store(subject, forged)
    assert await objects.find(ME, info.id) is None


def encode_fields(info: Info) -> dict[str, object]:
    return {name: getattr(info, name) for name in info.__struct_fields__}


async def test_a_second_name(bus: Bus) -> None:
    objects = Objects(bus)
    info = await objects.put(ME, pieces(b"once"), max_bytes=MOST)
    await objects.name(ME, "of-x", info)
    found = await objects.get(ME, "of-x")
    assert (found.id, await read(objects, found)) == (info.id, b"once")
    with pytest.raises(NotFound):
        await objects.get(ME, "never")


async def test_bytes_that_are_gone(bus: Bus) -> None:
    objects = Objects(bus)
    info = await objects.put(ME, pieces(SOME), max_bytes=MOST)
    await bus.api(f"STREAM.PURGE.{objects.stream}", {"filter": f"$O.{objects.bucket}.C.>"})
    with pytest.raises(NotFound):
        await read(objects, info)


async def test_a_reader_that_is_slow_gets_all_of_it_across_a_restart(
    nats: EmbeddedNats, bus: Bus
) -> None:
    objects = Objects(bus)
    info = await objects.put(ME, pieces(SOME), max_bytes=MOST)
    got = b""
    async for chunk in objects.read(info):
        got += chunk
        if len(got) == 3 * CHUNK_BYTES:
            async with outage(nats):
                pass
    assert got == SOME


async def test_a_writer_goes_on_after_a_restart(nats: EmbeddedNats, bus: Bus) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield SOME[:1_000_000]
        async with outage(nats):
            pass
        yield SOME[1_000_000:]

    objects = Objects(bus)
    info = await objects.put(ME, broken(), max_bytes=MOST)
    assert await read(objects, info) == SOME


async def test_the_tools_of_nats_read_it(nats: EmbeddedNats, bus: Bus) -> None:
    """nats-py's own object store, which checks size and digest, stands for them here."""
    objects = Objects(bus)
    info = await objects.put(ME, pieces(SOME), max_bytes=MOST)
    options = nats.options()
    client = Client()
    await client.connect(options.url, user=options.user, password=options.password)
    try:
        store = await client.jetstream().object_store(objects.bucket)
        got = await store.get(info.name)
        assert got.data == SOME
        assert [entry.name for entry in await store.list()] == [info.name]
    finally:
        await client.close()
    assert (
        info.digest == f"SHA-256={base64.urlsafe_b64encode(hashlib.sha256(SOME).digest()).decode()}"
    )
