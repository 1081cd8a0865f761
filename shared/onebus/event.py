"""What happened on a platform, in nobody's dialect: the entries of the log.

A tagged union (`type` on the wire). Every event names its account, the platform's time in
milliseconds and what it concerns, with native string ids; together these give its subject
(`onebus.subjects.event_subject`), which a reader checks against where the event was stored.
"""

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from onebus.ids import Account, ChatId, MessageId, UserId
from onebus.segment import Segments

SCHEMA_VERSION = 1
"""Version of the stored and sent bodies; a service accepts this one and the one before."""

Role: TypeAlias = Literal["owner", "admin", "member"]
Sex: TypeAlias = Literal["male", "female", "unknown"]


class Chat(Struct, frozen=True, omit_defaults=True):
    """Where messages are exchanged: with one person, or in a group.

    `parent` is the guild of a channel or the group of a topic. Two chats are the same when kind
    and id are; `key` says so.
    """

    kind: Literal["private", "group"]
    id: ChatId
    name: str = ""
    parent: ChatId | None = None

    @property
    def key(self) -> tuple[str, ChatId]:
        """Kind and id: what makes a chat this one within its account."""
        return self.kind, self.id


def private_chat(user: UserId) -> Chat:
    """The private chat with a user; its id is the user's."""
    return Chat("private", ChatId(user))


def group_chat(group: ChatId, name: str = "") -> Chat:
    """The chat of a group."""
    return Chat("group", group, name)


class User(Struct, frozen=True, omit_defaults=True):
    """A person or bot as the platform describes it; all but the id is best effort.

    `remark` and `labels` are what the account has noted of them: a name, and tags.
    """

    id: UserId
    name: str = ""
    sex: Sex = "unknown"
    age: int = 0
    remark: str = ""
    labels: tuple[str, ...] = ()


class Membership(Struct, frozen=True, omit_defaults=True):
    """What a user is in one group; times in unix seconds, 0 when unknown."""

    role: Role = "member"
    card: str = ""
    title: str = ""
    level: str = ""
    area: str = ""
    joined_at_s: int = 0
    last_sent_at_s: int = 0
    title_expires_at_s: int = 0
    muted_until_s: int = 0
    card_changeable: bool = False


class AnonymousIdentity(Struct, frozen=True):
    """The mask of an anonymous sender; `flag` is what a mute of it needs."""

    id: str
    name: str
    flag: str


