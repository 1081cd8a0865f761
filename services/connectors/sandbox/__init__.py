"""The sandbox: a small chat platform inside onebus, for trying bots and for tests.

People, groups with roles, private chats, replies, mentions, images by URL and recall, on a page at
`/sandbox/{account}/` and over REST below it (POST and answers are JSON, ids are strings, errors
are `{"error", "hint"?}`):

    POST   api/messages   {"user", "group"?, "message": "text" or [segments], "reply_to"?, "name"?}
                          → {"message_id"}, once the event is in the log
    GET    api/messages?group=lobby or ?user=alice, &after=<message_id>, &limit=200
                          → {"messages": [message…], "truncated"}: oldest first, the last `limit`
    DELETE api/messages/{message_id}?user=alice&group=lobby
    GET    api/stream     the same live, as server-sent events; ?group= or ?user= for one chat
    GET    api/state      → {"bot", "users", "groups"}, each with the number OneBot bots see
    POST   api/users      {"user", "name"?}
    POST   api/groups     {"group", "name"?}
    POST   api/groups/{group}/members {"user", "role"?, "card"?}; DELETE …/members/{user}

Users and groups come into being when a person or the bot first names them; the first person in a
group is its owner, and the bot is a member of every group. A message and its segments are
described in `message.py`.

Limits: 10,000 users and groups, 1,000 members a group, 256 KiB a message; no files, no edits.

This is the connector to copy from. `message.py` translates and is pure; `state.py`, `groups.py`
and `conversations.py` are the platform itself, elsewhere somebody else's server; `rest.py`,
`stream.py` and `access.py` serve people.
"""

from typing import get_args

from aiohttp import web

from connectors.sandbox import config as configuration
from connectors.sandbox.access import Access
from connectors.sandbox.config import Config
from connectors.sandbox.conversations import Conversations
from connectors.sandbox.groups import Groups
from connectors.sandbox.rest import Rest
from connectors.sandbox.state import (
    BUCKET,
    MAX_MEMBERS,
    Group,
    GroupChange,
    State,
    check_id,
    check_outranks,
    check_rank,
    with_card,
    with_mute,
    with_name,
    with_role,
    with_title,
    without_member,
)
from onebus import action as act
from onebus import connector
from onebus.action import Sent
from onebus.connector import Kit, SelfInfo
from onebus.errors import BadParams, Forbidden
from onebus.event import User
from onebus.ids import ChatId, UserId
from onebus.segment import Segment

__all__ = ["Config", "Connector"]

MAX_MUTE_S = 30 * 24 * 3600


class Connector(connector.Connector[configuration.Config]):
    """One account on the sandbox: its bot user, whose id is the account's."""

    Config = configuration.Config
    page = "/"
    sends = tuple(str(kind.__struct_config__.tag) for kind in get_args(Segment))

    def __init__(self, config: configuration.Config, kit: Kit) -> None:
        super().__init__(config, kit)
        self._state = State(kit.bucket(BUCKET), kit.account, config.nickname)
        self._groups = Groups(kit, self._state)
        self._conversations = Conversations(kit, self._state, self._groups)
        self._rest = Rest(kit, self._state, self._groups, Access(config.access_token))

    async def open(self) -> SelfInfo:
        """Nothing can be wrong with a platform that is ours."""
        return SelfInfo(self._state.me)

    async def close(self) -> None:
        """Let browsers go; they come back to another replica."""
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

    async def get_user(self, action: act.GetUser) -> User:
        """Describe a user."""
        return await self._state.user(action.user)

    async def get_friends(self, _: act.GetFriends) -> tuple[User, ...]:
        """List all people: everybody may write to the bot."""
        return tuple(await self._state.users())

    async def get_group(self, action: act.GetGroup) -> act.Group:
        """Describe a group."""
        return _group_info(await self._state.group(action.group))

    async def get_groups(self, _: act.GetGroups) -> tuple[act.Group, ...]:
        """List all groups: the bot is in each."""
        return tuple(_group_info(group) for group in await self._state.groups())

    async def get_member(self, action: act.GetMember) -> act.Member:
        """Describe a member."""
        member = (await self._state.group(action.group)).member(action.user)
        return act.Member(await self._state.user(action.user), member)

    async def get_members(self, action: act.GetMembers) -> tuple[act.Member, ...]:
        """List the members of a group, the bot first."""
        group = await self._state.group(action.group)
        users = {user.id: user for user in (self._state.me, *await self._state.users())}
        members = ((users.get(UserId(user)), member) for user, member in group.members.items())
        return tuple(act.Member(user, member) for user, member in members if user)

    async def kick_member(self, action: act.KickMember) -> None:
        """Remove a member whom the bot outranks; who writes again is back in the group."""
        await self._over(action.group, action.user, without_member(action.user))

    async def mute_member(self, action: act.MuteMember) -> None:
        """Silence a member whom the bot outranks."""
        if action.user is None:
            raise BadParams("nobody is anonymous on the sandbox")
        if not 0 <= action.duration_s <= MAX_MUTE_S:
            raise BadParams(f"duration must be from 0 to {MAX_MUTE_S} seconds")
        until_s = self._groups.now_s() + action.duration_s if action.duration_s else 0
        await self._over(action.group, action.user, with_mute(action.user, until_s))

    async def set_role(self, action: act.SetRole) -> None:
        """Change a member's role, as owner."""
        await self._as_owner(action.group, action.user, with_role(action.user, action.role))

    async def set_title(self, action: act.SetTitle) -> None:
        """Change a member's title, as owner; it stays until it is changed."""
        title = action.title and check_id("title", action.title)
        await self._as_owner(action.group, action.user, with_title(action.user, title))

    async def set_card(self, action: act.SetCard) -> None:
        """Change the bot's own name in the group, or that of a member whom it outranks."""
        card = with_card(action.user, action.card and check_id("card", action.card))
        if action.user == self._state.me.id:
            await self._groups.change(action.group, card, self._state.me.id)
        else:
            await self._over(action.group, action.user, card)

    async def rename_group(self, action: act.RenameGroup) -> None:
        """Rename a group, as admin or owner."""
        name = with_name(check_id("name", action.name))

        def change(group: Group) -> Group:
            check_rank(group, self._state.me.id, "admin")
            return name(group)

        await self._groups.change(action.group, change, self._state.me.id)

    async def _over(self, group: ChatId, user: UserId, change: GroupChange) -> None:
        """Change a member whom the bot outranks. Raises Forbidden."""

        def checked(group: Group) -> Group:
            check_outranks(group, self._state.me.id, user)
            return change(group)

        await self._groups.change(group, checked, self._state.me.id)

    async def _as_owner(self, group: ChatId, user: UserId, change: GroupChange) -> None:
        """Change another member as the group's owner. Raises Forbidden."""
        if user == self._state.me.id:
            raise Forbidden("the bot cannot change this of itself")

        def checked(group: Group) -> Group:
            check_rank(group, self._state.me.id, "owner")
            return change(group)

        await self._groups.change(group, checked, self._state.me.id)


def _group_info(group: Group) -> act.Group:
    return act.Group(group.id, group.name, len(group.members), MAX_MEMBERS)
