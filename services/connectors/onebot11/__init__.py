"""An account behind an implementation of OneBot V11 (https://github.com/botuniverse/onebot-11).

NapCat, Lagrange, LLOneBot and go-cqhttp know QQ, and one bot; this makes an account of onebus of
what they offer, for as many bots as one likes. An onebus can be an upstream too. By forward
WebSocket (we connect to it), reverse WebSocket (it connects to us) or HTTP (we call it, it posts).

Users, groups and the account keep their numbers. A message's native id is the upstream's
`message_id`; bots know it by its place in the log, as everywhere. What the model has no word for
goes through both ways: actions (`call_native`), segments (`Unknown`), events (`NativeEvent`) and
fields of events (`extra`).

Event ids: messages have the upstream's; what else happens has a hash of all that was said of it, or
an onebus's `event_id`. Limits: what happens while no connection stands is lost where the upstream
is no onebus, for no implementation keeps it; a temporary session is answered only as far as the
upstream finds it by the user alone; parameters of known segments that the standard lacks (such as
an image's `summary`) are not kept.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from aiohttp import web

from connectors.onebot11 import answers
from connectors.onebot11 import config as configuration
from connectors.onebot11.calls import Calls, number, place
from connectors.onebot11.config import Config
from connectors.onebot11.decode import PROTOCOL
from connectors.onebot11.fields import Unreadable
from connectors.onebot11.forward import Forward
from connectors.onebot11.inbox import Inbox
from connectors.onebot11.introduction import introduce
from connectors.onebot11.link import Upstream, beside
from connectors.onebot11.post import Post
from connectors.onebot11.quotes import Quotes
from connectors.onebot11.received import get_received
from connectors.onebot11.reverse import Reverse
from connectors.onebot11.sending import MEDIA_BYTES, SENDS, Sending
from connectors.onebot11.state import State
from onebus import action as act
from onebus import connector
from onebus.action import Sent
from onebus.backoff import Backoff
from onebus.connector import Kit, SelfInfo, WebhookReply, WebhookRequest
from onebus.errors import (
    ActionError,
    Misconfigured,
    NotReady,
    PlatformUnavailable,
    UnsupportedAction,
)
from onebus.event import User
from onebus.segment import Node

__all__ = ["Config", "Connector"]

T = TypeVar("T")

LEFTOVER_S = 1.0
"""How long what was read may take into the log when we stop."""


class Connector(connector.Connector[configuration.Config]):
    """One login at one upstream."""

    Config = configuration.Config
    speaks = PROTOCOL
    sends = SENDS
    media_limits: ClassVar = dict.fromkeys(("image", "voice", "video", "file"), MEDIA_BYTES)
    redelivery_horizon_s = 3_600.0  # an onebus posts again what was not answered

    def __init__(self, config: configuration.Config, kit: Kit) -> None:
        super().__init__(config, kit)
        if problems := [f"{key} {text}" for key, text in config.problems(exposed=False)]:
            raise Misconfigured(f"{kit.account}: {'; '.join(problems)}")
        self._state = State(kit.logger)
        self._inbox = Inbox(kit, config.self_id, self._state.on_event)
        self._upstream = self._transport()
        self._calls = Calls(self._upstream, kit.owned)
        self._sending = Sending(kit, self._calls)
        self._inbox.before = Quotes(kit, self._calls).before
        self._told = ""

    def _transport(self) -> Upstream:
        match self.config.transport:
            case "ws":
                return Forward(self.config, self.kit, self._inbox)
            case "ws_reverse":
                return Reverse(self.config, self.kit, self._inbox)
        return Post(self.config, self.kit, self._inbox)

    async def open(self) -> SelfInfo:
        """Be connected, and wait until the upstream's account is online.

        Raises NotReady, AuthFailed or Misconfigured.
        """
        self._state.begin()
        await self._connect()
        try:
            return await beside(self._receive(), self._introduce())
        except ActionError as error:
            raise NotReady(str(error)) from error

    async def run(self) -> None:
        """Receive until the upstream is lost or offline. Raises NotReady or AuthFailed."""
        await beside(self._inbox.run(), self._until_lost())

    async def close(self) -> None:
        """Hang up; what was read already goes into the log, if that is quick."""
        await self._upstream.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEFTOVER_S):
                await beside(self._inbox.run(), self._inbox.empty())

    async def webhook(self, request: WebhookRequest) -> WebhookReply:
        """What the upstream posts, at any replica."""
        if isinstance(self._upstream, Post):
            return await self._upstream.webhook(request)
        return WebhookReply(404, b"the upstream of this account does not post")

    def routes(self) -> list[web.RouteDef]:
        """Where the upstream connects, if it is to."""
        return self._upstream.routes()

    async def _connect(self) -> None:
        """A failure is told to the host when it is a new one; the same goes on here, and sooner."""
        backoff = Backoff(1, 10)
        while True:
            try:
                await self._upstream.connect()
            except NotReady as error:
                if str(error) != self._told:
                    self._told = str(error)
                    raise
                await backoff.wait()
            else:
                self._told = ""
                return

    async def _receive(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._inbox.run())
            group.create_task(self._upstream.serve())

    async def _until_lost(self) -> None:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self._upstream.serve())
            offline = group.create_task(self._state.offline())
            await asyncio.wait({serving, offline}, return_when=asyncio.FIRST_COMPLETED)
            serving.cancel()
            offline.cancel()
        raise offline.result() if not offline.cancelled() else self._upstream.lost()

    async def _introduce(self) -> SelfInfo:
        self._sending.app, self._sending.me = await introduce(
            self._calls, self._upstream, self.config.self_id, self.kit.logger
        )
        self._state.begin()  # what was said before it was online is of the past
        return SelfInfo(self._sending.me)

    async def send_message(self, action: act.SendMessage) -> Sent:
        """Write into a chat; nodes are a forward."""
        return await self._sending.send(action.chat, action.segments)

    async def recall_message(self, action: act.RecallMessage) -> None:
        """Take a message back."""
        for message in action.parts or (action.message,):
            await self._calls.do("delete_msg", message_id=number(message))

    async def get_message(self, action: act.GetMessage) -> act.HistoryMessage:
        """Read one message."""
        data = await self._calls.read("get_msg", message_id=number(action.message))
        return _readable(answers.message_of, data)

    async def get_forward(self, action: act.GetForward) -> tuple[Node, ...]:
        """Open a forwarded bundle; go-cqhttp's and NapCat's name for its id is `message_id`."""
        data = await self._calls.read("get_forward_msg", id=action.id, message_id=action.id)
        return answers.nodes_of(data)

    async def mark_read(self, action: act.MarkRead) -> None:
        """go-cqhttp's, NapCat's, LLOneBot's and Lagrange's `mark_msg_as_read`."""
        what = {"message_id": number(action.message)} if action.message else place(action.chat)
        await self._calls.do("mark_msg_as_read", **what)

    async def react(self, action: act.React) -> None:
        """NapCat and LLOneBot have `set_msg_emoji_like`, Lagrange `set_group_reaction`."""
        message = {"message_id": number(action.message)}
        if self._sending.app.startswith("Lagrange"):
            group = place(action.chat) | message
            await self._calls.do(
                "set_group_reaction", **group, code=action.emoji, is_add=action.added
            )
            return
        await self._calls.do(
            "set_msg_emoji_like", **message, emoji_id=action.emoji, set=action.added
        )

    async def pin_message(self, action: act.PinMessage) -> None:
        """go-cqhttp's essence messages."""
        name = "set_essence_msg" if action.pinned else "delete_essence_msg"
        await self._calls.do(name, message_id=number(action.message))

    async def poke_user(self, action: act.PokeUser) -> None:
        """NapCat's, LLOneBot's and Lagrange's pokes."""
        user = number(action.user)
        if action.chat.kind == "group":
            await self._calls.do("group_poke", **place(action.chat), user_id=user)
        else:
            await self._calls.do("friend_poke", **place(action.chat), target_id=user)

    async def get_user(self, action: act.GetUser) -> User:
        """Describe any user."""
        asked = {"user_id": number(action.user), "no_cache": action.fresh}
        data = await self._calls.read("get_stranger_info", **asked)
        return _readable(answers.user_of, data, action.user)

    async def get_friends(self, _: act.GetFriends) -> tuple[User, ...]:
        """List the friends."""
        data = await self._calls.read("get_friend_list")
        return tuple(_readable(answers.user_of, entry) for entry in answers.listed(data))

    async def get_group(self, action: act.GetGroup) -> act.Group:
        """Describe a group."""
        asked = {"group_id": number(action.group), "no_cache": action.fresh}
        data = await self._calls.read("get_group_info", **asked)
        return _readable(answers.group_of, data, action.group)

    async def get_groups(self, _: act.GetGroups) -> tuple[act.Group, ...]:
        """List the groups."""
        data = await self._calls.read("get_group_list")
        return tuple(_readable(answers.group_of, entry) for entry in answers.listed(data))

    async def get_member(self, action: act.GetMember) -> act.Member:
        """Describe a member."""
        asked = _member(action.group, action.user) | {"no_cache": action.fresh}
        data = await self._calls.read("get_group_member_info", **asked)
        return _readable(answers.member_of, data, action.user)

    async def get_members(self, action: act.GetMembers) -> tuple[act.Member, ...]:
        """List the members."""
        data = await self._calls.read("get_group_member_list", group_id=number(action.group))
        return tuple(_readable(answers.member_of, entry) for entry in answers.listed(data))

    async def kick_member(self, action: act.KickMember) -> None:
        """Remove a member."""
        who = _member(action.group, action.user)
        await self._calls.do("set_group_kick", **who, reject_add_request=action.reject_future)

    async def mute_member(self, action: act.MuteMember) -> None:
        """Silence a member, or somebody anonymous by the flag of their message."""
        if action.user is not None:
            who = _member(action.group, action.user)
            await self._calls.do("set_group_ban", **who, duration=action.duration_s)
            return
        flag = action.anonymous_flag
        await self._calls.do(
            "set_group_anonymous_ban",
            group_id=number(action.group),
            anonymous_flag=flag,
            flag=flag,
            duration=action.duration_s,
        )

    async def mute_group(self, action: act.MuteGroup) -> None:
        """Silence all members, or lift it."""
        group = number(action.group)
        await self._calls.do("set_group_whole_ban", group_id=group, enable=action.muted)

    async def set_role(self, action: act.SetRole) -> None:
        """Make a member admin, or not."""
        if action.role == "owner":
            raise UnsupportedAction("OneBot V11 cannot give a group to another owner")
        who = _member(action.group, action.user)
        await self._calls.do("set_group_admin", **who, enable=action.role == "admin")

    async def set_anonymous(self, action: act.SetAnonymous) -> None:
        """Allow anonymous messages, or forbid them."""
        group = number(action.group)
        await self._calls.do("set_group_anonymous", group_id=group, enable=action.allowed)

    async def set_card(self, action: act.SetCard) -> None:
        """Set a member's name in the group."""
        who = _member(action.group, action.user)
        await self._calls.do("set_group_card", **who, card=action.card)

    async def set_title(self, action: act.SetTitle) -> None:
        """Set a member's title."""
        what = {"special_title": action.title, "duration": action.duration_s}
        who = _member(action.group, action.user)
        await self._calls.do("set_group_special_title", **who, **what)

    async def rename_group(self, action: act.RenameGroup) -> None:
        """Rename a group."""
        group = number(action.group)
        await self._calls.do("set_group_name", group_id=group, group_name=action.name)

    async def leave_group(self, action: act.LeaveGroup) -> None:
        """Leave a group."""
        group = number(action.group)
        await self._calls.do("set_group_leave", group_id=group, is_dismiss=action.dismiss)

    async def answer_friend_request(self, action: act.AnswerFriendRequest) -> None:
        """Answer a friend request."""
        what = {"approve": action.approve, "remark": action.remark}
        await self._calls.do("set_friend_add_request", flag=action.flag, **what)

    async def answer_group_request(self, action: act.AnswerGroupRequest) -> None:
        """Answer a request or invitation; `type` is its older name, which some read."""
        kind = {"sub_type": action.kind, "type": action.kind}
        what = {"approve": action.approve, "reason": action.reason}
        await self._calls.do("set_group_add_request", flag=action.flag, **kind, **what)

    async def like_user(self, action: act.LikeUser) -> None:
        """Praise a user."""
        await self._calls.do("send_like", user_id=number(action.user), times=action.times)

    async def set_remark(self, action: act.SetRemark) -> None:
        """Note a name of a friend: not in the standard, but in NapCat and LLOneBot."""
        user = number(action.user)
        await self._calls.do("set_friend_remark", user_id=user, remark=action.remark)

    async def get_honors(self, action: act.GetHonors) -> act.Honors:
        """List the honors of a group."""
        asked = {"group_id": number(action.group), "type": action.kind}
        return answers.honors_of(await self._calls.read("get_group_honor_info", **asked))

    async def get_credentials(self, action: act.GetCredentials) -> act.Credentials:
        """Open the platform's web pages."""
        return answers.credentials_of(
            await self._calls.read("get_credentials", domain=action.domain)
        )

    async def get_media(self, action: act.GetMedia) -> act.MediaFile:
        """A file by the upstream's own name for it; see `received`."""
        return await get_received(self._calls, self.kit.media, action)

    async def restart(self, action: act.Restart) -> None:
        """Restart the upstream, which then connects anew."""
        await self._calls.do("set_restart", delay=action.delay_ms)

    async def clear_cache(self, _: act.ClearCache) -> None:
        """Throw away what the upstream keeps."""
        await self._calls.do("clean_cache")

    async def call_native(self, action: act.CallNative) -> act.NativeAnswer:
        """Call an action that OneBot V11 does not have."""
        if action.protocol != PROTOCOL:
            raise UnsupportedAction(f"{self.kit.account.platform} does not speak {action.protocol}")
        if not self.config.pass_through:
            raise UnsupportedAction(f"{action.name} is not OneBot V11's, and pass_through is off")
        return answers.native_answer(await self._calls.reply(action.name, action.params))


def _member(group: str, user: str) -> dict[str, Any]:
    return {"group_id": number(group), "user_id": number(user)}


def _readable(decode: Callable[..., T], *given: object) -> T:
    """What an answer says. Raises PlatformUnavailable for one that makes no sense."""
    try:
        return decode(*given)
    except Unreadable as error:
        raise PlatformUnavailable(f"the upstream's answer makes no sense: {error}") from error
