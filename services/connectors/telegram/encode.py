"""Segments → calls of the Bot API that say them. Pure.

Sources: https://core.telegram.org/bots/api#sendmessage and the methods after it, #messageentity.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

from msgspec import Struct

from connectors.telegram.chats import encode_message
from connectors.telegram.files import FileKind, decode_reference
from connectors.telegram.words import Words, encode_words, split_words
from connectors.telegram.words import Writer as WordWriter
from onebus import segment as seg
from onebus.errors import BadParams, UnsupportedAction
from onebus.ids import MessageId, UserId
from onebus.segment import Segment, Segments

MAX_TEXT_UNITS = 4096
MAX_CAPTION_UNITS = 1024
MAX_ALBUM = 10
MAX_PHOTO_BYTES = 10 << 20
MAX_FORWARD_DEPTH = 3
MAX_DRAFTS = 20
"""Telegram takes no more in a minute in a group, so a longer message could only go out in part."""

MediaSegment: TypeAlias = seg.Image | seg.Voice | seg.Video | seg.File
_PHOTOS = frozenset({"image/jpeg", "image/png", "image/webp"})
_VOICES = frozenset({"audio/ogg", "audio/mpeg", "audio/mp4", "audio/x-m4a", "application/ogg"})
_METHODS: Mapping[FileKind, str] = {
    "photo": "sendPhoto",
    "animation": "sendAnimation",
    "video": "sendVideo",
    "video_note": "sendVideoNote",
    "voice": "sendVoice",
    "audio": "sendAudio",
    "document": "sendDocument",
    "sticker": "sendSticker",
}
_WITHOUT_CAPTION = ("video_note", "sticker")
_CAPTION_ABOVE = ("photo", "animation", "video")
_ALBUMS: Mapping[str, str] = {
    "photo": "seen",
    "video": "seen",
    "document": "document",
    "audio": "audio",
}
"""Which kinds may stand together in an album."""


class Upload(Struct, frozen=True):
    """Bytes that go along with a call, in the form field `field`, and what they are."""

    field: str
    content_type: str
    size_bytes: int


class Draft(Struct, frozen=True):
    """A call that makes one message, or one album. `files`: the fields that go along."""

    method: str
    params: dict[str, Any]
    files: tuple[str, ...] = ()


class Encoded(Struct, frozen=True):
    """The calls that a message becomes, in order; `degraded` names what went out as text."""

    drafts: tuple[Draft, ...]
    degraded: tuple[str, ...] = ()


class _Medium(Struct, frozen=True):
    kind: FileKind
    file: str
    caption: Words | None = None
    above: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        prefix = "attach://"
        return (self.file.removeprefix(prefix),) if self.file.startswith(prefix) else ()


_Item: TypeAlias = Words | _Medium | Draft


def media_in(segments: Iterable[Segment], depth: int = 0) -> Iterator[MediaSegment]:
    """The files of a message whose bytes Telegram does not have yet, those in forwards included."""
    for segment in segments:
        if isinstance(segment, seg.Forward) and depth < MAX_FORWARD_DEPTH:
            for node in segment.nodes:
                yield from media_in(node.content, depth + 1)
        elif isinstance(segment, MediaSegment) and decode_reference(segment.file) is None:
            yield segment


def encode_segments(
    segments: Segments,
    uploads: Mapping[Segment, Upload] = {},
    names: Mapping[UserId, str] = {},
) -> Encoded:
    """A message → the calls that send it. Nothing is dropped silently.

    `uploads` has what `media_in` found, `names` who is who. Words go below (or above) the first
    picture if they fit there. Raises BadParams for an empty message,
    or one that would be too many.
    """
    writer = _Writer(uploads, names)
    for segment in segments:
        writer.add(segment)
    drafts = list(_drafts(_arranged(writer.finished())))
    if not drafts:
        raise BadParams("the message is empty")
    if len(drafts) > MAX_DRAFTS:
        raise BadParams(f"it would be {len(drafts)} messages; {MAX_DRAFTS} are the most")
    drafts[0] = _answering(drafts[0], segments)
    return Encoded(tuple(drafts), tuple(dict.fromkeys(writer.degraded)))


def file_kind(segment: MediaSegment, upload: Upload | None) -> FileKind:
    """As what a file is sent: what it is at Telegram already, else what its bytes are."""
    known = decode_reference(segment.file)
    if known and known.kind:
        return known.kind
    content_type = upload.content_type if upload else ""
    match segment:
        case seg.Image() if content_type == "image/gif":
            return "animation"
        case seg.Image():
            fits = upload is None or upload.size_bytes <= MAX_PHOTO_BYTES
            return "photo" if fits and (not upload or content_type in _PHOTOS) else "document"
        case seg.Voice():
            return "voice" if not upload or content_type in _VOICES else "document"
        case seg.Video():
            return "video" if not upload or content_type == "video/mp4" else "document"
    return "document"


class _Writer:
    """Takes segments one after the other; `finished` has the items in their order."""

    def __init__(
        self, uploads: Mapping[Segment, Upload], names: Mapping[UserId, str], depth: int = 0
    ) -> None:
        self.degraded: list[str] = []
        self._uploads = uploads
        self._items: list[_Item] = []
        self._words = WordWriter(names)
        self._depth = depth

    def add(self, segment: Segment) -> None:
        """One more segment."""
        match segment:
            case seg.Image() | seg.Voice() | seg.Video() | seg.File():
                self._item(self._medium(segment))
            case seg.Emoji(id=file) if known := decode_reference(file):
                if known.kind == "sticker":
                    self._item(_Medium("sticker", known.file_id))
                else:
                    self._text(segment)
            case seg.Location():
                self._item(_location(segment))
            case seg.Dice():
                self._item(Draft("sendDice", {}))
            case seg.Forward():
                self._forward(segment)
            case _:
                self._text(segment)

    def finished(self) -> list[_Item]:
        """Everything so far."""
        if words := self._words.taken():
            self._items.append(words)
        return self._items

    def _text(self, segment: Segment) -> None:
        if not self._words.add(segment):
            self.degraded.append(str(segment.__struct_config__.tag))

    def _item(self, item: _Item) -> None:
        self.finished()
        self._items.append(item)

    def _medium(self, segment: MediaSegment) -> _Medium:
        upload, known = self._uploads.get(segment), decode_reference(segment.file)
        if known is None and upload is None:
            raise BadParams("a file of the message was not given")
        kind = file_kind(segment, None if known else upload)
        file = known.file_id if known else f"attach://{upload.field}" if upload else ""
        return _Medium(kind, file)

    def _forward(self, forward: seg.Forward) -> None:
        """The messages one after the other, each with the name of who wrote it."""
        if self._depth >= MAX_FORWARD_DEPTH:
            raise BadParams(f"forwarded messages are nested deeper than {MAX_FORWARD_DEPTH}")
        self.degraded.append("forward")
        self._words.write("[forwarded messages]\n" if forward.nodes else f"[{forward.id}]\n")
        self._depth += 1
        for node in forward.nodes:
            self._words.write(f"{node.name or node.user}: ")
            for segment in node.content:
                self.add(segment)
            self._words.write("\n")
        self._depth -= 1


def _location(segment: seg.Location) -> Draft:
    place = {"latitude": segment.latitude, "longitude": segment.longitude}
    if not segment.title:
        return Draft("sendLocation", place)
    # An address is required; the title serves where there is none.
    about = {"title": segment.title, "address": segment.content or segment.title}
    return Draft("sendVenue", place | about)


def _arranged(items: Sequence[_Item]) -> list[_Item]:
    """The words as the caption of the first file, where all of them fit there."""
    whole = Words.joined(item for item in items if isinstance(item, Words))
    carrier = next((item for item in items if _takes_caption(item)), None)
    if not isinstance(carrier, _Medium) or not whole.fits(MAX_CAPTION_UNITS):
        return list(items)
    above = isinstance(items[0], Words) and carrier.kind in _CAPTION_ABOVE
    titled = _Medium(carrier.kind, carrier.file, whole, above)
    rest = (item for item in items if not isinstance(item, Words))
    return [titled if item is carrier else item for item in rest]


def _takes_caption(item: _Item) -> bool:
    return isinstance(item, _Medium) and item.kind not in _WITHOUT_CAPTION


def _drafts(items: Iterable[_Item]) -> Iterator[Draft]:
    """The items as calls; files of a sort that stand together are an album."""
    for sort, group in groupby(items, _album_sort):
        together = list(group)
        if sort is None:
            for item in together:
                yield from _single(item)
            continue
        media = [item for item in together if isinstance(item, _Medium)]
        for start in range(0, len(media), MAX_ALBUM):
            album = media[start : start + MAX_ALBUM]
            yield _album(album) if len(album) > 1 else _medium(album[0])


def _album_sort(item: _Item) -> str | None:
    return _ALBUMS.get(item.kind) if isinstance(item, _Medium) else None


def _single(item: _Item) -> Iterator[Draft]:
    match item:
        case Draft():
            yield item
        case _Medium():
            yield _medium(item)
        case Words():
            for part in split_words(item, MAX_TEXT_UNITS):
                yield Draft("sendMessage", encode_words(part, "text"))


def _medium(medium: _Medium) -> Draft:
    params = {medium.kind: medium.file} | _caption(medium)
    return Draft(_METHODS[medium.kind], params, medium.files)


def _album(media: Sequence[_Medium]) -> Draft:
    entries = [{"type": one.kind, "media": one.file} | _caption(one) for one in media]
    files = tuple(field for one in media for field in one.files)
    return Draft("sendMediaGroup", {"media": entries}, files)


def _caption(medium: _Medium) -> dict[str, Any]:
    if medium.caption is None or not medium.caption.text.strip():
        return {}
    above = {"show_caption_above_media": True} if medium.above else {}
    return encode_words(medium.caption, "caption") | above


def _answering(draft: Draft, segments: Segments) -> Draft:
    """The first call with what the message answers; it goes out even if that is gone."""
    for segment in segments:
        if isinstance(segment, seg.Reply):
            message = encode_message(segment.message)
            reply = {"message_id": message, "allow_sending_without_reply": True}
            return Draft(draft.method, draft.params | {"reply_parameters": reply}, draft.files)
    return draft


def encode_edit(message: MessageId, segments: Segments, *, captioned: bool) -> Draft:
    """New words for a message. Raises UnsupportedAction for anything but words.

    `captioned`: the message is a file, whose words are its caption. Telegram would let its file be
    replaced too, but not by one that has to be uploaded first in every case.
    Sources: https://core.telegram.org/bots/api#editmessagetext and #editmessagecaption
    """
    words = [part for part in segments if not isinstance(part, seg.Reply)]
    if any(isinstance(part, MediaSegment) for part in words):
        raise UnsupportedAction("Telegram: only the words of a message can be edited here")
    writer = WordWriter({})
    for part in words:
        writer.add(part)
    limit = MAX_CAPTION_UNITS if captioned else MAX_TEXT_UNITS
    if not (whole := writer.taken()) or not whole.fits(limit):
        raise BadParams(f"the new words must be 1 to {limit} UTF-16 units")
    where = {"message_id": encode_message(message)}
    if captioned:
        return Draft("editMessageCaption", where | encode_words(whole, "caption"))
    return Draft("editMessageText", where | encode_words(whole, "text"))
