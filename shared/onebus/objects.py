"""Bytes in NATS: the object store `media`, in the layout that NATS's own tools read.

An object is a run of chunks on one subject and one entry that describes it (the JSON that ADR-20 of
NATS calls ObjectInfo). Chunks lie on `$O.{bucket}.C.{platform}.{account}.{random}`, so that
permissions can hang on them, and a description that points to another account's chunks is not
believed; of several under one name the last counts. Writing waits for the ack of each chunk,
reading asks for one at a time: whoever is slow holds up nobody but themselves, and nothing is held
in memory but a chunk or two.

nats-py's own object store reads by its ordered consumer, which is not used here (docs/adr).
"""

import base64
import logging
import secrets
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec
from msgspec import Struct

from onebus import subjects
from onebus.backoff import Backoff
from onebus.bus import Bus
from onebus.chunks import CHUNK_BYTES, Chunks, Writer, even, stored
from onebus.codec import CodecError, decode, encode
from onebus.errors import NotFound
from onebus.ids import Account

logger = logging.getLogger(__name__)

LAG_S = 1.0
"""How long a description that must be there is looked for: a node of a cluster may lag behind."""

Describe: TypeAlias = Callable[[bytes], Mapping[str, str]]
"""An object's first bytes → its metadata."""


class _Options(Struct, frozen=True):
    max_chunk_size: int = CHUNK_BYTES


class Info(Struct, frozen=True):
    """An object's description, as NATS's tools write and read it.

    `metadata` holds what is ours: the file's own name, its type, and marks in the stream.
    """

    name: str
    bucket: str
    nuid: str
    size: int
    chunks: int
    digest: str
    mtime: str
    metadata: dict[str, str] = {}
    options: _Options = _Options()

    @property
    def file_name(self) -> str:
        """What the file is called, without any path."""
        return self.metadata.get("file_name", "")

    @property
    def content_type(self) -> str:
        """What it is, by its first bytes."""
        return self.metadata.get("content_type", "application/octet-stream")

    @property
    def id(self) -> str:
        """The random part of its place: the name that nobody can guess."""
        return self.nuid.rpartition(".")[2]

    def marks(self) -> list[int]:
        """The places of every MARK_EVERYth chunk in the stream."""
        text = self.metadata.get("marks", "")
        return [int(mark, 36) for mark in text.split()] if text else []


class Objects:
    """The object store of an installation. Calls raise BusError when NATS is away."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.bucket = f"{bus.prefix}_media"
        self.stream = f"OBJ_{self.bucket}"

    async def put(
        self,
        account: Account,
        chunks: AsyncIterable[bytes],
        *,
        max_bytes: int,
        describe: Describe | None = None,
    ) -> Info:
        """Store bytes as they come, under a random id. Raises TooBig, and BusError.

        `describe` is asked for the object's metadata when all of it is there.
        """
        object_id = secrets.token_urlsafe(16)
        writer = Writer(self._bus, self.stream, self._chunks_at(_nuid_of(account, object_id)))
        async for chunk in even(chunks, max_bytes):
            await writer.write(chunk)
        metadata = dict(describe(writer.head)) if describe else {}
        metadata["marks"] = " ".join(_base36(mark) for mark in writer.marks)
        info = Info(
            name=_name(account, object_id),
            bucket=self.bucket,
            nuid=_nuid_of(account, object_id),
            size=writer.size,
            chunks=writer.count,
            digest=writer.digest(),
            mtime=datetime.now(UTC).isoformat(),
            metadata=metadata,
        )
        await self._describe(info)
        return info

    async def name(self, account: Account, name: str, info: Info) -> None:
        """Let the account find an object by another name too. Raises BusError."""
        await self._describe(msgspec.structs.replace(info, name=_name(account, name)))

    async def get(self, account: Account, name: str) -> Info:
        """The object of the account that was just stored or named. Raises NotFound, BusError."""
        deadline, backoff = time.monotonic() + LAG_S, Backoff(0.02, 0.2)
        while (info := await self.find(account, name)) is None:
            if time.monotonic() > deadline:
                raise NotFound("there is no such file here, or not any more")
            await backoff.wait()
        return info

    async def find(self, account: Account, name: str) -> Info | None:
        """The object that the account has under a name, None when there is none."""
        entry = await self._bus.last(self.stream, self._described_at(_name(account, name)))
        if entry is None:
            return None
        try:
            info = decode(entry.body, Info)
        except CodecError:
            logger.warning("entry %d of %s is no description", entry.sequence, self.stream)
            return None
        if not info.nuid.startswith(f"{subjects.account_key(account)}."):
            logger.warning("entry %d of %s names another's bytes", entry.sequence, self.stream)
            return None
        return info

    async def begins(self, info: Info) -> bool:
        """Whether the oldest of its bytes are still there, which are the first to go."""
        try:
            async for _ in self.read(info, 0, 1):
                break
        except NotFound:
            return False
        return True

    async def read(
        self, info: Info, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop`, a chunk at a time, asked for one by one.

        Raises NotFound when the store does not have them any more.
        """
        stop = info.size if stop is None else min(stop, info.size)
        if start >= stop:
            return
        step = info.options.max_chunk_size
        async with Chunks(
            self._bus, self.stream, self._chunks_at(info.nuid), info.marks()
        ) as chunks:
            await chunks.skip_to(start // step)
            place = start // step * step
            while place < stop:
                chunk = await chunks.next()
                yield chunk[max(start - place, 0) : stop - place]
                place += len(chunk)

    async def _describe(self, info: Info) -> None:
        subject = self._described_at(info.name)
        body = encode(info)

        async def attempt(timeout_s: float) -> int:
            return await self._bus.store(subject, body, timeout_s=timeout_s)

        await stored(attempt)

    def _chunks_at(self, nuid: str) -> str:
        return f"$O.{self.bucket}.C.{nuid}"

    def _described_at(self, name: str) -> str:
        return f"$O.{self.bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


def _name(account: Account, name: str) -> str:
    return f"{subjects.account_key(account)}/{name}"


def _nuid_of(account: Account, object_id: str) -> str:
    return f"{subjects.account_key(account)}.{object_id}"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"
