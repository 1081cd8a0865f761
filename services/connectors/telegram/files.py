"""How a file of Telegram is called here: `{file_id}.{kind}`, so that it can be sent again.

A file_id says nothing of what it is of to somebody who may not look inside, and Telegram takes it
only in the method of its own kind. Source: https://core.telegram.org/bots/api#sending-files.
"""

import re
from typing import Literal, TypeAlias, get_args

from msgspec import Struct

FileKind: TypeAlias = Literal[
    "photo", "animation", "video", "video_note", "voice", "audio", "document", "sticker"
]
KINDS: tuple[FileKind, ...] = get_args(FileKind)

_REFERENCE = re.compile(r"([A-Za-z0-9_-]{16,512})(?:\.([a-z_]+))?")


class FileReference(Struct, frozen=True):
    """A file that Telegram has; `kind` None: the bot gave a bare file_id."""

    file_id: str
    kind: FileKind | None = None


def encode_reference(file_id: str, kind: FileKind) -> str:
    """What a segment's `file` says."""
    return f"{file_id}.{kind}"


def decode_reference(file: str) -> FileReference | None:
    """A segment's `file` → the file of Telegram that it names; None when it names none."""
    match = _REFERENCE.fullmatch(file)
    if match is None:
        return None
    file_id, given = match.groups()
    for kind in KINDS:
        if kind == given:
            return FileReference(file_id, kind)
    return None if given else FileReference(file_id)
