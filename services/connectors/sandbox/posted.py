"""What may be posted to `api/events`: one Struct per type, checked strictly.

Every one may carry `id`, by which it can be posted again when no answer came: what it changes is
changed again, and bots are told once. Without a `group` a chat is the person's own with the bot.
Left out, `operator` is who does such things: the group's owner, or for coming and leaving the
person. Durations are in seconds.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from connectors.sandbox import message as msg
from onebus.event import Role


class _Posted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    id: str = ""


class MemberJoined(_Posted, frozen=True, tag="member_joined"):
    """Somebody, or the bot, comes into a group, which may be new."""

    group: str
    user: str
    operator: str = ""
    how: Literal["approve", "invite"] = "approve"


class MemberLeft(_Posted, frozen=True, tag="member_left"):
    """A member, or the bot, leaves; with another `operator` they are kicked."""

    group: str
    user: str
    operator: str = ""


class MemberMuted(_Posted, frozen=True, tag="member_muted"):
    """A member, or without `user` everyone, is muted; `duration_s` 0 lifts it."""

    group: str
    user: str = ""
    operator: str = ""
    duration_s: int = 1800


class RoleChanged(_Posted, frozen=True, tag="role_changed"):
    """A member, or the bot, becomes owner, admin or plain member."""

    group: str
    user: str
    role: Role


class CardChanged(_Posted, frozen=True, tag="card_changed"):
    """A member has another name in the group; empty: their own."""

    group: str
    user: str
    card: str = ""


class TitleChanged(_Posted, frozen=True, tag="title_changed"):
    """A member has a special title, for ever with -1; empty: none."""

    group: str
    user: str
    title: str = ""
    duration_s: int = -1


class GroupRenamed(_Posted, frozen=True, tag="group_renamed"):
    """A group has another name."""

    group: str
    name: str
    operator: str = ""


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """A file by name, and its address or what POST api/files answered as `file`."""

    name: str
    url: str = ""
    file: str = ""
    size_bytes: int = 0


class FileUploaded(_Posted, frozen=True, tag="file_uploaded"):
    """A member puts a file into the group, or a person sends the bot one."""

    user: str
    file: File
    group: str = ""


class FriendAdded(_Posted, frozen=True, tag="friend_added"):
    """A person is a friend now."""

    user: str


class FriendRemoved(_Posted, frozen=True, tag="friend_removed"):
    """A person is no friend any more, and does not become one by writing."""

    user: str


class FriendRequested(_Posted, frozen=True, tag="friend_requested"):
    """A person asks to be a friend; the answer names the `flag`."""

    user: str
    comment: str = ""


class GroupRequested(_Posted, frozen=True, tag="group_requested"):
    """A person asks to join a group (`add`), or the bot to join theirs (`invite`)."""

    group: str
    user: str
    kind: Literal["add", "invite"]
    comment: str = ""


class ReactionChanged(_Posted, frozen=True, tag="reaction_changed"):
    """Somebody puts a reaction on a message, or takes it off."""

    user: str
    message_id: str
    emoji: str
    added: bool = True
    group: str = ""


class MessagePinned(_Posted, frozen=True, tag="message_pinned"):
    """Somebody pins a message, or takes it down."""

    user: str
    message_id: str
    pinned: bool = True
    group: str = ""


class Poked(_Posted, frozen=True, tag="poked"):
    """Somebody nudges somebody; without `target` the bot."""

    user: str
    target: str = ""
    group: str = ""


class LuckyKing(_Posted, frozen=True, tag="lucky_king"):
    """The target got most of the user's red packet."""

    group: str
    user: str
    target: str


class HonorChanged(_Posted, frozen=True, tag="honor_changed"):
    """A member has an honor of the group."""

    group: str
    user: str
    honor: Literal["talkative", "performer", "emotion"]


class Interaction(_Posted, frozen=True, tag="interaction"):
    """Somebody uses a control of the bot."""

    user: str
    kind: Literal["click", "view", "scan"]
    value: str
    group: str = ""


class MessageEdited(_Posted, frozen=True, tag="message_edited"):
    """A person gives a message of theirs new content."""

    user: str
    message_id: str
    message: str | list[msg.Part]
    group: str = ""


class MessageRecalled(_Posted, frozen=True, tag="message_recalled"):
    """A message is taken back, by its author or somebody with authority over them."""

    user: str
    message_id: str
    group: str = ""


class AccountChanged(_Posted, frozen=True, tag="account_changed"):
    """The account goes online or offline: while it is, bots are told that nobody serves it."""

    online: bool
    reason: str = ""


Posted: TypeAlias = (
    MemberJoined
    | MemberLeft
    | MemberMuted
    | RoleChanged
    | CardChanged
    | TitleChanged
    | GroupRenamed
    | FileUploaded
    | FriendAdded
    | FriendRemoved
    | FriendRequested
    | GroupRequested
    | ReactionChanged
    | MessagePinned
    | Poked
    | LuckyKing
    | HonorChanged
    | Interaction
    | MessageEdited
    | MessageRecalled
    | AccountChanged
)
