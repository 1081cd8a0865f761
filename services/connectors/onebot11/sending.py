"""Messages on their way to the upstream, and what the log says of them.

A file of the media store goes as base64, which every implementation takes; an address goes as it
is, and the upstream fetches it. A forward of nodes is an action of its own, and so a part of its
own when it stands among other segments.
"""

import base64
import uuid
from itertools import groupby
from typing import Any, get_args

from msgspec.structs import replace

from connectors.onebot11.answers import sent_id
from connectors.onebot11.calls import Calls, place
from connectors.onebot11.encode_message import encode_message, encode_nodes
from connectors.onebot11.fields import Payload
from onebus.action import Sent
from onebus.connector import Kit
from onebus.errors import OutcomeUnknown, UnsupportedAction
from onebus.event import Chat, MessageSent, User
from onebus.ids import MessageId, UserId
from onebus.media import SCHEME
from onebus.parts import send_parts
from onebus.segment import File, Forward, Image, Node, Segment, Segments, Video, Voice

SENDS = tuple(str(kind.__struct_config__.tag) for kind in get_args(Segment))
"""All of them: what it makes of one the upstream knows."""
MEDIA_BYTES = 16 << 20
"""Of one file: as base64 in a frame it takes five times that in memory, here and there."""
UPLOADERS = ("Lagrange", "go-cqhttp")
"""Who takes files by an action alone, and not as a segment."""


class Sending:
    """What one account sends. `me` is who it is, `app` what it runs on."""

    def __init__(self, kit: Kit, calls: Calls) -> None:
        self._kit = kit
        self._calls = calls
        self.me = User(UserId(""))
        self.app = ""

    async def send(self, chat: Chat, segments: Segments) -> Sent:
        """Send a message, and log it; forwards in it are messages of their own.

        Raises ActionError.
        """
        forwards: dict[MessageId, str] = {}

        async def send(draft: Segments) -> MessageId:
            data = await self._call(chat, await self._with_bytes(draft))
            message = sent_id(data)
            if message is None:
                raise OutcomeUnknown("the upstream took it, but gave it no message_id")
            forwards[message] = _forward_id(data)
            return message

        def event(draft: Segments, message: MessageId) -> MessageSent:
            return MessageSent(
                account=self._kit.account,
                time_ms=self._kit.now_ms(),
                chat=chat,
                message=message,
                sender=self.me,
                segments=_identified(draft, forwards[message]),
            )

        return await send_parts(self._kit, _drafts(segments), send, event)

    async def _call(self, chat: Chat, draft: Segments) -> Any:
        match draft:
            case (Forward(nodes=nodes),) if nodes:
                return await self._forward(chat, nodes)
            case (File() as file,) if file.folder or self.app.startswith(UPLOADERS):
                return await self._upload(chat, file)
        message = encode_message(draft)
        return await self._calls.do(f"send_{chat.kind}_msg", **place(chat), message=message)

    async def _forward(self, chat: Chat, nodes: tuple[Node, ...]) -> Any:
        """By go-cqhttp's actions; who lacks them has the standard's, a message of nodes."""
        encoded = encode_nodes(nodes)
        where = place(chat)
        try:
            return await self._calls.do(f"send_{chat.kind}_forward_msg", **where, messages=encoded)
        except UnsupportedAction:
            return await self._calls.do(f"send_{chat.kind}_msg", **where, message=encoded)

    async def _upload(self, chat: Chat, file: File) -> Any:
        """go-cqhttp's actions, which answer no `message_id`: one that nobody else knows."""
        what = {"file": file.file, "name": file.name}
        if chat.kind == "group" and file.folder:
            what |= {"folder": file.folder, "folder_id": file.folder}
        data = await self._calls.do(f"upload_{chat.kind}_file", **place(chat), **what)
        return data if sent_id(data) else {"message_id": f"upload-{uuid.uuid4().hex}"}

    async def _with_bytes(self, segments: Segments) -> Segments:
        """Files of the media store as base64. Raises what `kit.media.open` raises."""
        return tuple([await self._with_its_bytes(segment) for segment in segments])

    async def _with_its_bytes(self, segment: Segment) -> Segment:
        if isinstance(segment, Forward):
            nodes = [
                replace(node, content=await self._with_bytes(node.content))
                for node in segment.nodes
            ]
            return replace(segment, nodes=tuple(nodes))
        if not isinstance(segment, Image | Voice | Video | File):
            return segment
        if not segment.file.startswith(SCHEME):
            return segment
        media = await self._kit.media.open(segment)
        body = await media.read(MEDIA_BYTES)
        name = segment.name or media.name
        return replace(segment, file=f"base64://{base64.b64encode(body).decode()}", name=name)


def _drafts(segments: Segments) -> list[Segments]:
    """Segments in messages: each forward of nodes is one, and what stands between them."""
    drafts: list[Segments] = []
    for alone, run in groupby(segments, _is_forward):
        found = tuple(run)
        drafts += [(part,) for part in found] if alone else [found]
    return drafts


def _is_forward(segment: Segment) -> bool:
    """Whether it is an action of its own; one that only names a forward is a segment."""
    return isinstance(segment, Forward) and bool(segment.nodes)


def _forward_id(data: object) -> str:
    """`forward_id` is go-cqhttp's name for what `get_forward_msg` takes, `res_id` NapCat's."""
    payload = Payload(data)
    return payload.text("forward_id") or payload.text("res_id")


def _identified(draft: Segments, forward_id: str) -> Segments:
    match draft:
        case (Forward(nodes=nodes) as forward,) if nodes:
            return (replace(forward, id=forward_id),)
    return draft
