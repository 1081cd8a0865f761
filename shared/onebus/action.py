"""What a bot may ask of an account: one Struct per call, each with its typed result.

`Action[Sent]` says that the call answers a `Sent`; `result_type` reads that at run time. A
connector declares a capability by overriding the method named as the action's tag
(`onebus.connector.Connector`).
"""

from functools import cache
from typing import Any, Generic, Literal, TypeAlias, TypeVar, get_args

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from onebus.errors import ErrorData
from onebus.event import SCHEMA_VERSION, Chat, Role, User
from onebus.ids import Account, ChatId, MessageId, UserId
from onebus.results import (
    Credentials,
    Group,
    HistoryMessage,
    HonorHolder,
    HonorKind,
    Honors,
    MediaFile,
    Member,
    NativeAnswer,
    Sent,
)
from onebus.segment import Node, Segments

__all__ = [
    "ACTIONS",
    "Action",
    "AnyAction",
    "Credentials",
    "Group",
    "HistoryMessage",
    "HonorHolder",
    "HonorKind",
    "Honors",
    "MediaFile",
    "Member",
    "NativeAnswer",
    "Request",
    "Response",
    "Sent",
    "action_name",
    "result_type",
]

R = TypeVar("R")


class Action(Struct, Generic[R], frozen=True, omit_defaults=True, tag_field="type"):
    """Base of all actions; `R` is what it answers."""


class SendMessage(Action[Sent], frozen=True, tag="send_message"):
    """Write into a chat."""

    chat: Chat
    segments: Segments


class RecallMessage(Action[None], frozen=True, tag="recall_message"):
    """Take a message back; all of `parts` where the platform made several of it."""

    chat: Chat
    message: MessageId
    parts: tuple[MessageId, ...] = ()


class EditMessage(Action[None], frozen=True, tag="edit_message"):
    """Give a message new content."""

    chat: Chat
    message: MessageId
    segments: Segments


class GetMessage(Action[HistoryMessage], frozen=True, tag="get_message"):
    """Read one message from the platform, not from the log."""

    chat: Chat
    message: MessageId


class GetHistory(Action[tuple[HistoryMessage, ...]], frozen=True, tag="get_history"):
    """Read a chat's messages before one of them, oldest first."""

    chat: Chat
    before: MessageId | None = None
    limit: int = 20


class GetForward(Action[tuple[Node, ...]], frozen=True, tag="get_forward"):
    """Open a forwarded bundle of messages."""

    id: str


class MarkRead(Action[None], frozen=True, tag="mark_read"):
    """Tell the platform that a chat is read up to a message."""

    chat: Chat
    message: MessageId | None = None


class React(Action[None], frozen=True, tag="react"):
    """Put a reaction on a message, or take it off."""

    chat: Chat
    message: MessageId
    emoji: str
    added: bool = True


class GetUser(Action[User], frozen=True, tag="get_user"):
    """Describe any user; `fresh` asks the platform rather than a cache."""

    user: UserId
    fresh: bool = False


class GetFriends(Action[tuple[User, ...]], frozen=True, tag="get_friends"):
    """List the account's friends or followers."""


class GetGroup(Action[Group], frozen=True, tag="get_group"):
    """Describe a group."""

    group: ChatId
    fresh: bool = False


class GetGroups(Action[tuple[Group, ...]], frozen=True, tag="get_groups"):
    """List the groups that the account is in."""


class GetMember(Action[Member], frozen=True, tag="get_member"):
    """Describe a member of a group; works for the account itself too."""

    group: ChatId
    user: UserId
    fresh: bool = False


class GetMembers(Action[tuple[Member, ...]], frozen=True, tag="get_members"):
    """List the members of a group."""

    group: ChatId


class KickMember(Action[None], frozen=True, tag="kick_member"):
    """Remove a member; `reject_future`: refuse their next request too."""

    group: ChatId
    user: UserId
    reject_future: bool = False


class MuteMember(Action[None], frozen=True, tag="mute_member"):
    """Silence a member for `duration_s`; 0 lifts it. `anonymous_flag` instead of a user's id."""

    group: ChatId
    user: UserId | None
    duration_s: int
    anonymous_flag: str = ""


class MuteGroup(Action[None], frozen=True, tag="mute_group"):
    """Silence all members, or lift it."""

    group: ChatId
    muted: bool


class SetRole(Action[None], frozen=True, tag="set_role"):
    """Make a member admin, or a plain member again."""

    group: ChatId
    user: UserId
    role: Role


class SetAnonymous(Action[None], frozen=True, tag="set_anonymous"):
    """Allow anonymous messages in a group, or forbid them."""

    group: ChatId
    allowed: bool


class SetCard(Action[None], frozen=True, tag="set_card"):
    """Set a member's name in the group; empty removes it."""

    group: ChatId
    user: UserId
    card: str


