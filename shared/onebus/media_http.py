"""A file of the store over HTTP: as an answer that keeps browsers safe, and as part of a call."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from aiohttp import web
from aiohttp.payload import AsyncIterablePayload
from msgspec import Struct

from onebus.media import Media

SHOWN = ("image/", "audio/", "video/")
"""What browsers may show; everything else is for saving."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class MediaBody(AsyncIterablePayload):
    """A file as (a part of) the body of a call: read as it is sent, with its length before it.

    Made anew for each attempt: `form.add_field("photo", MediaBody(media), filename=media.name)`.
    """

    def __init__(self, media: Media) -> None:
        super().__init__(media.chunks(), content_type=media.content_type)
        self._size = media.size_bytes


class Span(Struct, frozen=True):
    """A part of a file: from `start` up to, not including, `stop`."""

    start: int
    stop: int


async def give(request: web.Request, media: Media) -> web.StreamResponse:
    """Answer a GET or HEAD with a file or a range of it. Raises NotFound, BusError."""
    headers = _headers(media)
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    span = span_of(request.headers.get("Range", ""), media.size_bytes)
    if request.headers.get("If-Range", headers["ETag"]) != headers["ETag"]:
        span = None
    if span and span.start >= span.stop:
        headers["Content-Range"] = f"bytes */{media.size_bytes}"
        return web.Response(status=416, headers=headers)
    whole = Span(0, media.size_bytes)
    if span:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{media.size_bytes}"
    response = web.StreamResponse(status=206 if span else 200, headers=headers)
    span = span or whole
    response.content_length = span.stop - span.start
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    return await _stream(request, response, media.chunks(span.start, span.stop))


async def _stream(
    request: web.Request, response: web.StreamResponse, chunks: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Read before anything is promised: what is gone is a 404, not half a file."""
    first = await anext(chunks, b"")
    await response.prepare(request)
    await response.write(first)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


def _headers(media: Media) -> dict[str, str]:
    shown = media.content_type.startswith(SHOWN) and "svg" not in media.content_type
    kind = "inline" if shown else "attachment"
    return {
        "Content-Type": media.content_type if shown else "application/octet-stream",
        "Content-Disposition": f"{kind}; filename*=UTF-8''{quote(media.name, '')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Accept-Ranges": "bytes",
        "ETag": f'"{media.info.id}"',
        "Cache-Control": "private, max-age=3600",
    }


def span_of(header: str, size: int) -> Span | None:
    """One range of bytes; None for no range, several, or what is none.

    An empty span is one that the file does not have. Source: RFC 9110, section 14.
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return Span(max(size - int(last), 0), size) if last and int(last) else Span(0, 0)
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    return Span(start, max(stop, start)) if start < size else Span(0, 0)
