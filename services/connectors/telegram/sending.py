"""Messages out: what has to be uploaded, the calls in order, and what the log is told of it."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connectors.telegram.api import BotApi, Part
from connectors.telegram.chats import Place, encode_place
from connectors.telegram.decode import Context, convert, decode_sent
from connectors.telegram.encode import Draft, Upload, encode_segments, media_in
from connectors.telegram.known import Known
from onebus import action as act
from onebus.action import Sent
from onebus.codec import CodecError
from onebus.connector import Kit
from onebus.errors import ActionError, OutcomeUnknown
from onebus.event import MessageSent
from onebus.ids import ChatId, MessageId
from onebus.segment import Segment, Segments


class Files(Struct, frozen=True):
    """The files of a message: what each is, and the parts that carry them."""

    uploads: Mapping[Segment, Upload]
    parts: Mapping[str, Part]


class Sender:
    """Sends for one account."""

    def __init__(self, kit: Kit, api: BotApi, known: Known) -> None:
        self._kit = kit
        self._api = api
        self._known = known

    async def send(self, action: act.SendMessage) -> Sent:
        """Send a message, as several where it must be. Raises ActionError.

        When some of it went out and the next call failed, that is logged and the error is
        OutcomeUnknown: sending it all again would repeat the beginning.
        """
        place = encode_place(ChatId(action.chat.id))
        files = await self._files(action.segments)
        encoded = encode_segments(action.segments, files.uploads, self._known.names)
        context = Context(self._kit.account, await self._known.me(), self._known.usernames)
        sent: list[MessageSent] = []
        for draft in encoded.drafts:
            try:
                sent += await self._call(place, draft, files, context)
            except ActionError as error:
                if not sent:
                    raise
                await self._kit.append_sent(_parts(sent))
                raise OutcomeUnknown(f"a part of it was sent, then: {error}") from error
        return await self._kit.append_sent(_parts(sent), degraded=encoded.degraded)

    async def _files(self, segments: Segments) -> Files:
        """Everything is fetched before anything is sent. Raises ActionError."""
        uploads: dict[Segment, Upload] = {}
        parts: dict[str, Part] = {}
        for segment in media_in(segments):
            if segment in uploads:
                continue
            media = await self._kit.media.open(segment)
            field = f"file{len(parts)}"
            uploads[segment] = Upload(field, media.content_type, media.size_bytes)
            parts[field] = Part(field, media)
        return Files(uploads, parts)

    async def _call(
        self, place: Place, draft: Draft, files: Files, context: Context
    ) -> list[MessageSent]:
        parts = [files.parts[field] for field in dict.fromkeys(draft.files)]
        answer = await self._api.send(draft.method, place.params() | draft.params, parts)
        messages = answer if isinstance(answer, list) else [answer]
        try:
            return [decode_sent(convert(message, dict), context) for message in messages]
        except CodecError as error:
            raise OutcomeUnknown("Telegram took it, and what it says of it is new to us") from error


def _parts(sent: Sequence[MessageSent]) -> list[MessageSent]:
    """Each of several messages lists all of them."""
    if len(sent) < 2:
        return list(sent)
    every = tuple(MessageId(one.message) for one in sent)
    return [replace(one, parts=every) for one in sent]
