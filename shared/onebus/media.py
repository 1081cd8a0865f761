"""Pictures, sound and files of one account: kept in NATS, named in segments, never inside them.

What a segment's `file` may name on its way to a connector: `media:{id}` (an object of the store),
an http(s) URL, or the platform's own reference. `open` makes an object of each, so that its size
and type are known before the platform is called, and its bytes can be read as often as needed.
"""

import logging
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from hashlib import blake2b
from typing import TypeAlias

import aiohttp
from msgspec import Struct

from onebus import action as act
from onebus.chunks import TooBig
from onebus.errors import (
    BadParams,
    BusError,
    PlatformUnavailable,
    UnsupportedAction,
)
from onebus.fetch import FETCH_S, Fetcher, Policy
from onebus.file_type import BINARY, check_picture, safe_name, type_of
from onebus.ids import Account
from onebus.objects import Info, Objects
from onebus.ordering import Lanes
from onebus.segment import File, Image, Video, Voice

logger = logging.getLogger(__name__)

SCHEME = "media:"
MAX_BYTES = 100 << 20
MAX_FETCH_S = 60.0
MAX_REFERENCE = 1024
"""Longest reference of a platform that is looked up: links carry it."""

_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,60}")
UNLIMITED: Mapping[str, int] = {}

MediaSegment: TypeAlias = Image | Voice | Video | File
Received: TypeAlias = Callable[[act.GetMedia], Awaitable[act.MediaFile]]
"""A connector's `get_media`."""


