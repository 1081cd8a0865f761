"""Bytes that a bot sends along become references, whatever form they have."""

import base64
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontends.onebot_v11.upload import STEP, from_base64, with_stored
from onebus.errors import BadParams, Forbidden
from onebus.ids import Account, AccountId, Platform
from onebus.media import MediaStore
from onebus.objects import Objects
from onebus.segment import File, Forward, Image, Node, Text, Voice
from onebus.settings import MediaSettings
from onebus.testing.memory_bus import MemoryBus

ME = Account(Platform("test"), AccountId("me"))
NONE = MediaSettings()


def store(**limits: int) -> MediaStore:
    return MediaStore(Objects(MemoryBus()), ME, limits=limits)


async def decoded(text: str) -> bytes:
    return b"".join([piece async for piece in from_base64(text)])


@given(st.binary(max_size=300), st.booleans(), st.booleans())
async def test_base64_of_any_kind(data: bytes, url_safe: bool, padded: bool) -> None:
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(data).decode()
    assert await decoded(text if padded else text.rstrip("=")) == data


async def test_base64_of_many_pieces_and_with_line_ends() -> None:
    data = bytes(range(256)) * 2000
    text = base64.b64encode(data).decode()
    assert len(text) > 3 * STEP
    assert await decoded(text) == data
    assert await decoded("\r\n".join(text[i : i + 76] for i in range(0, len(text), 76))) == data


@pytest.mark.parametrize("text", ["*", "A", "AAAAA", "AA=A", "ä", "AAAA*" * 50_000])
async def test_what_is_no_base64(text: str) -> None:
    with pytest.raises(BadParams):
        await decoded(text)


async def test_only_bytes_and_paths_are_replaced() -> None:
    files = store()
    references = (Image("https://a.example/b"), Voice("f1"), File("media:x"), Text("base64://AA"))
    assert await with_stored(references, files, NONE) == references
    forward = Forward(nodes=(Node(content=(Image("base64://aGVsbG8="),)),))
    (found,) = await with_stored((forward,), files, NONE)
    assert isinstance(found, Forward)
    image = found.nodes[0].content[0]
    assert isinstance(image, Image)
    assert (await (await files.stored(image.file)).read(10), image.size_bytes) == (b"hello", 5)


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("data:text/plain,a%20b", b"a b"),
        ("DATA:image/png;base64,aGVsbG8=", b"hello"),
        ("BASE64://aGVsbG8", b"hello"),
        ("data:,", b""),
    ],
)
async def test_forms(file: str, data: bytes) -> None:
    files = store()
    (found,) = await with_stored((File(file, name="../x"),), files, NONE)
    assert isinstance(found, File)
    assert await (await files.stored(found.file)).read(10) == data
    assert found.name.startswith("x")


async def test_local_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello")
    allowed = MediaSettings(roots=(str(tmp_path),))
    files = store()
    (found,) = await with_stored((File(f"file://{tmp_path}/a.txt"),), files, allowed)
    assert isinstance(found, File)
    assert await (await files.stored(found.file)).read(10) == b"hello"
    for bad in ("/etc/passwd", "C:\\x", "\\\\host\\x", "file:///etc/passwd"):
        with pytest.raises(Forbidden, match="segment `file`"):
            await with_stored((File(bad),), files, allowed)


async def test_a_platforms_limit_goes_before_the_decoding() -> None:
    files = store(image=1000)
    text = "base64://" + "A" * (20 << 20)
    started_at = time.process_time()
    with pytest.raises(BadParams, match=r"segment `image`.*1,000 bytes"):
        await with_stored((Image(text),), files, NONE)
    assert time.process_time() - started_at < 0.5
    with pytest.raises(BadParams, match="segment `record`"):
        await with_stored((Voice("base64://***"),), files, NONE)
