"""Makes happen what is posted to `api/events`: the state changes, and the bots are told.

What is posted did happen, so nobody's authority is asked, but it must be possible: whoever is
named in a group has to be a member of it, and the bot too, or it would not hear of it. A person
comes into being when first named.
"""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypedDict

from msgspec import Struct

from connectors.sandbox import posted as p
from connectors.sandbox.boards import FILE, Boards
from connectors.sandbox.conversations import Conversations
from connectors.sandbox.documents import StoredFile, with_friend
from connectors.sandbox.files import Files
from connectors.sandbox.group import (
    FOR_EVER,
    Group,
    GroupChange,
    admitted,
    check_duration,
    check_title_s,
    until_s,
    with_card,
    with_everyone_muted,
    with_honor,
    with_mute,
    with_name,
    with_role,
    with_title,
    without_member,
)
from connectors.sandbox.groups import Groups, new_id
from connectors.sandbox.message import check_url, decode_message
from connectors.sandbox.presence import Presence
from connectors.sandbox.requests import Requests
from connectors.sandbox.state import State, check_id
from onebus import event as ev
from onebus.connector import Kit
from onebus.errors import BadParams
from onebus.event import Chat, Event, private_chat
from onebus.ids import Account, ChatId, MessageId, UserId

MAX_TEXT = 1_000
MAX_SIZE_BYTES = 1 << 50


class Told(Struct, frozen=True, omit_defaults=True):
    """Where an event is: `event_id` is what OneBot bots know it by, `flag` what answers it."""

    id: str
    event_id: str
    flag: str = ""


class _Base(TypedDict):
    account: Account
    time_ms: int
    id: str


