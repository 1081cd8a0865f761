"""What a file is by its first bytes, and a name for it that no file system minds.

Sources: https://mimesniff.spec.whatwg.org and the formats' own signatures.
"""

import re
import unicodedata
from collections.abc import Mapping

from msgspec import Struct

from onebus.errors import BadParams

BINARY = "application/octet-stream"
MAX_NAME_BYTES = 120
MAX_PIXELS = 100_000_000
"""Most pixels of a picture, by its header: who decodes it needs four bytes for each."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"#!AMR", "audio/amr"),
    (b"#!SILK_V3", "audio/silk"),
    (b"\x02#!SILK_V3", "audio/silk"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"FLV\x01", "video/x-flv"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"0&\xb2u\x8ef\xcf\x11", "audio/x-ms-wma"),
)
_RIFF: Mapping[bytes, str] = {
    b"WEBP": "image/webp",
    b"WAVE": "audio/wav",
    b"AVI ": "video/x-msvideo",
}
_EXTENSIONS: Mapping[str, str] = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/bmp": "bmp",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/heic": "heic",
    "audio/amr": "amr",
    "audio/silk": "silk",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/x-ms-wma": "wma",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/x-msvideo": "avi",
    "application/pdf": "pdf",
    "application/zip": "zip",
    "application/gzip": "gz",
    "text/plain": "txt",
}
_BRANDS: Mapping[bytes, str] = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
    b"avif": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
}
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_OUTSIDE = re.compile(r'[<>:"/\\|?*]')
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,10}")


def type_of(head: bytes) -> str:
    """The type of a file that begins like this; BINARY for what is not known."""
    for signature, content_type in _SIGNATURES:
        if head.startswith(signature):
            return content_type
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], BINARY)
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "audio/aac" if head[1] & 0x06 == 0 else "audio/mpeg"
    return "text/plain" if _is_text(head) else BINARY


def extension_of(content_type: str) -> str:
    """The usual extension of a type, without its dot; empty for what has none."""
    return _EXTENSIONS.get(content_type, "")


def safe_name(name: str, content_type: str = BINARY, default: str = "file") -> str:
    """A name from anywhere → one that is a name on every system and nothing else.

    Its extension says what the file is, where that is known and the name says nothing.
    """
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8", "replace"))
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C")
    name = _OUTSIDE.sub("_", name).strip(" .")
    stem, extension = _parted(name)
    if not extension and (known := extension_of(content_type)):
        extension = f".{known}"
    while len(f"{stem}{extension}".encode()) > MAX_NAME_BYTES:
        stem = stem[:-1]
    stem = stem.strip(" .") or default
    return f"_{stem}{extension}" if _RESERVED.fullmatch(stem) else f"{stem}{extension}"


def _parted(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    if stem and _EXTENSION.fullmatch(dot + extension):
        return stem, dot + extension
    return name, ""


class Pixels(Struct, frozen=True):
    """The size of a picture, as its header has it."""

    width: int
    height: int


def pixels_of(head: bytes) -> Pixels | None:
    """The size that a PNG, GIF, BMP, WebP or JPEG says it has; None where it cannot be told."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return Pixels(_big(head[16:20]), _big(head[20:24]))
    if head[:4] == b"GIF8" and len(head) >= 10:
        return Pixels(_little(head[6:8]), _little(head[8:10]))
    if head[:2] == b"BM" and len(head) >= 26:
        return Pixels(_little(head[18:22]), _little(head[22:26]))
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) >= 30:
        return Pixels(_little(head[24:27]) + 1, _little(head[27:30]) + 1)
    return _jpeg(head) if head[:2] == b"\xff\xd8" else None


def check_picture(head: bytes) -> None:
    """Refuse a picture that is small as a file and huge in memory. Raises BadParams."""
    size = pixels_of(head)
    if size and size.width * size.height > MAX_PIXELS:
        raise BadParams(
            f"the picture has {size.width} × {size.height} pixels; at most {MAX_PIXELS:,} are taken"
        )


def _jpeg(head: bytes) -> Pixels | None:
    """The first frame header. Source: ITU-T T.81, B.2."""
    place = 2
    while place + 9 <= len(head) and head[place] == 0xFF:
        marker, length = head[place + 1], _big(head[place + 2 : place + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return Pixels(_big(head[place + 7 : place + 9]), _big(head[place + 5 : place + 7]))
        place += 2 + length
    return None


def _is_text(head: bytes) -> bool:
    """Whether there is text and none of the bytes that text has not."""
    if not head or any(byte < 9 or 13 < byte < 32 for byte in head[:512]):
        return False
    try:
        head[:512].decode()
    except UnicodeDecodeError as error:
        return error.start > len(head[:512]) - 4  # a character that was cut
    return True


def _big(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _little(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
