"""Bytes that a bot sends along: into the media store, so that a message only names them.

`base64://…`, `data:…`, `file://…` and paths are ours to read; a URL is left to the account's owner,
who knows what the platform takes and fetches it once for all attempts. Everything else is a
reference of the platform.

Source: https://github.com/botuniverse/onebot-11/blob/master/message/segment.md, "图片".
"""

import base64
import binascii
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

import msgspec

from onebus import segment as seg
from onebus.errors import ActionError, BadParams, Forbidden
from onebus.local_file import open_local
from onebus.media import SCHEME, MediaSegment, MediaStore
from onebus.objects import Info
from onebus.segment import Segment, Segments
from onebus.settings import MediaSettings

BASE64 = "base64://"
STEP = 4 * 43_691
"""So many characters are decoded at once; a multiple of four."""
MAX_REFERENCE_LENGTH = 4096
_PATH = re.compile(r"/|[A-Za-z]:[\\/]|\\\\|file:", re.IGNORECASE)
_DATA = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")
_FILES = (seg.Image, seg.Voice, seg.Video, seg.File, seg.Forward)
_SPACES = re.compile(r"\s")


def may_bring_files(segments: Segments) -> bool:
    """Whether `with_stored` could have something to do: most messages are text."""
    return any(isinstance(segment, _FILES) for segment in segments)


async def with_stored(segments: Segments, store: MediaStore, settings: MediaSettings) -> Segments:
    """Segments without bytes or paths in them, forward nodes included.

    Raises BadParams, Forbidden for a file that may not be read, BusError.
    """
    return tuple([await _stored(segment, store, settings) for segment in segments])


async def _stored(segment: Segment, store: MediaStore, settings: MediaSettings) -> Segment:
    match segment:
        case seg.Image() | seg.Voice() | seg.Video() | seg.File():
            kind = str(segment.__struct_config__.tag)
            try:
                return await _media(segment, kind, store, settings)
            except (BadParams, Forbidden) as error:
                raise _in_segment(error, kind) from None
        case seg.Forward(nodes=nodes) if nodes:
            inner = [
                msgspec.structs.replace(
                    node, content=await with_stored(node.content, store, settings)
                )
                for node in nodes
            ]
            return msgspec.structs.replace(segment, nodes=tuple(inner))
    return segment


async def _media(
    segment: MediaSegment, kind: str, store: MediaStore, settings: MediaSettings
) -> MediaSegment:
    file, most = segment.file, store.limit(kind)
    if file.lower().startswith(BASE64):
        return await _decoded(segment, kind, store, len(BASE64))
    if match := _DATA.match(file):
        if match[1].lower().endswith(";base64"):
            return await _decoded(segment, kind, store, match.end())
        raw = unquote_to_bytes(file[match.end() :])
        return _named(segment, await store.store(_once(raw), segment.name, "", most, kind))
    if _PATH.match(file):
        roots = [Path(root) for root in settings.roots]
        async with open_local(file, roots, max_bytes=most) as local:
            name = segment.name or local.name
            return _named(segment, await store.store(local.chunks(), name, "", most, kind))
    if len(file) > MAX_REFERENCE_LENGTH:
        raise BadParams("`file` is too long to be a URL or a reference")
    return segment


async def _decoded(segment: MediaSegment, kind: str, store: MediaStore, start: int) -> MediaSegment:
    store.check_size(kind, (len(segment.file) - start) * 3 // 4 - 2)
    chunks = from_base64(segment.file, start)
    return _named(segment, await store.store(chunks, segment.name, "", store.limit(kind), kind))


async def from_base64(text: str, start: int = 0) -> AsyncIterator[bytes]:
    """Base64 of either alphabet, with or without its padding and with line ends → its bytes.

    Raises BadParams.
    """
    if _SPACES.search(text, start):
        text, start = _SPACES.sub("", text[start:]), 0
    end = len(text)
    while end > start and text[end - 1] == "=":
        end -= 1
    for place in range(start, end, STEP):
        piece = text[place : min(place + STEP, end)].translate(_URL_SAFE)
        try:
            yield base64.b64decode(piece + "=" * (-len(piece) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise BadParams("`file` is not base64") from None


async def _once(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


def _named(segment: MediaSegment, stored: Info) -> MediaSegment:
    return msgspec.structs.replace(
        segment,
        file=SCHEME + stored.id,
        name=segment.name and stored.file_name,
        size_bytes=stored.size,
        url="",
    )


def _in_segment(error: ActionError, kind: str) -> ActionError:
    return type(error)(f"segment `{ {'voice': 'record'}.get(kind, kind) }`: {error.text}")
