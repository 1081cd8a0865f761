"""The contract of a connector: what a platform's author writes, and what they are given.

One class per platform (`connectors.{name}.Connector`), one object per account and process.
`open`, `run` and the actions belong to the one process that owns the account; `webhook` and
`routes` are served by every replica. What a subclass overrides *is* its capability list.

Nothing piles up here while NATS is away or slow. Who asks the platform for events asks
`kit.ready()` first, each time:

    async def run(self) -> None:
        cursor = self.kit.cursor("updates")
        await cursor.load()
        while True:
            await self.kit.ready()
            for update in await self._poll(after=cursor.position):
                await self.kit.append(decode_update(update))
                await cursor.move(update.id)  # only what the log has is acknowledged

Who is called by the platform gives its retry signal when `append` raises: BusError, or RateLimited
when too much is on its way into the log. Without NATS `webhook` is not called: the platform is told
to come again at once.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, NoReturn, Protocol, TypeVar

import aiohttp
from aiohttp import web
from msgspec import Struct

from onebus import action as act
from onebus.action import Action, Sent, action_name
from onebus.api import Api, Options
from onebus.bucket import Bucket
from onebus.cursor import Cursor
from onebus.errors import UnsupportedAction
from onebus.event import Event, MessageSent, User
from onebus.ids import Account
from onebus.log import Log
from onebus.media import AccountMedia
from onebus.pace import Limits
from onebus.passive import Passive
from onebus.reconnect import Connect
from onebus.token import TokenSource

C = TypeVar("C", bound=Struct)

LIMIT = "limit:"


class SelfInfo(Struct, frozen=True):
    """Who the account is on its platform.

    `id_scope`: within what user and group ids are unique; the platform, or the server or network
    where a platform has many of them. None means the platform.
    """

    user: User
    id_scope: str | None = None


class WebhookRequest(Struct, frozen=True):
    """What a platform sent, untouched: signatures are over these bytes."""

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class WebhookReply(Struct, frozen=True):
    """What the platform gets back."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain"


class Kit(Protocol):
    """What a connector is given for its account."""

    @property
    def account(self) -> Account:
        """Which account it is."""

    @property
    def http(self) -> aiohttp.ClientSession:
        """The process's session: for sockets; calls go through `api`."""

    @property
    def public_url(self) -> str:
        """Where the platform reaches this installation, without a slash at the end; "": unknown.

        The account's webhook is `{public_url}/{platform}/{account_id}/webhook`.
        """

    @property
    def logger(self) -> logging.LoggerAdapter[Any]:
        """Names the account in each line. Message texts only at DEBUG."""

    @property
    def log(self) -> Log:
        """For reading; writing goes through `append`."""

    @property
    def media(self) -> AccountMedia:
        """Pictures, sound and files: `put` what comes in, `open` what goes out."""

    @property
    def passive(self) -> Passive:
        """Replies inside a webhook's response."""

    async def append(self, event: Event, *, timeout_s: float = 10) -> int:
        """Write an event into the log once, however often it is called; returns its sequence.

        Events of one chat are written in the order of the calls. Only after this returns may the
        platform be told that we have it. Raises BusUnavailable, BusTimeout, or RateLimited when too
        much is on its way into the log: then the platform has to give it again.
        """

    async def ready(self) -> None:
        """Wait until more may be received: NATS is there, the account ours, and there is room.

        Asked before each poll, and before each read of a socket whose events the platform keeps.
        """

    def ignore(self, kind: str) -> None:
        """Count an update of a kind that bots never see; a platform may add kinds at any time."""

    async def append_sent(self, events: Sequence[MessageSent], *, degraded: Any = ()) -> Sent:
        """Log what the platform accepted; the first event's id and number are the answer."""

    async def token(self, name: str, source: TokenSource, *, stale: str | None = None) -> str:
        """A token shared by all replicas, refreshed by one of them when it is about to expire.

        `stale`: a value that the platform just rejected; it is replaced even if it looks valid.
        """

    def api(self, base_url: str, limits: Limits = ..., options: Options = ...) -> Api:
        """The platform's HTTP API, as fast as `limits` allow; made once per account."""

    def cursor(self, name: str) -> Cursor:
        """How far the account's feed of this name is taken over.

        `load` it when `run` begins, `move` it after each append. What was moved and not saved when
        `run` ends is saved then. Conflict, when another owner moved it, may leave `run`.
        """

    async def reconnecting(self, connect: Connect, *, patience_s: float = 30) -> NoReturn:
        """Keep a connection: `connect` is one, from dialling to its loss; see `reconnect.py`."""

    def bucket(self, name: str) -> Bucket:
        """State that must survive this process, in NATS."""

    def now_ms(self) -> int:
        """Unix milliseconds."""

    def owned(self) -> bool:
        """Whether this process owns the account at this moment; ask right before each use."""


