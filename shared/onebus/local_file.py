"""Files of this machine that a bot may name: only below configured folders, and only plain ones.

The way from the folder to the file is walked step by step without following a link, so that nobody
can put one in its place between a look and the opening.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from onebus.errors import BadParams, Forbidden

PIECE_BYTES = 128 << 10
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalFile(Struct, frozen=True):
    """An open file."""

    descriptor: int
    name: str
    size_bytes: int

    async def chunks(self) -> AsyncIterator[bytes]:
        """What it holds, read beside the event loop."""
        while piece := await asyncio.to_thread(os.read, self.descriptor, PIECE_BYTES):
            yield piece


def path_of(text: str) -> str:
    """A `file://` URL or a bare path → the path. Raises BadParams."""
    if not text.lower().startswith("file:"):
        return text
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise BadParams("a file:// URL names a file of this machine, so it has no host")
    return unquote(parts.path)


@asynccontextmanager
async def open_local(
    text: str, roots: Sequence[Path], *, max_bytes: int
) -> AsyncIterator[LocalFile]:
    """Open a file below one of the roots. Raises Forbidden, and BadParams when it is too large."""
    descriptor = await asyncio.to_thread(_open, path_of(text), roots)
    try:
        found = os.fstat(descriptor)
        if found.st_size > max_bytes:
            raise BadParams(f"the file is larger than the {max_bytes:,} bytes that are taken")
        yield LocalFile(descriptor, Path(path_of(text)).name, found.st_size)
    finally:
        os.close(descriptor)


def _open(path: str, roots: Sequence[Path]) -> int:
    """One error for all that is wrong: what there is outside is nobody's business."""
    for root in roots:
        parts = _below(path, root)
        if parts is None:
            continue
        try:
            return _walk(os.path.realpath(root), parts)
        except (OSError, ValueError):
            break
    if not roots:
        raise Forbidden("files of this machine are not read: media.roots names no folder")
    raise Forbidden("this is no plain file below a folder of media.roots")


def _below(path: str, root: Path) -> list[str] | None:
    """The steps from the root to the file; None when it is not below."""
    base = str(root).rstrip("/") + "/"
    if "\0" in path or not path.startswith(base):
        return None
    parts = [part for part in path.removeprefix(base).split("/") if part not in ("", ".")]
    return parts if parts and ".." not in parts else None


def _walk(root: str, parts: Sequence[str]) -> int:
    folder = os.open(root, _FOLDER)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        descriptor = os.open(parts[-1], _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError
    return descriptor
