"""Pictures, sound and films of an Official Account, both ways."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from tests.unit.connectors.wechat.conftest import Replicas

from onebus.action import GetMedia, SendMessage
from onebus.errors import BadParams, NotFound, UnsupportedAction
from onebus.event import MessageSent, private_chat
from onebus.ids import UserId
from onebus.segment import Image, Segment, Segments, Text, Video, Voice

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200_000)
AMR = b"#!AMR\n" + bytes(1000)
MP4 = b"\0\0\0\x18ftypmp42" + bytes(1000)


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


def message(*segments: Segment) -> SendMessage:
    return SendMessage(private_chat(UserId("oUser")), segments)


def sent(replicas: Replicas) -> list[Segments]:
    return [event.segments for event in replicas.memory.events() if isinstance(event, MessageSent)]


async def test_files_go_out_under_the_platforms_ids(replicas: Replicas) -> None:
    connector = replicas.connector()
    files = [(await connector.kit.media.put(pieces(data))).file for data in (PNG, AMR, MP4)]
    await connector.send_message(
        message(Text("look"), Image(files[0]), Voice(files[1]), Video(files[2]))
    )
    kinds = [body["msgtype"] for body in replicas.api.sent]
    assert kinds == ["text", "image", "voice", "video"]
    ids = [
        body[kind]["media_id"] for kind, body in zip(kinds[1:], replicas.api.sent[1:], strict=True)
    ]
    assert [replicas.api.media[media_id] for media_id in ids] == [
        ("image", PNG),
        ("voice", AMR),
        ("video", MP4),
    ]
    (logged,) = sent(replicas)[1]
    assert isinstance(logged, Image)
    assert (logged.file, logged.name, logged.size_bytes) == (ids[0], "file.png", len(PNG))


async def test_the_thumbnail_is_uploaded_once(replicas: Replicas) -> None:
    connector = replicas.connector()
    file = (await connector.kit.media.put(pieces(MP4))).file
    for _ in range(2):
        await connector.send_message(message(Video(file)))
    assert [kind for kind, _ in replicas.api.media.values()].count("thumb") == 1


async def test_a_picture_of_the_web_is_fetched_once(replicas: Replicas) -> None:
    async def answer(_: web.Request) -> web.Response:
        asked.append(1)
        return web.Response(body=PNG)

    asked: list[int] = []
    app = web.Application()
    app.router.add_get("/a.png", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/a.png"
    try:
        connector = replicas.connector()
        for cache in (True, True, False):
            await connector.send_message(message(Image(url, cache=cache)))
    finally:
        await runner.cleanup()
    assert len(asked) == 2
    assert len(replicas.api.sent) == 3


@pytest.mark.parametrize(
    ("segment", "data", "why"),
    [
        (Voice(""), PNG, "takes no image/png as voice"),
        (Image(""), AMR, "takes no audio/amr as image"),
        (Voice(""), AMR + bytes(3 << 20), "larger than the 2,097,152 bytes"),
    ],
)
async def test_what_the_platform_would_not_take(
    replicas: Replicas, segment: Image | Voice, data: bytes, why: str
) -> None:
    connector = replicas.connector()
    file = (await connector.kit.media.put(pieces(data))).file
    with pytest.raises(BadParams, match=why):
        await connector.send_message(message(Text("x"), type(segment)(file)))
    assert not replicas.api.sent


async def test_without_customer_service_nothing_is_uploaded(replicas: Replicas) -> None:
    connector = replicas.connector(customer_service=False)
    with pytest.raises(UnsupportedAction, match="customer-service"):
        await connector.send_message(message(Image("media:x")))
    assert not replicas.api.media


async def test_a_received_file_is_downloaded(replicas: Replicas) -> None:
    connector = replicas.connector()
    replicas.api.media["m1"] = ("image", PNG)
    found = await connector.get_media(GetMedia("image", "m1"))
    assert (found.content_type, found.size_bytes, found.name) == (
        "image/png",
        len(PNG),
        "image.png",
    )
    stored = await connector.kit.media.stored(found.file)
    assert await stored.read(1 << 20) == PNG


async def test_a_film_has_an_address(replicas: Replicas) -> None:
    replicas.api.media["m1"] = ("video", MP4)
    found = await replicas.connector().get_media(GetMedia("video", "m1"))
    assert (found.url, found.id) == ("http://films.example/1.mp4", "")


async def test_a_rejected_token_is_renewed(replicas: Replicas) -> None:
    connector = replicas.connector()
    replicas.api.media["m1"] = ("voice", AMR)
    await connector.open()
    replicas.api.expire_tokens()
    found = await connector.get_media(GetMedia("voice", "m1"))
    assert found.name == "voice.amr"


async def test_a_file_that_is_gone(replicas: Replicas) -> None:
    with pytest.raises((NotFound, BadParams)) as caught:
        await replicas.connector().get_media(GetMedia("image", "never"))
    assert "invalid media_id" in str(caught.value)
