"""The parts that a message is made of, for every platform and every bot standard.

A tagged union: on the wire each segment carries `type`. Native ids are strings. What a platform
or a bot sends and no segment here expresses is kept as `Unknown`, never dropped silently.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from onebus.ids import ChatId, MessageId, UserId


class _Segment(Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """Base of all segments."""


class Text(_Segment, frozen=True, tag="text"):
    """Plain text; never contains markup of a platform or of a bot standard."""

    text: str


class Mention(_Segment, frozen=True, tag="mention"):
    """A call to one user, or to everyone in the group when `user` is None."""

    user: UserId | None
    name: str = ""


class Reply(_Segment, frozen=True, tag="reply"):
    """The message that this one answers, in the same chat."""

    message: MessageId


class _Media(_Segment, frozen=True):
    """A file by reference; its bytes never travel inside a segment.

    `file` is the name or reference as the sender gave it (URL, `base64://…`, platform's media id),
    `url` where the bytes can be had now, if they can. `cache`, `proxy` and `timeout_s` are what a
    bot may say about fetching a URL that it sends.
    """

    file: str
    url: str = ""
    name: str = ""
    size_bytes: int | None = None
    cache: bool = True
    proxy: bool = True
    timeout_s: float | None = None


class Image(_Media, frozen=True, tag="image"):
    """A picture; `flash` pictures vanish after a look."""

    flash: bool = False


class Voice(_Media, frozen=True, tag="voice"):
    """A voice message; `magic` asks for a changed voice."""

    magic: bool = False


class Video(_Media, frozen=True, tag="video"):
    """A short video."""


class File(_Media, frozen=True, tag="file"):
    """Any other file.

    `folder`: where in a group's store it goes, on a platform that has such.
    """

    folder: str = ""


class Emoji(_Segment, frozen=True, tag="emoji"):
    """A face or sticker of the platform, by the platform's id."""

    id: str
    name: str = ""


class Location(_Segment, frozen=True, tag="location"):
    """A place; degrees in WGS 84 as the platform gives them."""

    latitude: float
    longitude: float
    title: str = ""
    content: str = ""


class Contact(_Segment, frozen=True, tag="contact"):
    """A recommended user or group."""

    kind: Literal["user", "group"]
    id: UserId | ChatId


class Link(_Segment, frozen=True, tag="link"):
    """A shared page."""

    url: str
    title: str = ""
    content: str = ""
    image: str = ""


class Music(_Segment, frozen=True, tag="music"):
    """A song: by `id` on the service named by `kind`, or `kind` "custom" with its own URLs."""

    kind: str
    id: str = ""
    url: str = ""
    audio: str = ""
    title: str = ""
    content: str = ""
    image: str = ""


class Node(Struct, frozen=True, omit_defaults=True):
    """One message inside a forward, written out by its author.

    `message` also refers to it, where it is of the chat that the forward is in.
    """

    message: MessageId | None = None
    user: UserId = UserId("")
    name: str = ""
    time_s: int | None = None
    content: "tuple[Segment, ...]" = ()


class Forward(_Segment, frozen=True, tag="forward"):
    """Several messages in one: by the platform's `id` when received, by `nodes` when sent."""

    id: str = ""
    nodes: tuple[Node, ...] = ()


class Card(_Segment, frozen=True, tag="card"):
    """A rich card in the platform's own notation; `content` is its source text."""

    format: Literal["json", "xml", "markdown"]
    content: str


class Poke(_Segment, frozen=True, tag="poke"):
    """A nudge as part of a message; `kind` and `id` choose its look."""

    kind: str = ""
    id: str = ""
    name: str = ""


class Dice(_Segment, frozen=True, tag="dice"):
    """A thrown die."""

    result: str = ""


class Rps(_Segment, frozen=True, tag="rps"):
    """Rock, paper, scissors."""

    result: str = ""


class Shake(_Segment, frozen=True, tag="shake"):
    """A window shake."""


class Anonymous(_Segment, frozen=True, tag="anonymous"):
    """Asks for the message to be sent anonymously; `ignore`: send it openly if that fails."""

    ignore: bool = False


class Unknown(_Segment, frozen=True, tag="unknown"):
    """A segment that the model has no word for: its name and data, kept as they came."""

    kind: str
    data: dict[str, Any] = {}


Segment: TypeAlias = (
    Text
    | Mention
    | Reply
    | Image
    | Voice
    | Video
    | File
    | Emoji
    | Location
    | Contact
    | Link
    | Music
    | Forward
    | Card
    | Poke
    | Dice
    | Rps
    | Shake
    | Anonymous
    | Unknown
)
Segments: TypeAlias = tuple[Segment, ...]


def plain_text(segments: Segments) -> str:
    """The text of a message without its other segments."""
    return "".join(segment.text for segment in segments if isinstance(segment, Text))
