"""Files of an account: from the platform once, from the web once, and never more than is taken."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from onebus import action as act
from onebus.action import GetMedia, MediaFile
from onebus.errors import BadParams, NotFound, PlatformUnavailable, UnsupportedAction
from onebus.fetch import Fetcher, Policy
from onebus.ids import Account, AccountId, Platform
from onebus.media import AccountMedia
from onebus.objects import Objects
from onebus.segment import File, Image
from onebus.testing.memory_bus import MemoryBus

ME = Account(Platform("test"), AccountId("me"))
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1, 1) + bytes(300_000)


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


class PlatformFiles:
    """A connector's `get_media`; counts how often it is asked."""

    def __init__(self, media: AccountMedia) -> None:
        self.media = media
        self.asked: list[GetMedia] = []
        self.go = asyncio.Event()
        self.go.set()
        media.serves(self.get, {"image": 1 << 20, "file": 100})

    async def get(self, action: GetMedia) -> MediaFile:
        self.asked.append(action)
        await self.go.wait()
        if action.file == "public":
            return MediaFile(action.file, "https://cdn.example/a.png")
        if action.file == "never":
            raise NotFound("no such file")
        return await self.media.put(pieces(PNG), name="../a", content_type="text/html")


@pytest.fixture
async def files() -> AsyncIterator[PlatformFiles]:
    async with aiohttp.ClientSession() as http:
        fetcher = Fetcher(Policy(), session=http)
        yield PlatformFiles(AccountMedia(Objects(MemoryBus()), ME, fetcher))


async def test_what_was_received_is_fetched_once(files: PlatformFiles) -> None:
    files.go.clear()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(files.media.get(GetMedia("image", "f1"))) for _ in range(5)]
        while not files.asked:
            await asyncio.sleep(0)
        files.go.set()
    found = [task.result() for task in asking]
    assert len(files.asked) == 1
    assert {one.id for one in found} == {found[0].id}
    assert (found[1].file, found[1].name, found[1].content_type) == ("f1", "a.png", "image/png")
    assert found[1].size_bytes == len(PNG)
    stored = await files.media.stored(f"media:{found[0].id}")
    assert await stored.read(1 << 20) == PNG
    assert (await files.media.get(GetMedia("image", f"media:{found[0].id}"))).id == found[0].id
    await files.media.get(GetMedia("image", "f1", fresh=True))
    assert len(files.asked) == 2


async def test_what_the_platform_publishes_is_not_kept(files: PlatformFiles) -> None:
    for _ in range(2):
        found = await files.media.get(GetMedia("image", "public"))
        assert (found.url, found.id) == ("https://cdn.example/a.png", "")
    assert len(files.asked) == 2


async def test_errors_of_the_platform_are_its_own(files: PlatformFiles) -> None:
    with pytest.raises(NotFound, match="no such file"):
        await files.media.get(GetMedia("image", "never"))
    with pytest.raises(NotFound):
        await files.media.open(Image("never"))
    alone = AccountMedia(Objects(MemoryBus()), ME, Fetcher(Policy()))
    with pytest.raises(UnsupportedAction):
        await alone.get(GetMedia("image", "f1"))


async def test_a_file_whose_bytes_are_gone_is_fetched_again(files: PlatformFiles) -> None:
    await files.media.get(GetMedia("image", "f1"))
    bus = MemoryBus()
    objects = Objects(bus)
    media = AccountMedia(objects, ME, Fetcher(Policy()))
    again = PlatformFiles(media)
    await media.get(GetMedia("image", "f1"))
    stream = bus._streams[objects.stream]
    stream[:] = [entry for entry in stream if ".M." in entry.subject]
    await media.get(GetMedia("image", "f1"))
    assert len(again.asked) == 2


async def test_a_reference_can_be_sent(files: PlatformFiles) -> None:
    media = await files.media.open(Image("f1"))
    assert (media.name, media.content_type, media.size_bytes) == ("a.png", "image/png", len(PNG))
    first = b"".join([chunk async for chunk in media.chunks()])
    second = b"".join([chunk async for chunk in media.chunks()])
    assert first == second == PNG
    with pytest.raises(BadParams):
        await media.read(1000)


async def test_the_platforms_limits(files: PlatformFiles) -> None:
    stored = await files.media.put(pieces(PNG))
    with pytest.raises(BadParams, match="larger than the 100 bytes"):
        await files.media.open(File(stored.file))
    assert (await files.media.open(Image(stored.file))).size_bytes == len(PNG)
    with pytest.raises(BadParams, match="larger than the 10 bytes"):
        await files.media.put(pieces(PNG), max_bytes=10)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 50_000, 50_000)
    with pytest.raises(BadParams, match="50000 × 50000 pixels"):
        await files.media.put(pieces(bomb))


@asynccontextmanager
async def site(served: list[str]) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        served.append(request.path)
        if request.path == "/large":
            return web.Response(body=bytes(2 << 20))
        return web.Response(body=PNG)

    app = web.Application()
    app.router.add_get("/{tail}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0)
    await place.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def web_files() -> AsyncIterator[AccountMedia]:
    async with Fetcher(Policy(["127.0.0.0/8"])) as fetcher:
        media = AccountMedia(Objects(MemoryBus()), ME, fetcher)
        media.serves(PlatformFiles(media).get, {"image": 1 << 20})
        yield media


async def test_a_url_is_fetched_once_unless_it_says_otherwise(web_files: AccountMedia) -> None:
    served: list[str] = []
    async with site(served) as base:
        opened = await asyncio.gather(*(web_files.open(Image(f"{base}/a.png")) for _ in range(3)))
        assert {media.info.id for media in opened} == {opened[0].info.id}
        assert (opened[0].name, len(served)) == ("a.png", 1)
        await web_files.open(Image(f"{base}/a.png", cache=False))
        assert len(served) == 2
        with pytest.raises(BadParams):
            await web_files.open(Image(f"{base}/large"))
        with pytest.raises((BadParams, PlatformUnavailable)):
            await web_files.open(Image("gopher://127.0.0.1/"))


def test_what_a_file_is_on_the_wire() -> None:
    assert act.MediaFile("f") == act.MediaFile("f", "", "", "", None, "")