class SetTitle(Action[None], frozen=True, tag="set_title"):
    """Set a member's special title; empty removes it, `duration_s` -1 keeps it for ever."""

    group: ChatId
    user: UserId
    title: str
    duration_s: int = -1


class RenameGroup(Action[None], frozen=True, tag="rename_group"):
    """Give a group a new name."""

    group: ChatId
    name: str


class LeaveGroup(Action[None], frozen=True, tag="leave_group"):
    """Leave a group; `dismiss`: dissolve it, which only its owner can."""

    group: ChatId
    dismiss: bool = False


class PinMessage(Action[None], frozen=True, tag="pin_message"):
    """Pin a message in its chat, or unpin it."""

    chat: Chat
    message: MessageId
    pinned: bool = True


class AnswerFriendRequest(Action[None], frozen=True, tag="answer_friend_request"):
    """Accept or refuse a friend request by its flag."""

    flag: str
    approve: bool
    remark: str = ""


class AnswerGroupRequest(Action[None], frozen=True, tag="answer_group_request"):
    """Accept or refuse a request to join (`add`), or an invitation, by its flag."""

    flag: str
    approve: bool
    reason: str = ""
    kind: Literal["add", "invite"] = "add"


class LikeUser(Action[None], frozen=True, tag="like_user"):
    """Praise a user's profile, several times at once."""

    user: UserId
    times: int = 1


class SetRemark(Action[None], frozen=True, tag="set_remark"):
    """Note under which name the account knows a user; an empty one takes the note away."""

    user: UserId
    remark: str = ""


class PokeUser(Action[None], frozen=True, tag="poke_user"):
    """Nudge a user, in a group or privately."""

    chat: Chat
    user: UserId


class GetHonors(Action[Honors], frozen=True, tag="get_honors"):
    """List who holds the honors of a group."""

    group: ChatId
    kind: HonorKind | Literal["all"]


class GetCredentials(Action[Credentials], frozen=True, tag="get_credentials"):
    """Get what opens the platform's web pages; empty `domain`: the platform's usual one."""

    domain: str = ""


class GetMedia(Action[MediaFile], frozen=True, tag="get_media"):
    """Get what was received, by its segment's `file`; a voice message as `out_format` (`mp3`…).

    `fresh`: from the platform, because what was kept of it is gone.
    """

    kind: Literal["image", "voice", "video", "file"]
    file: str
    out_format: str = ""
    fresh: bool = False


class Restart(Action[None], frozen=True, tag="restart"):
    """Close the account and open it again after a while; answered before that is done."""

    delay_ms: int = 0


class ClearCache(Action[None], frozen=True, tag="clear_cache"):
    """Throw away what the connector keeps of the platform."""


class CallNative(Action[NativeAnswer], frozen=True, tag="call_native"):
    """Call something that the model has no word for, in the words of a bot standard.

    Only where the platform itself speaks that standard (`Connector.speaks`); ids are native.
    """

    protocol: str
    name: str
    params: dict[str, Any] = {}


AnyAction: TypeAlias = (
    SendMessage
    | RecallMessage
    | EditMessage
    | GetMessage
    | GetHistory
    | GetForward
    | MarkRead
    | React
    | GetUser
    | GetFriends
    | GetGroup
    | GetGroups
    | GetMember
    | GetMembers
    | KickMember
    | MuteMember
    | MuteGroup
    | SetRole
    | SetAnonymous
    | SetCard
    | SetTitle
    | RenameGroup
    | LeaveGroup
    | PinMessage
    | AnswerFriendRequest
    | AnswerGroupRequest
    | LikeUser
    | SetRemark
    | PokeUser
    | GetHonors
    | GetCredentials
    | GetMedia
    | Restart
    | ClearCache
    | CallNative
)
ACTIONS: tuple[type[Action[Any]], ...] = get_args(AnyAction)


def action_name(action: Action[Any] | type[Action[Any]]) -> str:
    """The tag of an action, which is also the connector's method: `send_message`."""
    return str(action.__struct_config__.tag)


@cache
def result_type(action: type[Action[R]]) -> Any:
    """What an action answers, as a type that msgspec decodes."""
    base = action.__orig_bases__[0]  # type: ignore[attr-defined]
    return get_args(base)[0]


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An action on its way to the owner of the account.

    `deadline_ms`: unix milliseconds after which the owner must not start it.
    `idempotency_key`: the same key asks for the same outcome, not for a second execution.
    """

    account: Account
    deadline_ms: int
    action: AnyAction
    idempotency_key: str = ""
    v: int = msgspec.field(default_factory=lambda: SCHEMA_VERSION)


class Response(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The owner's answer: `result` (encoded, absent for None) or `error`."""

    result: Raw | UnsetType = UNSET
    error: ErrorData | None = None
    v: int = msgspec.field(default_factory=lambda: SCHEMA_VERSION)
