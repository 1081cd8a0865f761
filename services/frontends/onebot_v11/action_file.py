"""Actions about files: where they can be had, and sending them.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/public.md. Those that the standard
lacks have the names and parameters of go-cqhttp, NapCat, LLOneBot and Lagrange.
"""

from collections.abc import Mapping

import msgspec

from frontends.onebot_v11 import result
from frontends.onebot_v11.action_message import send
from frontends.onebot_v11.call import Call, Handler
from frontends.onebot_v11.link import Kind
from frontends.onebot_v11.params import given, read_choice, read_text
from frontends.onebot_v11.view import Fields
from onebus import action as act
from onebus.errors import Forbidden, NotFound
from onebus.event import Chat, group_chat, private_chat
from onebus.file_type import extension_of
from onebus.segment import File

SOUND_FORMATS = ("mp3", "amr", "wma", "m4a", "spx", "ogg", "wav", "flac")


async def _get_record(call: Call) -> Fields:
    """In another format only where the platform itself has it: nothing is converted here."""
    file = read_text(call.params, "file")
    out_format = read_choice(call.params, "out_format", SOUND_FORMATS)
    found = await call.ask(act.GetMedia("voice", file, out_format))
    known = extension_of(found.content_type)
    if known and known != out_format:
        call.notes.append(f"it was not converted: it is {known}")
    return await _shown(call, "voice", found)


async def _get_image(call: Call) -> Fields:
    file = read_text(call.params, "file")
    return await _shown(call, "image", await call.ask(act.GetMedia("image", file)))


async def _get_file(call: Call) -> Fields:
    file = read_text(call.params, given(call.params, "file_id", "file"))
    return await _shown(call, "file", await call.ask(act.GetMedia("file", file)))


async def _shown(call: Call, kind: Kind, found: act.MediaFile) -> Fields:
    if not found.id:
        return result.media_file(found)
    return result.media_file(found, await _link(call, kind, found.file))


async def _get_file_url(call: Call) -> Fields:
    """Where the platform has it, if that is public; else here."""
    found = await call.ask(act.GetMedia("file", read_text(call.params, "file_id")))
    return {"url": await _link(call, "file", found.file) if found.id else found.url}


async def _link(call: Call, kind: Kind, file: str) -> str:
    links = call.session.links((await call.identity()).record)
    if links is None:
        raise Forbidden("files have no address here: set secret_key, and public_url")
    if not (url := links.url(kind, file)):
        raise NotFound("this names no file")
    return url


async def _upload_group_file(call: Call) -> Fields:
    """`folder` is go-cqhttp's, `folder_id` NapCat's."""
    folder = read_text(call.params, given(call.params, "folder_id", "folder"), "")
    return await _upload(call, group_chat(await call.group()), folder)


async def _upload_private_file(call: Call) -> Fields:
    return await _upload(call, private_chat(await call.user()), "")


async def _upload(call: Call, chat: Chat, folder: str) -> Fields:
    data = {"file": read_text(call.params, "file"), "name": read_text(call.params, "name", "")}
    segments = await call.segments([{"type": "file", "data": data}], chat)
    files = (segment for segment in segments if isinstance(segment, File))
    put = tuple(msgspec.structs.replace(file, folder=folder) for file in files)
    return (await send(call, chat, put))[1]


ACTIONS: Mapping[str, Handler] = {
    "get_record": _get_record,
    "get_image": _get_image,
    "get_file": _get_file,
    "get_group_file_url": _get_file_url,
    "get_private_file_url": _get_file_url,
    "upload_group_file": _upload_group_file,
    "upload_private_file": _upload_private_file,
}