class Events:
    """Changes one account's state as the platform itself, and logs what that means."""

    def __init__(
        self, kit: Kit, state: State, groups: Groups, conversations: Conversations
    ) -> None:
        self._kit = kit
        self._state = state
        self._groups = groups
        self._conversations = conversations
        self._files = Files(kit)
        self._boards = Boards(kit, state, conversations)
        self._requests = Requests(kit, state, groups)
        self._presence = Presence(state)

    async def post(self, posted: p.Posted) -> Told:
        """Make it happen; returns when the log has it. Raises BadParams, NotFound, Forbidden."""
        if isinstance(posted, p.MessageRecalled):
            chat = self._chat(posted)
            message = MessageId(posted.message_id)
            sequence = await self._conversations.recall(chat, message, UserId(posted.user))
            return Told(posted.message_id, str(sequence))
        now_ms = self._kit.now_ms()
        event_id = check_id("id", posted.id) if posted.id else new_id(now_ms)
        base: _Base = {"account": self._kit.account, "time_ms": now_ms, "id": event_id}
        event = await self._makers[type(posted)](self, posted, base)
        sequence = await self._kit.append(event)
        return Told(event_id, str(sequence), getattr(event, "flag", ""))

    async def _member_joined(self, posted: p.MemberJoined, base: _Base) -> Event:
        user = await self._state.anybody(UserId(posted.user))
        operator = await self._state.anybody(UserId(posted.operator or user.id))
        is_me, now_s = user.id == self._state.me.id, base["time_ms"] // 1000
        join = admitted(user.id, now_s, may_own=not is_me)

        def change(group: Group) -> Group:
            if not is_me:
                self._state.check_inside(group)
            return join(group)

        changed = await self._state.change_group(ChatId(posted.group), change, new_at_s=now_s)
        chat = changed.after.chat
        return ev.MemberJoined(**base, chat=chat, user=user, operator=operator.id, how=posted.how)

    async def _member_left(self, posted: p.MemberLeft, base: _Base) -> Event:
        user = await self._state.user(UserId(posted.user))
        operator = await self._state.anybody(UserId(posted.operator or user.id))
        # Posted again, the member may be gone since the first time, and the bot with them.
        again = bool(posted.id)
        leave = without_member(user.id, may_miss=again)

        def change(group: Group) -> Group:
            if not again:
                self._state.check_inside(group)
            return leave(group)

        changed = await self._state.change_group(ChatId(posted.group), change)
        return ev.MemberLeft(**base, chat=changed.after.chat, user=user, operator=operator.id)

    async def _member_muted(self, posted: p.MemberMuted, base: _Base) -> Event:
        duration_s = check_duration(posted.duration_s)
        if not posted.user:
            duration_s = FOR_EVER if duration_s else 0
            change = with_everyone_muted(bool(duration_s))
        else:
            change = with_mute(UserId(posted.user), until_s(duration_s, base["time_ms"] // 1000))
        group = await self._changed(posted.group, change, posted.operator)
        return ev.MemberMuted(
            **base,
            chat=group.chat,
            user=UserId(posted.user) if posted.user else None,
            operator=self._operator(posted.operator, group),
            duration_s=duration_s,
        )

    async def _role_changed(self, posted: p.RoleChanged, base: _Base) -> Event:
        user = UserId(posted.user)
        group = await self._changed(posted.group, with_role(user, posted.role))
        return ev.RoleChanged(**base, chat=group.chat, user=user, role=posted.role)

    async def _card_changed(self, posted: p.CardChanged, base: _Base) -> Event:
        user, card = UserId(posted.user), posted.card and check_id("card", posted.card)
        old = (await self._state.my_group(ChatId(posted.group))).member(user).card
        group = await self._changed(posted.group, with_card(user, card))
        return ev.CardChanged(**base, chat=group.chat, user=user, card=card, old_card=old)

    async def _title_changed(self, posted: p.TitleChanged, base: _Base) -> Event:
        user, title = UserId(posted.user), posted.title and check_id("title", posted.title)
        ends_s = until_s(check_title_s(posted.duration_s), base["time_ms"] // 1000)
        group = await self._changed(posted.group, with_title(user, title, ends_s))
        return ev.TitleChanged(**base, chat=group.chat, user=user, title=title)

    async def _group_renamed(self, posted: p.GroupRenamed, base: _Base) -> Event:
        change = with_name(check_id("name", posted.name))
        group = await self._changed(posted.group, change, posted.operator)
        operator = self._operator(posted.operator, group)
        return ev.GroupRenamed(**base, chat=group.chat, operator=operator, name=group.name)

    async def _file_uploaded(self, posted: p.FileUploaded, base: _Base) -> Event:
        file = posted.file
        if not 0 <= file.size_bytes <= MAX_SIZE_BYTES:
            raise BadParams(f"file.size_bytes must be from 0 to {MAX_SIZE_BYTES}")
        url, size_bytes = file.url and check_url("file.url", file.url), file.size_bytes
        if file.file:
            kept = await self._files.checked_file(file.file)
            url, size_bytes = kept.file, kept.size_bytes or 0
        chat = await self._among(posted, posted.user)
        name, user = check_id("file.name", file.name), UserId(posted.user)
        stored = StoredFile(f"{FILE}{base['id']}", name, url, size_bytes, user)
        return await self._boards.upload(chat, stored, base["id"])

    async def _friend_added(self, posted: p.FriendAdded, base: _Base) -> Event:
        friend = await self._state.named(UserId(posted.user), with_friend(True))
        return ev.FriendAdded(**base, user=friend.user)

    async def _friend_removed(self, posted: p.FriendRemoved, base: _Base) -> Event:
        await self._state.person(UserId(posted.user))
        stranger = await self._state.named(UserId(posted.user), with_friend(False))
        return ev.FriendRemoved(**base, user=stranger.user)

    async def _friend_requested(self, posted: p.FriendRequested, base: _Base) -> Event:
        flag = base["id"]
        await self._requests.ask_friend(flag, UserId(posted.user), posted.comment)
        user = await self._state.user(UserId(posted.user))
        return ev.FriendRequested(**base, user=user, comment=posted.comment, flag=flag)

    async def _group_requested(self, posted: p.GroupRequested, base: _Base) -> Event:
        ask = self._requests.invite if posted.kind == "invite" else self._requests.ask_to_join
        user, group_id, flag = UserId(posted.user), ChatId(posted.group), base["id"]
        group = await ask(flag, user, group_id, posted.comment)
        return ev.GroupRequested(
            **base,
            chat=group.chat,
            user=await self._state.user(user),
            kind=posted.kind,
            comment=posted.comment,
            flag=flag,
        )

    async def _reaction_changed(self, posted: p.ReactionChanged, base: _Base) -> Event:
        return await self._boards.react(
            ev.ReactionChanged(
                **base,
                chat=await self._among(posted, posted.user),
                message=MessageId(posted.message_id),
                user=UserId(posted.user),
                emoji=posted.emoji,
                added=posted.added,
            )
        )

    async def _message_pinned(self, posted: p.MessagePinned, base: _Base) -> Event:
        chat, message = await self._among(posted, posted.user), MessageId(posted.message_id)
        user = UserId(posted.user)
        return await self._boards.pin(chat, message, user, posted.pinned, base["id"])

    async def _poked(self, posted: p.Poked, base: _Base) -> Event:
        target = UserId(posted.target or self._state.me.id)
        chat = await self._among(posted, posted.user, target)
        return ev.Poked(**base, chat=chat, user=UserId(posted.user), target=target)

    async def _lucky_king(self, posted: p.LuckyKing, base: _Base) -> Event:
        chat = await self._among(posted, posted.user, posted.target)
        user, target = UserId(posted.user), UserId(posted.target)
        return ev.LuckyKing(**base, chat=chat, user=user, target=target)

    async def _honor_changed(self, posted: p.HonorChanged, base: _Base) -> Event:
        user, now_s = UserId(posted.user), base["time_ms"] // 1000
        group = await self._changed(posted.group, with_honor(user, posted.honor, now_s))
        return ev.HonorChanged(**base, chat=group.chat, user=user, honor=posted.honor)

    async def _interaction(self, posted: p.Interaction, base: _Base) -> Event:
        if not 1 <= len(posted.value) <= MAX_TEXT:
            raise BadParams(f"value must be 1 to {MAX_TEXT} characters")
        chat = await self._among(posted, posted.user)
        user = await self._state.user(UserId(posted.user))
        return ev.Interaction(**base, chat=chat, user=user, kind=posted.kind, value=posted.value)

    async def _message_edited(self, posted: p.MessageEdited, base: _Base) -> Event:
        segments = decode_message(posted.message)
        message, user = MessageId(posted.message_id), UserId(posted.user)
        chat = self._chat(posted)
        return await self._conversations.edit(chat, message, user, segments, base["id"])

    async def _account_changed(self, posted: p.AccountChanged, base: _Base) -> Event:
        if len(posted.reason) > MAX_TEXT:
            raise BadParams(f"reason has at most {MAX_TEXT} characters")
        await self._presence.change(posted.online, posted.reason)
        return ev.AccountChanged(**base, online=posted.online, reason=posted.reason)

    async def _changed(self, group: str, change: GroupChange, operator: str = "") -> Group:
        """A group that the bot is in, and an operator, changed. Raises NotFound or Forbidden."""

        def checked(known: Group) -> Group:
            self._state.check_inside(known)
            known.member(self._operator(operator, known))
            return change(known)

        return (await self._state.change_group(ChatId(group), checked)).after

    def _operator(self, operator: str, group: Group) -> UserId:
        """Who did it: who is named, or else the owner, or in nobody's group the bot."""
        return UserId(operator) if operator else group.owner() or self._state.me.id

    def _chat(self, posted: Any) -> Chat:
        group, user = posted.group, UserId(posted.user)
        return Chat("group", ChatId(group)) if group else private_chat(user)

    async def _among(self, posted: Any, *users: str) -> Chat:
        """The chat of all these: a group, or that of the bot with the one person among them.

        Raises NotFound, BadParams or Forbidden.
        """
        if posted.group:
            group = await self._state.my_group(ChatId(posted.group))
            for user in users:
                group.member(UserId(user))
            return group.chat
        persons = {user for user in users if user != self._state.me.id}
        if len(persons) != 1:
            raise BadParams("a private chat is that of one person with the bot: name a group")
        person = await self._state.named(UserId(persons.pop()))
        return private_chat(person.id)

    _makers: ClassVar[dict[type, Callable[["Events", Any, _Base], Awaitable[Event]]]] = {
        p.MemberJoined: _member_joined,
        p.MemberLeft: _member_left,
        p.MemberMuted: _member_muted,
        p.RoleChanged: _role_changed,
        p.CardChanged: _card_changed,
        p.TitleChanged: _title_changed,
        p.GroupRenamed: _group_renamed,
        p.FileUploaded: _file_uploaded,
        p.FriendAdded: _friend_added,
        p.FriendRemoved: _friend_removed,
        p.FriendRequested: _friend_requested,
        p.GroupRequested: _group_requested,
        p.ReactionChanged: _reaction_changed,
        p.MessagePinned: _message_pinned,
        p.Poked: _poked,
        p.LuckyKing: _lucky_king,
        p.HonorChanged: _honor_changed,
        p.Interaction: _interaction,
        p.MessageEdited: _message_edited,
        p.AccountChanged: _account_changed,
    }
