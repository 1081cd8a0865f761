"""The words of a message with what they mean: mentions, links, custom emoji. Pure.

Offsets of entities count UTF-16 units. Source: https://core.telegram.org/bots/api#messageentity.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from onebus import segment as seg
from onebus.ids import UserId
from onebus.markup import Piece, Span, encode_spans, join, split_spans
from onebus.segment import Segment
from onebus.text import size

_CUSTOM_EMOJI = re.compile(r"[0-9]{10,24}")
_PERSON = re.compile(r"[0-9]{1,18}")


class Mark(Struct, frozen=True):
    """What a stretch of text is; one of the fields besides `type` is set."""

    type: str
    user: str = ""
    url: str = ""
    custom_emoji_id: str = ""


class Words(Struct, frozen=True):
    """A text, and its marks in code points."""

    text: str
    marks: tuple[Span, ...] = ()

    @classmethod
    def joined(cls, parts: Iterable["Words"]) -> "Words":
        """Several as one."""
        text, marks = "", list[Span]()
        for part in parts:
            shift = len(text)
            marks += (Span(m.start + shift, m.end + shift, m.value) for m in part.marks)
            text += part.text
        return cls(text, tuple(marks))

    def fits(self, limit_units: int) -> bool:
        """Whether it is short enough, in UTF-16 units."""
        return size(self.text, "utf16") <= limit_units


def split_words(words: Words, limit_units: int) -> list[Words]:
    """Parts that fit, in order; a mention is not torn."""
    parts = split_spans(
        (words.text, list(words.marks)), limit_units, "utf16", lambda mark: mark.type != "text_link"
    )
    return [Words(text, tuple(marks)) for text, marks in parts]


def encode_words(words: Words, name: str) -> dict[str, Any]:
    """Words → the parameters `text` and `entities`, or `caption` and `caption_entities`."""
    if not words.marks:
        return {name: words.text}
    entities = [
        {"type": span.value.type, "offset": span.start, "length": span.end - span.start}
        | _target(span)
        for span in encode_spans(words.text, words.marks, "utf16")
    ]
    return {name: words.text, "entities" if name == "text" else f"{name}_entities": entities}


def _target(span: Span) -> dict[str, Any]:
    mark: Mark = span.value
    if mark.user:
        return {"user": {"id": int(mark.user), "is_bot": False, "first_name": mark.user}}
    return {"url": mark.url} if mark.url else {"custom_emoji_id": mark.custom_emoji_id}


class Writer:
    """Takes segments as words; `names` has what people are called."""

    def __init__(self, names: Mapping[UserId, str]) -> None:
        self._names = names
        self._pieces: list[Piece] = []

    def write(self, text: str, mark: Mark | None = None) -> None:
        """Add a text as it is."""
        self._pieces.append(Piece(text, (mark,) if mark else ()))

    def add(self, segment: Segment) -> bool:
        """Add a segment in words; False when Telegram has no way to show it as what it is."""
        match segment:
            case seg.Text(text=text):
                self.write(text)
            case seg.Mention(user=str() as user):
                self._mention(user, segment.name)
            case seg.Emoji(id=emoji) if _CUSTOM_EMOJI.fullmatch(emoji):
                self.write(segment.name or "🙂", Mark("custom_emoji", custom_emoji_id=emoji))
            case seg.Link():
                self._link(segment)
            case seg.Reply():
                pass  # a parameter of the call
            case _:
                self.write(_READABLE[type(segment)](segment))
                return False
        return True

    def taken(self) -> Words | None:
        """Everything so far, and begin anew; None when there is nothing to read."""
        text, marks = join(self._pieces)
        self._pieces = []
        return Words(text, tuple(marks)) if text.strip() else None

    def _mention(self, user: UserId, name: str) -> None:
        """A person by their number, so that it works without a username; others by their name."""
        if not _PERSON.fullmatch(user):
            self.write(user if user.startswith("@") else f"@{name or user}")
            return
        called = name.removeprefix("@") or self._names.get(user, "") or user
        self.write(f"@{called}", Mark("text_mention", user=user))

    def _link(self, link: seg.Link) -> None:
        """The title leads there. Telegram adds a preview by itself."""
        if link.title and link.url.startswith(("http://", "https://")):
            self.write(link.title, Mark("text_link", url=link.url))
        else:
            self.write(_line(link.title, link.url))
        if link.content:
            self.write(f"\n{link.content}")


def _line(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _emoji(segment: seg.Emoji) -> str:
    """A platform's own face has no picture elsewhere; a name that is an emoji itself is one."""
    if segment.name and not segment.name.isascii():
        return segment.name
    return f"[{segment.name}]" if segment.name else f"[face {segment.id}]"


def _music(segment: seg.Music) -> str:
    song = segment.url or segment.audio or f"{segment.kind} {segment.id}"
    return _line("[music]", segment.title, segment.content, song)


_READABLE: Mapping[type, Callable[[Any], str]] = {
    seg.Mention: lambda _: "@all",
    seg.Emoji: _emoji,
    seg.Contact: lambda segment: f"[{segment.kind} {segment.id}]",
    seg.Music: _music,
    seg.Card: lambda segment: segment.content,
    seg.Poke: lambda segment: f"[{segment.name or 'poke'}]",
    seg.Rps: lambda segment: f"[{_line('rock paper scissors', segment.result)}]",
    seg.Anonymous: lambda _: "",
    seg.Shake: lambda _: "[shake]",
    seg.Unknown: lambda segment: f"[{segment.kind}]",
    seg.Location: lambda segment: f"[{_line('location', segment.title, segment.content)}]",
    seg.Dice: lambda segment: f"[{_line('dice', segment.result)}]",
    seg.Forward: lambda segment: f"[forwarded messages {segment.id}]",
}
"""What is shown in words; the last three only where nothing but words can stand."""