class Media:
    """One file in the store."""

    def __init__(self, objects: Objects, info: Info) -> None:
        self._objects = objects
        self.info = info

    @property
    def name(self) -> str:
        """What it is called: safe everywhere, with an extension where the type has one."""
        return self.info.file_name or "file"

    @property
    def content_type(self) -> str:
        """What it is, by its first bytes: `image/png`."""
        return self.info.content_type

    @property
    def size_bytes(self) -> int:
        """Exactly how large it is."""
        return self.info.size

    def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Its bytes from `start` up to `stop`, anew with each call.

        Raises NotFound when they are gone, BusError.
        """
        return self._objects.read(self.info, start, stop)

    async def read(self, max_bytes: int) -> bytes:
        """All of a small one. Raises BadParams when it is larger."""
        if self.size_bytes > max_bytes:
            raise BadParams(f"the file has {self.size_bytes:,} bytes; at most {max_bytes:,} fit")
        return b"".join([chunk async for chunk in self.chunks()])


class MediaStore:
    """The files of one account. `limits`: how large the platform takes each kind, in bytes."""

    def __init__(
        self,
        objects: Objects,
        account: Account,
        *,
        limits: Mapping[str, int] = UNLIMITED,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._objects = objects
        self._account = account
        self._limits = limits
        self._max_bytes = max_bytes

    def limit(self, kind: str) -> int:
        """How large a file of this kind (image, voice, video, file) may be that is sent."""
        return min(self._limits.get(kind, self._max_bytes), self._max_bytes)

    def check_size(self, kind: str, size_bytes: int) -> None:
        """Raises BadParams for a file that the platform would not take."""
        if size_bytes > self.limit(kind):
            raise _too_large(kind, self.limit(kind))

    async def put(
        self,
        chunks: AsyncIterable[bytes],
        *,
        name: str = "",
        content_type: str = "",
        max_bytes: int | None = None,
    ) -> act.MediaFile:
        """Keep bytes as they come; the answer names them by `file`, `media:{id}`.

        `content_type` is what the sender says, for what cannot be told by the bytes. Raises
        BadParams when they are too many or a picture too large to be looked at, BusError.
        """
        return media_file(await self.store(chunks, name, content_type, max_bytes))

    async def store(
        self,
        chunks: AsyncIterable[bytes],
        name: str = "",
        content_type: str = "",
        max_bytes: int | None = None,
        kind: str = "file",
    ) -> Info:
        """`put`, and what the store says of it."""

        def describe(head: bytes) -> Mapping[str, str]:
            check_picture(head)
            found = type_of(head)
            told = content_type != BINARY and _is_type(content_type)
            if found in (BINARY, "text/plain") and told:
                found = content_type
            return {"file_name": safe_name(name, found, kind), "content_type": found}

        most = self._max_bytes if max_bytes is None else max_bytes
        try:
            return await self._objects.put(self._account, chunks, max_bytes=most, describe=describe)
        except TooBig as error:
            raise _too_large(kind, error.most) from None
        except (aiohttp.ClientError, TimeoutError):
            raise PlatformUnavailable("the file broke off on its way here") from None

    async def stored(self, file: str) -> Media:
        """The file that `media:{id}` names. Raises NotFound, BusError."""
        info = await self._objects.get(self._account, file.removeprefix(SCHEME))
        return Media(self._objects, info)

    async def kept(self, reference: str) -> Media | None:
        """What was fetched for a reference of the platform or a URL, if it is still there."""
        info = await self._objects.find(self._account, _key(reference))
        if info is None or not await self._objects.begins(info):
            return None
        return Media(self._objects, info)

    async def keep(self, reference: str, media: Media) -> None:
        """Find a file by a reference from now on."""
        await self._objects.name(self._account, _key(reference), media.info)


class AccountMedia(MediaStore):
    """The files of an account at the process that serves it: `onebus.connector.Kit.media`.

    A connector says by `serves` how it gets what was received, and what its platform takes.
    """

    def __init__(
        self,
        objects: Objects,
        account: Account,
        fetcher: Fetcher,
        *,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        super().__init__(objects, account, max_bytes=max_bytes)
        self._fetcher = fetcher
        self._lanes = Lanes()
        self._received: Received | None = None

    def serves(self, received: Received, limits: Mapping[str, int]) -> None:
        """Get what was received by this, a connector's `get_media`, and send no more than this."""
        self._received, self._limits = received, limits

    async def open(self, segment: MediaSegment) -> Media:
        """The file that a segment names, wherever it is now.

        Raises BadParams when it cannot be had or the platform would not take it, NotFound,
        PlatformUnavailable: nothing was sent.
        """
        kind = str(segment.__struct_config__.tag)
        try:
            media = await self._found(segment, kind)
        except BusError as error:
            raise PlatformUnavailable(f"nothing was sent: {error}") from error
        self.check_size(kind, media.size_bytes)
        return media

    async def get(self, action: act.GetMedia) -> act.MediaFile:
        """`get_media` for whoever asks: from the store, or from the platform once.

        Raises what the connector raises, BusError.
        """
        if action.file.startswith(SCHEME):
            return media_file((await self.stored(action.file)).info, action.file)
        async with self._lanes.turn(action.file):
            if not action.fresh and (kept := await self.kept(action.file)):
                return media_file(kept.info, action.file)
            return await self._fetch_received(action)

    async def _found(self, segment: MediaSegment, kind: str) -> Media:
        file = segment.file
        if file.startswith(SCHEME):
            return await self.stored(file)
        if "://" in file:
            return await self._from_url(segment, kind, file)
        found = await self.get(act.GetMedia(kind, file))  # type: ignore[arg-type]
        if found.id:
            return await self.stored(SCHEME + found.id)
        return await self._from_url(segment, kind, found.url)

    async def _fetch_received(self, action: act.GetMedia) -> act.MediaFile:
        if self._received is None:
            raise UnsupportedAction("files that were received cannot be had of this platform")
        found = await self._received(action)
        if found.id and not action.out_format and len(action.file) <= MAX_REFERENCE:
            await self.keep(action.file, await self.stored(SCHEME + found.id))
        return found

    async def _from_url(self, segment: MediaSegment, kind: str, url: str) -> Media:
        """`cache`: what was fetched from the URL before will do. One fetch of a URL at a time."""
        async with self._lanes.turn(url):
            if segment.cache and (kept := await self.kept(url)):
                return kept
            timeout_s = min(segment.timeout_s or FETCH_S, MAX_FETCH_S)
            async with self._fetcher.fetch(
                url, max_bytes=self.limit(kind), timeout_s=max(timeout_s, 0.1)
            ) as fetched:
                name = segment.name or fetched.name
                given = fetched.response.content_type
                info = await self.store(fetched.chunks(), name, given, self.limit(kind), kind)
            media = Media(self._objects, info)
            await self.keep(url, media)
            return media


class MediaPart(Struct, frozen=True):
    """What the files of all accounts of a process share. The fetcher is open while it runs."""

    fetcher: Fetcher
    max_bytes: int = MAX_BYTES

    def of(self, objects: Objects, account: Account) -> AccountMedia:
        """The files of one account."""
        return AccountMedia(objects, account, self.fetcher, max_bytes=self.max_bytes)


NO_MEDIA = MediaPart(Fetcher(Policy()))
"""Files without URLs."""


def media_file(info: Info, file: str = "") -> act.MediaFile:
    """An object of the store as actions answer it."""
    return act.MediaFile(
        file=file or SCHEME + info.id,
        id=info.id,
        name=info.file_name,
        size_bytes=info.size,
        content_type=info.content_type,
    )


def _key(reference: str) -> str:
    """A name for what a reference stands for; nobody's input becomes a name."""
    return f"of-{blake2b(reference.encode('utf-8', 'surrogatepass'), digest_size=20).hexdigest()}"


def _too_large(kind: str, most: int) -> BadParams:
    return BadParams(f"the {kind} is larger than the {most:,} bytes that are taken here")


def _is_type(text: str) -> bool:
    return bool(_TYPE.fullmatch(text))
