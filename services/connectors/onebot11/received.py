"""Files that were received: the upstream's address of them, or their bytes.

`get_image` and `get_record` are the standard's, `get_file` NapCat's, LLOneBot's and ours. All of
them may answer a path on the upstream's machine, which nobody here can read; with
`enableLocalFile2Url` NapCat gives the bytes along.
"""

import base64
import binascii
from collections.abc import AsyncIterator

from connectors.onebot11.calls import Calls
from connectors.onebot11.fields import Payload
from onebus import action as act
from onebus.errors import NotFound, PlatformUnavailable
from onebus.media import AccountMedia

CHUNK = 1 << 18


async def get_received(calls: Calls, media: AccountMedia, action: act.GetMedia) -> act.MediaFile:
    """Where a file is. Raises NotFound when the upstream has it on its own disk alone."""
    payload = Payload(await _ask(calls, action))
    url, name = payload.text("url"), payload.text("file_name")
    if url.startswith(("http://", "https://")):
        size = payload.number("file_size", -1)
        return act.MediaFile(action.file, url, name=name, size_bytes=size if size >= 0 else None)
    if encoded := payload.text("base64"):
        return await media.put(_decoded(encoded), name=name)
    raise NotFound(
        "the upstream has it on its own disk and gives no address: NapCat gives the bytes with"
        " enableLocalFile2Url"
    )


async def _ask(calls: Calls, action: act.GetMedia) -> object:
    if action.kind == "image":
        return await calls.read("get_image", file=action.file)
    if action.kind == "voice":
        form = {"out_format": action.out_format} if action.out_format else {}
        return await calls.read("get_record", file=action.file, **form)
    return await calls.read("get_file", file=action.file, file_id=action.file)


async def _decoded(encoded: str) -> AsyncIterator[bytes]:
    """Piece by piece: the whole is there once already."""
    for start in range(0, len(encoded), CHUNK):
        try:
            yield base64.b64decode(encoded[start : start + CHUNK], validate=True)
        except binascii.Error:
            raise PlatformUnavailable("the upstream's base64 is none") from None
