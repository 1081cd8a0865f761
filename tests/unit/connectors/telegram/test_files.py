"""Files both ways: bytes from the store go up, files of messages come down."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.fakes.telegram_world import id_of_file
from tests.unit.connectors.telegram.conftest import ALICE, GROUP, Replicas

from connectors.telegram import Connector
from onebus import action as act
from onebus import deadline
from onebus import segment as seg
from onebus.action import SendMessage
from onebus.errors import BadParams, NotFound
from onebus.event import MessageSent, group_chat, private_chat
from onebus.ids import ChatId, UserId
from onebus.segment import Segment, Text

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01" + bytes(64)
GIF = b"GIF89a\x01\x00\x01\x00" + bytes(64)
OGG = b"OggS" + bytes(64)
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(64)
AMR = b"#!AMR\n" + bytes(64)
PRIVATE = private_chat(UserId(str(ALICE)))
TEA = group_chat(ChatId(str(GROUP)))


async def chunks_of(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 40):
        yield body[start : start + 40]


async def stored(connector: Connector, body: bytes, name: str = "") -> str:
    """The reference of a file that a bot has given."""
    return (await connector.kit.media.put(chunks_of(body), name=name)).file


@pytest.mark.parametrize(
    ("kind", "body", "method", "became"),
    [
        (seg.Image, PNG, "sendPhoto", "photo"),
        (seg.Image, GIF, "sendAnimation", "animation"),
        (seg.Image, AMR, "sendDocument", "document"),
        (seg.Voice, OGG, "sendVoice", "voice"),
        (seg.Voice, AMR, "sendDocument", "document"),
        (seg.Video, MP4, "sendVideo", "video"),
        (seg.File, PNG, "sendDocument", "document"),
    ],
)
async def test_bytes_go_up_as_what_they_are(
    replicas: Replicas, kind: type[seg.Image], body: bytes, method: str, became: str
) -> None:
    connector = replicas.connector()
    file = await stored(connector, body, "a file")
    await connector.send_message(SendMessage(PRIVATE, (kind(file), Text("look"))))
    (call,) = replicas.api.of(method)
    assert call["caption"] == "look"
    (kept,) = replicas.api.world.files.values()
    assert (kept.kind, kept.body) == (became, body)
    assert replicas.api.unmeasured == []
    (event,) = replicas.memory.events()
    assert isinstance(event, MessageSent)
    shown = event.segments[0]
    assert isinstance(shown, seg.Image | seg.Voice | seg.Video | seg.File)
    assert shown.file.endswith(f".{became}")


async def test_several_pictures_are_an_album_with_one_copy_of_each(replicas: Replicas) -> None:
    connector = replicas.connector()
    first, second = await stored(connector, PNG), await stored(connector, PNG + b"2")
    pictures = (seg.Image(first), seg.Image(second), seg.Image(first), Text("all"))
    sent = await connector.send_message(SendMessage(TEA, pictures))
    (call,) = replicas.api.of("sendMediaGroup")
    assert [entry["media"] for entry in call["media"]] == [
        "attach://file0",
        "attach://file1",
        "attach://file0",
    ]
    events = replicas.memory.events()
    assert [event.parts for event in events] == [("1", "2", "3")] * 3  # type: ignore[union-attr]
    assert sent.message == "1"


async def test_what_is_put_off_goes_up_again_whole(replicas: Replicas) -> None:
    connector = replicas.connector()
    file = await stored(connector, PNG)
    replicas.api.answer_next("sendPhoto", 429, "Too Many Requests: retry after 1", retry_after=1)
    with deadline.within(20):
        await connector.send_message(SendMessage(PRIVATE, (seg.Image(file),)))
    (kept,) = replicas.api.world.files.values()
    assert kept.body == PNG


async def test_nothing_is_sent_when_a_file_cannot_be_had(replicas: Replicas) -> None:
    connector = replicas.connector()
    for wrong in ("media:none", "base64://eA=="):
        segments: tuple[Segment, ...] = (Text("x" * 5000), seg.Image(wrong))
        with pytest.raises((NotFound, BadParams)):
            await connector.send_message(SendMessage(PRIVATE, segments))
    assert replicas.api.sent == []


async def test_a_file_that_telegram_does_not_know(replicas: Replicas) -> None:
    unknown = seg.Image("AgACunknownunknownunknown.photo")
    with pytest.raises(NotFound, match="wrong file identifier"):
        await replicas.connector().send_message(SendMessage(PRIVATE, (unknown,)))


async def test_a_file_of_a_message_comes_down(replicas: Replicas) -> None:
    connector, world = replicas.connector(), replicas.api.world
    file_id = world.keep("photo", PNG)
    found = await connector.get_media(act.GetMedia("image", f"{file_id}.photo"))
    assert (found.size_bytes, found.content_type) == (len(PNG), "image/png")
    media = await connector.kit.media.stored(found.file)
    assert await media.read(1000) == PNG
    large = world.keep("document", bytes((20 << 20) + 1))
    with pytest.raises(BadParams, match="file is too big"):
        await connector.get_media(act.GetMedia("file", f"{large}.document"))
    unknown = id_of_file("photo", b"nobody has this")
    with pytest.raises(NotFound):
        await connector.get_media(act.GetMedia("image", f"{unknown}.photo"))
    with pytest.raises(BadParams):
        await connector.get_media(act.GetMedia("image", "../../etc/passwd"))


async def test_a_server_of_ones_own_that_names_a_path_of_its_disk(replicas: Replicas) -> None:
    world = replicas.api.world
    file_id = world.keep("photo", PNG)
    world.local = True
    with pytest.raises(NotFound, match="--local"):
        await replicas.connector().get_media(act.GetMedia("image", f"{file_id}.photo"))


async def test_a_large_file_does_not_hold_up_others(replicas: Replicas) -> None:
    """While one goes up the next message into another chat goes out."""
    connector = replicas.connector()
    await connector.open()
    file = await stored(connector, PNG)
    replicas.api.hang.clear()
    uploading = asyncio.ensure_future(
        connector.send_message(SendMessage(PRIVATE, (seg.Image(file),)))
    )
    await replicas.api.counted("sendPhoto", 1)
    other = asyncio.ensure_future(connector.send_message(SendMessage(TEA, (Text("hi"),))))
    await replicas.api.wait_for("sendMessage")
    replicas.api.hang.set()
    await asyncio.gather(uploading, other)