class Connector(ABC, Generic[C]):
    """One account on one platform.

    Every action is declared here and raises UnsupportedAction; `capabilities` lists those that a
    subclass overrides. An action gets native ids, raises ActionError subclasses, and may run
    concurrently with others, but never with another of the same chat.
    """

    Config: ClassVar[type[Struct]]
    """The account's configuration without its `onebot.*` blocks; unknown keys are refused."""

    sends: ClassVar[tuple[str, ...]] = ("text",)
    """The segments that the platform shows as what they are; others go out as text, or not."""

    media_limits: ClassVar[Mapping[str, int]] = {}
    """How many bytes of image, voice, video and file the platform takes; what is not named here
    is bounded by `media.max_bytes` alone."""

    redelivery_horizon_s: ClassVar[float] = 86_400.0
    """For how long the platform may send the same event again: the log should hold more."""

    event_ids: ClassVar[Literal["stable", "synthetic"]] = "stable"
    """Whether the platform gives an event the same id whenever it delivers it.

    Then any replica may append it, and a second copy is refused. With ids that the connector makes
    up, only the owner can append (`append` raises for anybody else): events come by `run`, not by
    webhook.
    """

    speaks: ClassVar[str] = ""
    """The bot standard that the platform itself speaks, such as `onebot.v11`, if it is one.

    There its numbers are its ids, and a frontend of the same standard hands through what the model
    has no word for: calls by `call_native`, events as `NativeEvent` and `extra`.
    """

    page: ClassVar[str] = ""
    """Path of a page for people below `/{platform}/{account}`, if there is one."""

    def __init__(self, config: C, kit: Kit) -> None:
        self.config = config
        self.kit = kit
        kit.media.serves(self.get_media, self.media_limits)

    @abstractmethod
    async def open(self) -> SelfInfo:
        """Say who the account is. Raises NotReady, AuthFailed or Misconfigured."""

    async def run(self) -> None:
        """Receive until cancelled; returns never. The default waits: a webhook does the work.

        It waits for `kit.ready()` before each poll and dial: a process that hung starts nothing.
        """
        await asyncio.Event().wait()

    async def webhook(self, request: WebhookRequest) -> WebhookReply:
        """Verify, decode, append, answer: any replica. Verification comes before decoding."""
        raise NotImplementedError

    def routes(self) -> list[web.RouteDef]:
        """Pages and APIs below `/{platform}/{account}`, beside the webhook. Any replica."""
        return []

    async def close(self) -> None:
        """Let go of what `open` took and of what `routes` hold open. May be called again, and
        after a failed `open`; unless the process stops, it is opened again.
        """

    async def send_message(self, action: act.SendMessage) -> Sent:
        """Write into a chat; logs a MessageSent for each message that the platform made of it."""
        raise _unsupported(self, action)

    async def recall_message(self, action: act.RecallMessage) -> None:
        """Take a message back."""
        raise _unsupported(self, action)

    async def edit_message(self, action: act.EditMessage) -> None:
        """Give a message new content."""
        raise _unsupported(self, action)

    async def get_message(self, action: act.GetMessage) -> act.HistoryMessage:
        """Read one message."""
        raise _unsupported(self, action)

    async def get_history(self, action: act.GetHistory) -> tuple[act.HistoryMessage, ...]:
        """Read a chat backwards."""
        raise _unsupported(self, action)

    async def get_forward(self, action: act.GetForward) -> Any:
        """Open a forwarded bundle."""
        raise _unsupported(self, action)

    async def mark_read(self, action: act.MarkRead) -> None:
        """Mark a chat read."""
        raise _unsupported(self, action)

    async def react(self, action: act.React) -> None:
        """Put or remove a reaction."""
        raise _unsupported(self, action)

    async def get_user(self, action: act.GetUser) -> User:
        """Describe a user."""
        raise _unsupported(self, action)

    async def get_friends(self, action: act.GetFriends) -> tuple[User, ...]:
        """List friends or followers."""
        raise _unsupported(self, action)

    async def get_group(self, action: act.GetGroup) -> act.Group:
        """Describe a group."""
        raise _unsupported(self, action)

    async def get_groups(self, action: act.GetGroups) -> tuple[act.Group, ...]:
        """List groups."""
        raise _unsupported(self, action)

    async def get_member(self, action: act.GetMember) -> act.Member:
        """Describe a member."""
        raise _unsupported(self, action)

    async def get_members(self, action: act.GetMembers) -> tuple[act.Member, ...]:
        """List members."""
        raise _unsupported(self, action)

    async def kick_member(self, action: act.KickMember) -> None:
        """Remove a member."""
        raise _unsupported(self, action)

    async def mute_member(self, action: act.MuteMember) -> None:
        """Silence a member."""
        raise _unsupported(self, action)

    async def mute_group(self, action: act.MuteGroup) -> None:
        """Silence everyone."""
        raise _unsupported(self, action)

    async def set_role(self, action: act.SetRole) -> None:
        """Change a member's role."""
        raise _unsupported(self, action)

    async def set_anonymous(self, action: act.SetAnonymous) -> None:
        """Allow or forbid anonymous messages."""
        raise _unsupported(self, action)

    async def set_card(self, action: act.SetCard) -> None:
        """Change a member's name in the group."""
        raise _unsupported(self, action)

    async def set_title(self, action: act.SetTitle) -> None:
        """Change a member's title."""
        raise _unsupported(self, action)

    async def rename_group(self, action: act.RenameGroup) -> None:
        """Rename a group."""
        raise _unsupported(self, action)

    async def leave_group(self, action: act.LeaveGroup) -> None:
        """Leave a group."""
        raise _unsupported(self, action)

    async def pin_message(self, action: act.PinMessage) -> None:
        """Pin a message."""
        raise _unsupported(self, action)

    async def answer_friend_request(self, action: act.AnswerFriendRequest) -> None:
        """Answer a friend request."""
        raise _unsupported(self, action)

    async def answer_group_request(self, action: act.AnswerGroupRequest) -> None:
        """Answer a request or invitation."""
        raise _unsupported(self, action)

    async def like_user(self, action: act.LikeUser) -> None:
        """Praise a user's profile."""
        raise _unsupported(self, action)

    async def set_remark(self, action: act.SetRemark) -> None:
        """Note a name of a user."""
        raise _unsupported(self, action)

    async def poke_user(self, action: act.PokeUser) -> None:
        """Nudge a user."""
        raise _unsupported(self, action)

    async def get_honors(self, action: act.GetHonors) -> act.Honors:
        """List the honors of a group."""
        raise _unsupported(self, action)

    async def get_credentials(self, action: act.GetCredentials) -> act.Credentials:
        """Open the platform's web pages."""
        raise _unsupported(self, action)

    async def get_media(self, action: act.GetMedia) -> act.MediaFile:
        """Get a file that was received: put it into `kit.media`, or say at which public URL it is.

        `kit.media` asks once for each file at a time, and keeps what it got.
        """
        raise _unsupported(self, action)

    async def restart(self, action: act.Restart) -> None:
        """Close and open again; answers first."""
        raise _unsupported(self, action)

    async def clear_cache(self, action: act.ClearCache) -> None:
        """Throw away what is kept of the platform."""
        raise _unsupported(self, action)

    async def call_native(self, action: act.CallNative) -> act.NativeAnswer:
        """Call the platform in its own words; a refusal of the platform is an answer too."""
        raise _unsupported(self, action)


def capabilities(connector: type[Connector[Any]]) -> tuple[str, ...]:
    """The actions that a connector overrides, by name, then `send:{segment}` for what it shows.

    Then `limit:{kind}:{bytes}` for how large a file may be, and at the end `speaks:{standard}`
    where the platform itself speaks one.
    """
    names = (action_name(kind) for kind in act.ACTIONS)
    actions = (n for n in names if getattr(connector, n) is not getattr(Connector, n))
    sends = (f"send:{segment}" for segment in connector.sends)
    limits = (f"{LIMIT}{kind}:{most}" for kind, most in connector.media_limits.items())
    speaks = (f"speaks:{connector.speaks}",) if connector.speaks else ()
    return (*actions, *sends, *limits, *speaks)


def media_limits(offered: Iterable[str]) -> dict[str, int]:
    """The limits among capabilities."""
    parts = (name.removeprefix(LIMIT).split(":") for name in offered if name.startswith(LIMIT))
    return {kind: int(most) for kind, most in parts}


def _unsupported(connector: Connector[Any], action: Action[Any]) -> UnsupportedAction:
    what = action_name(action).replace("_", " ")
    return UnsupportedAction(f"{connector.kit.account.platform} cannot {what}")
