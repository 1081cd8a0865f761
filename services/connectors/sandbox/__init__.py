"""The sandbox: a small chat platform inside onebus, for trying bots and for tests.

People, friends, groups with roles, private chats and every kind of message, notice and request that
the model has, on a page at `/sandbox/{account}/` and over REST below it (POST and answers are JSON,
ids are strings, errors are `{"error", "hint"?}`):

    POST   api/messages   {"user", "group"?, "message": "text" or [segments], "reply_to"?, "name"?,
                           "anonymous"?: true, "notice"?: true, "message_id"?}
                          → {"message_id"}, once the event is in the log; with a `message_id` of
                          one's own it may be said again, and is one message
    GET    api/messages?group=lobby or ?user=alice, &after=<message_id>, &limit=200
                          → {"messages": [message…], "truncated"}: oldest first, the last `limit`
    DELETE api/messages/{message_id}?user=alice&group=lobby
    POST   api/events     {"type": …, "id"?, …}: whatever else happens, see `posted.py`
                          → {"id", "event_id", "flag"?}, once the event is in the log; `event_id` is
                          what OneBot bots know it by, `flag` what their answer to a request names
    GET    api/stream     messages and events live, as server-sent events; ?group= or ?user= for the
                          messages of one chat
    POST   api/files?name=photo.png with the file as the body, and its type or that of any bytes
                          → {"file", "url", "name", "size_bytes", "type"}; `file` goes into segments
    GET    api/files/{id} the file
    GET    api/state      everything there is, see `view.py`, with the numbers OneBot bots see
    POST   api/users      {"user", "name"?, "sex"?: "male" | "female" | "unknown", "age"?}
    POST   api/groups     {"group", "name"?, "anonymous"?: true | false}
    POST   api/groups/{group}/members {"user", "role"?, "card"?}; DELETE …/members/{user}

Users and groups come into being when a person or the bot first names them. The first person in a
group is its owner, and the bot is in every group until it leaves, is kicked or dissolves it; where
it is not, nobody can write, because messages are kept in its log alone. A person becomes a friend
by writing privately for the first time, or when the bot accepts their request; who is removed stays
removed. A message and its segments are described in `message.py`.

The bot has to be an admin or the owner for what admins and owners do, and may answer every request
that reached it. Whom it kicks for good comes back by invitation or approval alone. Whoever writes
anonymously has one name and flag in a group for as long as they stay there. While the account is
offline by an `account_changed` nobody serves it: actions fail and bots see it in their heartbeats.

Limits: 10,000 users, groups and requests, 1,000 members a group, 256 KiB a message, 10 likes a
day and person, 100 pins and 200 files a chat; files are kept for as long as the media store keeps
them, or are addresses on the web; nothing converts sound; the honors `legend` and `strong_newbie`
are nobody's.

This is the connector to copy from. `message.py` translates and is pure; `rest.py`, `stream.py` and
`access.py` serve people; the others are the platform itself, elsewhere somebody else's server.
"""

from typing import get_args
from urllib.parse import urlsplit

from aiohttp import web

from connectors.sandbox import config as configuration
from connectors.sandbox.access import Access
from connectors.sandbox.boards import Boards
from connectors.sandbox.config import Config
from connectors.sandbox.conversations import Conversations
from connectors.sandbox.documents import MAX_LIKES_A_DAY, StoredFile, with_likes, with_remark
from connectors.sandbox.group import (
    check_duration,
    check_rank,
    check_title_s,
    until_s,
    with_anonymous,
    with_card,
    with_everyone_muted,
    with_mute,
    with_name,
    with_role,
    with_title,
    without_member,
)
from connectors.sandbox.groups import Groups, new_id
from connectors.sandbox.message import check_url, decode_sent
from connectors.sandbox.moderation import Moderation
from connectors.sandbox.presence import Presence
from connectors.sandbox.profile import credentials, group_info, honors_of, member_info
from connectors.sandbox.requests import Requests
from connectors.sandbox.rest import Rest
from connectors.sandbox.state import BUCKET, State, check_id
from onebus import action as act
from onebus import connector
from onebus.action import Sent
from onebus.connector import Kit, SelfInfo
from onebus.errors import BadParams, NotFound, UnsupportedAction
from onebus.event import Poked, ReactionChanged, User, private_chat
from onebus.history import Message, messages_until
from onebus.ids import UserId
from onebus.media import SCHEME
from onebus.segment import Node, Segment

