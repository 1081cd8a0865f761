"""Types by bytes, names without harm (S8), pictures by their header (S9)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebus.errors import BadParams
from onebus.file_type import MAX_NAME_BYTES, Pixels, check_picture, pixels_of, safe_name, type_of


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\0" * 10 + b"\xff\xc0\x00\x11\x08\x00\x20\x00\x40\x03"

TYPES = {
    "image/png": png(1, 1),
    "image/jpeg": JPEG,
    "image/gif": b"GIF89a\x01\x00\x02\x00",
    "image/webp": b"RIFF\0\0\0\0WEBPVP8X",
    "audio/wav": b"RIFF\0\0\0\0WAVE",
    "audio/amr": b"#!AMR\n",
    "audio/silk": b"\x02#!SILK_V3",
    "audio/ogg": b"OggS\0",
    "audio/mpeg": b"\xff\xfb\x90",
    "audio/mp4": b"\0\0\0\x20ftypM4A ",
    "video/mp4": b"\0\0\0\x20ftypisom",
    "application/pdf": b"%PDF-1.7",
    "text/plain": "<svg onload=alert(1)> ä".encode(),
    "application/octet-stream": b"\0\1\2",
}


@pytest.mark.parametrize("content_type", TYPES)
def test_types(content_type: str) -> None:
    assert type_of(TYPES[content_type]) == content_type


def test_nothing_is_nothing() -> None:
    assert type_of(b"") == "application/octet-stream"


NAMES = {
    "../../x": "x",
    "..\\..\\x": "x",
    "/etc/cron.d/x": "x",
    "C:\\x": "x",
    "a\0b": "ab",
    "CON": "_CON",
    "nul.txt": "_nul.txt",
    "": "file",
    "..": "file",
    "a\u202egpj.exe": "agpj.exe",
    "a\r\nSet-Cookie: x": "aSet-Cookie_ x",
    "<img src=x>": "_img src=x_",
    "图片.png": "图片.png",
    ".htaccess": "htaccess",
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    assert safe_name(name) == NAMES[name]


def test_a_long_name_keeps_its_extension() -> None:
    name = safe_name("ä" * 4096 + ".png")
    assert name.endswith("ä.png")
    assert len(name.encode()) <= MAX_NAME_BYTES


def test_the_type_names_what_has_no_extension() -> None:
    assert safe_name("pic", "image/png") == "pic.png"
    assert safe_name("", "audio/amr", "voice") == "voice.amr"
    assert safe_name("pic.jpg", "image/png") == "pic.jpg"


@given(st.text())
def test_any_name_is_one_name(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert safe == safe_name(safe)
    assert not set(safe) & set('/\\\0\r\n"<>|?*:')
    assert len(safe.encode()) <= MAX_NAME_BYTES + 1


def test_pixels() -> None:
    assert pixels_of(png(3, 4)) == Pixels(3, 4)
    assert pixels_of(JPEG) == Pixels(64, 32)
    assert pixels_of(TYPES["image/gif"]) == Pixels(1, 2)
    assert pixels_of(b"%PDF") is None
    assert pixels_of(b"\xff\xd8\xff") is None


def test_a_picture_that_is_a_bomb() -> None:
    check_picture(png(5_000, 5_000))
    with pytest.raises(BadParams):
        check_picture(png(50_000, 50_000))
