"""What actions answer.

Native ids as everywhere; `onebus.action` says which action answers what.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from onebus.event import Membership, User
from onebus.ids import ChatId, MessageId
from onebus.segment import Segments

HonorKind: TypeAlias = Literal["talkative", "performer", "legend", "strong_newbie", "emotion"]


class Sent(Struct, frozen=True, omit_defaults=True):
    """A message went out: its native id, and its number in the log.

    `sequence` is None when the platform took the message and the log did not. `degraded` names
    segments that the platform cannot show and that went out as text.
    """

    message: MessageId
    sequence: int | None = None
    degraded: tuple[str, ...] = ()


class Group(Struct, frozen=True, omit_defaults=True):
    """A group that the account is in; `max_members` is at least the number of members."""

    id: ChatId
    name: str = ""
    members: int = 0
    max_members: int = 0


class Member(Struct, frozen=True, omit_defaults=True):
    """A user in a group."""

    user: User
    membership: Membership


class HistoryMessage(Struct, frozen=True, omit_defaults=True):
    """A message that the platform remembers."""

    message: MessageId
    sender: User
    time_ms: int
    segments: Segments


class HonorHolder(Struct, frozen=True, omit_defaults=True):
    """Who has an honor of a group; `days`: for how many, where that is counted."""

    user: User
    avatar: str = ""
    description: str = ""
    days: int = 0


class Honors(Struct, frozen=True, omit_defaults=True):
    """A group's honors; `holders` has the kinds that were asked for, past holders included."""

    holders: Mapping[HonorKind, tuple[HonorHolder, ...]] = {}
    current_talkative: HonorHolder | None = None


class Credentials(Struct, frozen=True, omit_defaults=True):
    """What opens the platform's own web pages as the account: a secret, never logged."""

    cookies: str = ""
    csrf_token: int = 0


class MediaFile(Struct, frozen=True, omit_defaults=True):
    """A file that was received: at `url`, if that is public, else `id` in the media store."""

    file: str
    url: str = ""
    id: str = ""
    name: str = ""
    size_bytes: int | None = None
    content_type: str = ""


class NativeAnswer(Struct, frozen=True, omit_defaults=True):
    """What the platform answered to a call in its own words, good or bad, as it said it."""

    status: str = "ok"
    retcode: int = 0
    data: Any = None
    message: str = ""
    wording: str = ""