__all__ = ["Config", "Connector"]

MAX_HISTORY = 1_000


class Connector(connector.Connector[configuration.Config]):
    """One account on the sandbox: its bot user, whose id is the account's."""

    Config = configuration.Config
    page = "/"
    redelivery_horizon_s = 60.0  # whoever writes by REST says it again by themselves
    sends = tuple(str(kind.__struct_config__.tag) for kind in get_args(Segment))

    def __init__(self, config: configuration.Config, kit: Kit) -> None:
        super().__init__(config, kit)
        self._state = State(kit.bucket(BUCKET), kit.account, config.nickname)
        self._groups = Groups(kit, self._state)
        self._conversations = Conversations(kit, self._state, self._groups)
        self._boards = Boards(kit, self._state, self._conversations)
        self._requests = Requests(kit, self._state, self._groups)
        self._moderation = Moderation(kit, self._state, self._groups)
        self._presence = Presence(self._state)
        self._rest = Rest(kit, self._state, self._groups, Access(config.access_token))

    async def open(self) -> SelfInfo:
        """Nothing can be wrong with a platform that is ours, but it may take the account offline.

        Raises NotReady.
        """
        await self._presence.until_online()
        return SelfInfo(self._state.me)

    async def run(self) -> None:
        """Until the account goes offline or is restarted. Raises NotReady."""
        await self._presence.hold()

    async def close(self) -> None:
        """Let browsers go; they come back to another replica."""
        self._presence.close()
        self._rest.streams.close()

    def routes(self) -> list[web.RouteDef]:
        """The page and the REST, at every replica."""
        return self._rest.routes()

    async def send_message(self, action: act.SendMessage) -> Sent:
        """Write into a chat; a user or group that is new comes into being."""
        return await self._conversations.send(action.chat, action.segments)

    async def recall_message(self, action: act.RecallMessage) -> None:
        """Take back what the bot wrote, or as admin what members wrote."""
        await self._conversations.recall(action.chat, action.message, self._state.me.id)

    async def edit_message(self, action: act.EditMessage) -> None:
        """Change what the bot wrote."""
        segments = decode_sent(action.segments)
        chat, message, me = action.chat, action.message, self._state.me.id
        await self.kit.append(await self._conversations.edit(chat, message, me, segments))

    async def get_message(self, action: act.GetMessage) -> act.HistoryMessage:
        """Read one message as it is now."""
        return _remembered(await self._conversations.known(action.chat, action.message))

    async def get_history(self, action: act.GetHistory) -> tuple[act.HistoryMessage, ...]:
        """Read a chat backwards, without what was taken back."""
        if not 1 <= action.limit <= MAX_HISTORY:
            raise BadParams(f"limit must be from 1 to {MAX_HISTORY}")
        log, account, chat = self.kit.log, self.kit.account, action.chat
        if action.before is None:
            found = await messages_until(log, account, chat, None, action.limit)
        else:
            known = await log.of_message(account, chat, action.before)
            if known is None:
                raise NotFound(f"there is no message {action.before} in this chat")
            found = await messages_until(log, account, chat, known.sequence, action.limit + 1)
            found = found[:-1]
        return tuple(_remembered(message) for message in found if not message.recalled)

    async def get_forward(self, action: act.GetForward) -> tuple[Node, ...]:
        """Open a forward by the id that its segment has."""
        return await self._conversations.forwarded(action.id)

    async def mark_read(self, action: act.MarkRead) -> None:
        """Mark a chat read, up to a message or to the last one."""
        await self._boards.read(action.chat, action.message)

    async def react(self, action: act.React) -> None:
        """Put or remove a reaction of the bot."""
        now_ms = self.kit.now_ms()
        event = await self._boards.react(
            ReactionChanged(
                account=self.kit.account,
                time_ms=now_ms,
                id=new_id(now_ms),
                chat=action.chat,
                message=action.message,
                user=self._state.me.id,
                emoji=action.emoji,
                added=action.added,
            )
        )
        await self.kit.append(event)

    async def pin_message(self, action: act.PinMessage) -> None:
        """Pin a message; in a group as admin."""
        me = self._state.me.id
        if action.chat.kind == "group":
            check_rank(await self._state.my_group(action.chat.id), me, "admin")
        await self.kit.append(
            await self._boards.pin(action.chat, action.message, me, action.pinned)
        )

    async def poke_user(self, action: act.PokeUser) -> None:
        """Nudge a member of a group, or a person privately."""
        chat = action.chat
        if chat.kind == "group":
            group = await self._state.my_group(chat.id)
            group.member(action.user)
            chat = group.chat
        elif chat.key != private_chat(action.user).key:
            raise BadParams(f"{action.user} is not in the private chat with {chat.id}")
        await self._state.user(action.user)
        now_ms = self.kit.now_ms()
        await self.kit.append(
            Poked(
                account=self.kit.account,
                time_ms=now_ms,
                id=new_id(now_ms),
                chat=chat,
                user=self._state.me.id,
                target=action.user,
            )
        )

    async def get_user(self, action: act.GetUser) -> User:
        """Describe a user."""
        return await self._state.user(action.user)

    async def get_friends(self, _: act.GetFriends) -> tuple[User, ...]:
        """List the friends."""
        return tuple(person.user for person in await self._state.persons() if person.friend)

    async def like_user(self, action: act.LikeUser) -> None:
        """Praise a person, at most ten times a day."""
        if not 1 <= action.times <= MAX_LIKES_A_DAY:
            raise BadParams(f"times must be from 1 to {MAX_LIKES_A_DAY}")
        await self._state.person(action.user)
        await self._state.named(action.user, with_likes(action.times, self._groups.now_s()))

    async def set_remark(self, action: act.SetRemark) -> None:
        """Call a person so."""
        await self._state.person(action.user)
        await self._state.named(action.user, with_remark(action.remark))

    async def answer_friend_request(self, action: act.AnswerFriendRequest) -> None:
        """Accept a friend request, with a remark about the friend, or refuse it."""
        await self._requests.answer_friend(action.flag, action.approve, action.remark)

    async def answer_group_request(self, action: act.AnswerGroupRequest) -> None:
        """Let somebody into a group, follow an invitation, or refuse with a reason."""
        await self._requests.answer_group(action.flag, action.kind, action.approve, action.reason)

    async def get_group(self, action: act.GetGroup) -> act.Group:
        """Describe a group that the bot is in."""
        return group_info(await self._state.my_group(action.group))

    async def get_groups(self, _: act.GetGroups) -> tuple[act.Group, ...]:
        """List the groups that the bot is in."""
        groups = await self._state.groups()
        return tuple(group_info(group) for group in groups if self._state.me.id in group.members)

    async def get_member(self, action: act.GetMember) -> act.Member:
        """Describe a member."""
        group = await self._state.my_group(action.group)
        group.member(action.user)
        user = await self._state.user(action.user)
        return member_info(group, user, self._state.me.id, self._groups.now_s())

    async def get_members(self, action: act.GetMembers) -> tuple[act.Member, ...]:
        """List the members of a group, in the order in which they came."""
        group = await self._state.my_group(action.group)
        people = (person.user for person in await self._state.persons())
        me, now_s = self._state.me, self._groups.now_s()
        users = {user.id: user for user in (me, *people)}
        found = (users.get(UserId(user)) for user in group.members)
        return tuple(member_info(group, user, me.id, now_s) for user in found if user)

    async def get_honors(self, action: act.GetHonors) -> act.Honors:
        """List who holds the honors of a group, and who did before."""
        group = await self._state.my_group(action.group)
        users = {person.id: person.user for person in await self._state.persons()}
        users[self._state.me.id] = self._state.me
        return honors_of(group, action.kind, users, self._groups.now_s())

    async def kick_member(self, action: act.KickMember) -> None:
        """Remove a member whom the bot outranks; who writes again is back, unless for good."""
        leave = without_member(action.user, for_good=action.reject_future)
        await self._moderation.over(action.group, action.user, leave)

    async def mute_member(self, action: act.MuteMember) -> None:
        """Silence a member whom the bot outranks, or as admin somebody anonymous."""
        if action.user is None:
            flag = action.anonymous_flag
            await self._moderation.mute_anonymous(action.group, flag, action.duration_s)
            return
        until = until_s(check_duration(action.duration_s), self._groups.now_s())
        await self._moderation.over(action.group, action.user, with_mute(action.user, until))

    async def mute_group(self, action: act.MuteGroup) -> None:
        """Let only admins and the owner write, or all again; as admin."""
        await self._moderation.as_admin(action.group, with_everyone_muted(action.muted))

    async def set_anonymous(self, action: act.SetAnonymous) -> None:
        """Allow anonymous messages or forbid them; as admin."""
        await self._moderation.as_admin(action.group, with_anonymous(action.allowed))

    async def set_role(self, action: act.SetRole) -> None:
        """Change a member's role, as owner."""
        await self._moderation.as_owner(
            action.group, action.user, with_role(action.user, action.role)
        )

    async def set_title(self, action: act.SetTitle) -> None:
        """Change a member's title, as owner."""
        title = action.title and check_id("title", action.title)
        until = until_s(check_title_s(action.duration_s), self._groups.now_s())
        await self._moderation.as_owner(
            action.group, action.user, with_title(action.user, title, until)
        )

    async def set_card(self, action: act.SetCard) -> None:
        """Change the bot's own name in the group, or that of a member whom it outranks."""
        card = with_card(action.user, action.card and check_id("card", action.card))
        if action.user == self._state.me.id:
            await self._moderation.as_member(action.group, card)
        else:
            await self._moderation.over(action.group, action.user, card)

    async def rename_group(self, action: act.RenameGroup) -> None:
        """Rename a group, as admin or owner."""
        await self._moderation.as_admin(action.group, with_name(check_id("name", action.name)))

    async def leave_group(self, action: act.LeaveGroup) -> None:
        """Leave a group; its owner cannot leave, but dissolve it."""
        leave = self._moderation.dissolve if action.dismiss else self._moderation.leave
        await leave(action.group)

    async def get_credentials(self, action: act.GetCredentials) -> act.Credentials:
        """What would open the platform's web pages, if it asked for it: always the same."""
        return credentials(self.kit.account.account_id, action.domain)

    async def get_media(self, action: act.GetMedia) -> act.MediaFile:
        """Where a picture, voice message or file is: where its sender said.

        What was uploaded is in the media store already, which answers for it.
        """
        if action.kind == "file" and (uploaded := await self._boards.uploaded(action.file)):
            return await self._uploaded(uploaded)
        check_url("file", action.file)
        kind = urlsplit(action.file).path.rpartition(".")[2]
        if action.out_format and action.out_format != kind:
            raise UnsupportedAction(f"sandbox cannot convert sound to {action.out_format}")
        return act.MediaFile(action.file, action.file)

    async def _uploaded(self, file: StoredFile) -> act.MediaFile:
        """A file of a chat's own store."""
        if not file.url.startswith(SCHEME):
            return act.MediaFile(file.id, file.url, name=file.name)
        return await self.kit.media.get(act.GetMedia("file", file.url))

    async def restart(self, action: act.Restart) -> None:
        """Go offline after a while and come back."""
        await self._presence.restart(action.delay_ms)

    async def clear_cache(self, _: act.ClearCache) -> None:
        """There is none; the state counts how often it was asked."""
        await self._presence.clear_cache()


def _remembered(message: Message) -> act.HistoryMessage:
    event = message.event
    return act.HistoryMessage(event.message, event.sender, event.time_ms, event.segments)
