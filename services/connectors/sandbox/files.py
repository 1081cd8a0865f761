"""Files of the sandbox: people upload them here, and the page shows them from here.

They are kept in the media store alone, for as long as that keeps them. In messages they are named
`media:{id}`, and to the page `api/files/{id}`.
"""

from aiohttp import web
from msgspec.structs import replace

from connectors.sandbox.message import Json
from onebus import action as act
from onebus import segment as seg
from onebus.connector import Kit
from onebus.errors import BadParams
from onebus.media import SCHEME
from onebus.media_http import give
from onebus.segment import Segment, Segments

PIECE_BYTES = 64 << 10
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
"""What a page of another origin can send without asking; it can also leave the type out."""


class Files:
    """The files of one account."""

    def __init__(self, kit: Kit) -> None:
        self._media = kit.media

    async def put(self, request: web.Request) -> Json:
        """POST api/files?name=…: the body is the file, as it is. Raises BadParams, HTTP 415."""
        if "Content-Type" not in request.headers or request.content_type in FORMS:
            text = "send the file itself, with its own type or application/octet-stream"
            raise web.HTTPUnsupportedMediaType(text=text)
        name = request.query.get("name", "")
        pieces = request.content.iter_chunked(PIECE_BYTES)
        stored = await self._media.put(pieces, name=name, content_type=request.content_type)
        return {
            "file": stored.file,
            "url": f"api/files/{stored.id}",
            "name": stored.name,
            "size_bytes": stored.size_bytes,
            "type": stored.content_type,
        }

    async def get(self, request: web.Request) -> web.StreamResponse:
        """GET api/files/{id}. Raises NotFound."""
        return await give(request, await self._media.stored(SCHEME + request.match_info["id"]))

    async def checked(self, segments: Segments) -> Segments:
        """Segments with what is known of the files that they name. Raises NotFound, BadParams."""
        return tuple([await self._checked(segment) for segment in segments])

    async def checked_file(self, file: str) -> act.MediaFile:
        """What `media:{id}` names. Raises NotFound, BadParams."""
        if not file.startswith(SCHEME):
            raise BadParams("file must be what POST api/files answered, media:…")
        return await self._media.get(act.GetMedia("file", file))

    async def _checked(self, segment: Segment) -> Segment:
        match segment:
            case seg.Image() | seg.Voice() | seg.Video() | seg.File():
                if not segment.file.startswith(SCHEME):
                    return segment
                media = await self._media.open(segment)
                name = segment.name or media.name
                return replace(segment, name=name, size_bytes=media.size_bytes)
            case seg.Forward():
                nodes = [
                    replace(node, content=await self.checked(node.content))
                    for node in segment.nodes
                ]
                return replace(segment, nodes=tuple(nodes))
        return segment