class _Event(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all events.

    `time_ms`: platform time, unix milliseconds. `id`: the platform's id of this event, the same at
    every redelivery; empty where chat and message ids already say which one it is. `extra`: what
    else a platform that speaks a bot standard said, by that standard's name: `{"onebot.v11": {…}}`.
    """

    account: Account
    time_ms: int
    id: str = ""
    extra: dict[str, dict[str, Any]] = {}
    # A factory, because a plain default would be omitted from the stored body.
    v: int = msgspec.field(default_factory=lambda: SCHEMA_VERSION)


class _Message(_Event, frozen=True):
    """What received and sent messages share.

    `message` is numbered by its place in the log. Where the platform made several messages of one
    (split text, an album), each has its entry and `parts` lists all of them in every entry.
    """

    chat: Chat
    message: MessageId
    sender: User
    segments: Segments
    membership: Membership | None = None
    parts: tuple[MessageId, ...] = ()


class MessageReceived(_Message, frozen=True, tag="message_received"):
    """Somebody wrote a message that the account can read.

    `relation`: what the sender of a private message is to us. `notice`: a tip of the system.
    """

    relation: Literal["friend", "group", "other"] = "friend"
    anonymous: AnonymousIdentity | None = None
    notice: bool = False


class MessageSent(_Message, frozen=True, tag="message_sent"):
    """The account itself wrote a message, through us or elsewhere."""


class MessageBackfilled(_Message, frozen=True, tag="message_backfilled"):
    """A message from before the log's time, written down because another one quotes it.

    It gets a number, and is never delivered. The message itself may still come: then that counts.
    """

    def received(self) -> MessageReceived:
        """The message as whoever looks it up by its number sees it."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return MessageReceived(**fields)


class MessageEdited(_Event, frozen=True, tag="message_edited"):
    """A message has new content."""

    chat: Chat
    message: MessageId
    editor: User
    segments: Segments


class MessageRecalled(_Event, frozen=True, tag="message_recalled"):
    """A message was taken back, by its sender or by `operator`."""

    chat: Chat
    message: MessageId
    sender: UserId
    operator: UserId


class MemberJoined(_Event, frozen=True, tag="member_joined"):
    """Somebody came into a group; `operator` let them in or invited them."""

    chat: Chat
    user: User
    operator: UserId
    how: Literal["approve", "invite"] = "approve"


class MemberLeft(_Event, frozen=True, tag="member_left"):
    """Somebody is no longer in a group; kicked when `operator` is somebody else."""

    chat: Chat
    user: User
    operator: UserId


class MemberMuted(_Event, frozen=True, tag="member_muted"):
    """A member, or everyone when `user` is None, may not write for `duration_s`; 0 lifts it."""

    chat: Chat
    user: UserId | None
    operator: UserId
    duration_s: int


class RoleChanged(_Event, frozen=True, tag="role_changed"):
    """A member became admin, owner or plain member."""

    chat: Chat
    user: UserId
    role: Role


class CardChanged(_Event, frozen=True, tag="card_changed"):
    """A member's name in the group changed."""

    chat: Chat
    user: UserId
    card: str
    old_card: str = ""


class TitleChanged(_Event, frozen=True, tag="title_changed"):
    """A member's special title changed."""

    chat: Chat
    user: UserId
    title: str


class GroupRenamed(_Event, frozen=True, tag="group_renamed"):
    """A group has a new name."""

    chat: Chat
    operator: UserId
    name: str


class UploadedFile(Struct, frozen=True, omit_defaults=True):
    """A file in a group's store."""

    id: str
    name: str
    size_bytes: int = 0
    bus_id: int = 0


class FileUploaded(_Event, frozen=True, tag="file_uploaded"):
    """Somebody put a file into a group's store."""

    chat: Chat
    user: UserId
    file: UploadedFile


class FriendAdded(_Event, frozen=True, tag="friend_added"):
    """Somebody is now a friend or follower of the account."""

    user: User


class FriendRemoved(_Event, frozen=True, tag="friend_removed"):
    """Somebody is no friend or follower any more."""

    user: User


class FriendRequested(_Event, frozen=True, tag="friend_requested"):
    """Somebody asks to be a friend; `flag` is what the answer needs."""

    user: User
    comment: str
    flag: str


class GroupRequested(_Event, frozen=True, tag="group_requested"):
    """Somebody asks to join a group (`add`), or asks the account into one (`invite`)."""

    chat: Chat
    user: User
    kind: Literal["add", "invite"]
    comment: str
    flag: str


class ReactionChanged(_Event, frozen=True, tag="reaction_changed"):
    """A reaction was put on a message, or taken off it."""

    chat: Chat
    message: MessageId
    user: UserId
    emoji: str
    added: bool


class MessagePinned(_Event, frozen=True, tag="message_pinned"):
    """A message was pinned, or unpinned."""

    chat: Chat
    message: MessageId
    sender: UserId
    operator: UserId
    pinned: bool


class Poked(_Event, frozen=True, tag="poked"):
    """One user nudged another, in a group or privately."""

    chat: Chat
    user: UserId
    target: UserId


class LuckyKing(_Event, frozen=True, tag="lucky_king"):
    """`target` got the largest share of the red packet of `user`."""

    chat: Chat
    user: UserId
    target: UserId


class HonorChanged(_Event, frozen=True, tag="honor_changed"):
    """A member won an honor of the group."""

    chat: Chat
    user: UserId
    honor: Literal["talkative", "performer", "emotion"]


class Interaction(_Event, frozen=True, tag="interaction"):
    """Somebody used a control of the account: pressed a menu or button, or scanned its code.

    `value` is the control's key or address.
    """

    chat: Chat
    user: User
    kind: Literal["click", "view", "scan"]
    value: str


class AccountChanged(_Event, frozen=True, tag="account_changed"):
    """The account came online, or went offline for the reason given."""

    online: bool
    reason: str = ""


class NativeEvent(_Event, frozen=True, tag="native_event"):
    """Something that the model has no word for, from a platform that speaks a bot standard.

    `payload` is the event as it came, in the words of `protocol`. `message`: the message of `chat`
    that it is about, if there is one.
    """

    protocol: str
    payload: dict[str, Any]
    chat: Chat | None = None
    message: MessageId | None = None


Event: TypeAlias = (
    MessageReceived
    | MessageSent
    | MessageBackfilled
    | MessageEdited
    | MessageRecalled
    | MemberJoined
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
    | AccountChanged
    | NativeEvent
)
MessageEvent: TypeAlias = MessageReceived | MessageSent
