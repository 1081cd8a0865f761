"""`multipart/form-data`: parameters, and files that go into the media store as they come.

A file becomes the parameter of its part's name, as a reference that messages and `upload_…` take;
its own name becomes `name`, unless that is given. Source: RFC 7578.
"""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

from aiohttp import BodyPartReader, web

from onebus.errors import BadParams
from onebus.media import SCHEME, MediaStore

MULTIPART = "multipart/form-data"
UPLOADS = frozenset({"upload_group_file", "upload_private_file"})
"""The actions that take it: a page of another site can send such a form without asking."""
MAX_PARTS = 1000
MAX_TEXT_BYTES = 1 << 20
PIECE_BYTES = 64 << 10


async def read_multipart(request: web.Request, store: MediaStore) -> dict[str, Any]:
    """The parameters of a body. Raises BadParams, BusError."""
    params: dict[str, Any] = {}
    room = MAX_TEXT_BYTES
    try:
        reader = await request.multipart()
        for _ in range(MAX_PARTS):
            part = await reader.next()
            if part is None:
                return params
            if not isinstance(part, BodyPartReader) or not part.name:
                raise BadParams("a part of the body has no name")
            if part.filename is None:
                text = await _text(part, room)
                room -= len(text)
                params[part.name] = _decoded(text)
            else:
                params |= await _file(part, unquote(part.filename), store, params)
    except ValueError as error:
        raise BadParams(f"the body is not {MULTIPART}: {str(error)[:80]}") from None
    raise BadParams(f"the body has more than {MAX_PARTS} parts")


async def _file(
    part: BodyPartReader, name: str, store: MediaStore, params: dict[str, Any]
) -> dict[str, Any]:
    """What is too large for the platform is refused while it comes."""
    given = part.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    info = await store.store(_pieces(part), name, given, store.limit("file"))
    return {part.name or "": SCHEME + info.id, "name": params.get("name") or info.file_name}


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await part.read_chunk(PIECE_BYTES):
        yield piece


async def _text(part: BodyPartReader, room: int) -> bytes:
    text = bytearray()
    while piece := await part.read_chunk(PIECE_BYTES):
        text += piece
        if len(text) > room:
            raise BadParams(f"the parameters have more than {MAX_TEXT_BYTES:,} bytes")
    return bytes(text)


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise BadParams("a part of the body is neither a file nor UTF-8") from None
