"""Messages out: what has to be uploaded, the calls in order, and what the log is told of it."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connectors.telegram.answers import Migrated
from connectors.telegram.api import BotApi, Part
from connectors.telegram.chats import Place, encode_place
from connectors.telegram.decode import Context, decode_sent
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

MAX_MIGRATED = 1_000


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
        self._migrated: OrderedDict[int | str, int] = OrderedDict()

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
            parts[field] = Part(field, media.name, media.content_type, media.chunks)
        return Files(uploads, parts)

    async def _call(
        self, place: Place, draft: Draft, files: Files, context: Context
    ) -> list[MessageSent]:
        parts = [files.parts[field] for field in dict.fromkeys(draft.files)]
        place = self.present(place)
        try:
            answer = await self._api.send(draft.method, place.params() | draft.params, parts)
        except Migrated as moved:
            place = self.moved(place, moved)
            answer = await self._api.send(draft.method, place.params() | draft.params, parts)
        messages = answer if isinstance(answer, list) else [answer]
        try:
            return [decode_sent(message, context) for message in messages]
        except (CodecError, AttributeError) as error:
            raise OutcomeUnknown("Telegram took it, and what it says of it is new to us") from error

    def present(self, place: Place) -> Place:
        """Where a group is now that may have become a supergroup."""
        return replace(place, chat=self._migrated.get(place.chat, place.chat))

    def moved(self, place: Place, moved: Migrated) -> Place:
        """Remember that a group has another id.

        Source: https://core.telegram.org/bots/api#responseparameters, migrate_to_chat_id
        """
        self._kit.logger.info("the group %s is now the supergroup %s", place.chat, moved.to)
        self._migrated[place.chat] = moved.to
        if len(self._migrated) > MAX_MIGRATED:
            self._migrated.popitem(last=False)
        return replace(place, chat=moved.to)


def _parts(sent: Sequence[MessageSent]) -> list[MessageSent]:
    """Each of several messages lists all of them."""
    if len(sent) < 2:
        return list(sent)
    every = tuple(MessageId(one.message) for one in sent)
    return [replace(one, parts=every) for one in sent]
