"""What the bot may do in a group by its rank there: admins over members, the owner over all."""

from connectors.sandbox.group import (
    Group,
    GroupChange,
    check_duration,
    check_outranks,
    check_rank,
    masked,
    with_mask_muted,
    without_member,
)
from connectors.sandbox.groups import Groups, new_id
from connectors.sandbox.state import State
from onebus.connector import Kit
from onebus.errors import Forbidden
from onebus.event import MemberLeft, Role
from onebus.ids import ChatId, UserId


class Moderation:
    """Changes groups in the name of one account's bot. Every call raises NotFound or Forbidden."""

    def __init__(self, kit: Kit, state: State, groups: Groups) -> None:
        self._kit = kit
        self._state = state
        self._groups = groups
        self._me = state.me.id

    async def as_member(self, group: ChatId, change: GroupChange) -> None:
        """Change what every member may."""
        await self._as("member", group, change)

    async def as_admin(self, group: ChatId, change: GroupChange) -> None:
        """Change a group as admin or owner."""
        await self._as("admin", group, change)

    async def as_owner(self, group: ChatId, user: UserId, change: GroupChange) -> None:
        """Change another member as the group's owner."""
        if user == self._me:
            raise Forbidden("the bot cannot change this of itself")
        await self._as("owner", group, change)

    async def over(self, group: ChatId, user: UserId, change: GroupChange) -> None:
        """Change a member whom the bot outranks."""

        def checked(known: Group) -> Group:
            self._state.check_inside(known)
            check_outranks(known, self._me, user)
            return change(known)

        await self._groups.change(group, checked, self._me)

    async def mute_anonymous(self, group: ChatId, flag: str, duration_s: int) -> None:
        """Silence whom the bot outranks in their mask; it cannot be lifted. Raises BadParams."""
        until_s = self._groups.now_s() + check_duration(duration_s, least=1)
        change = with_mask_muted(flag, until_s)

        def checked(known: Group) -> Group:
            self._state.check_inside(known)
            check_outranks(known, self._me, masked(known, flag)[0])
            return change(known)

        await self._groups.change(group, checked, self._me)

    async def leave(self, group: ChatId) -> None:
        """The bot leaves; an owner cannot."""
        leave = without_member(self._me)

        def checked(known: Group) -> Group:
            self._state.check_inside(known)
            if known.owner() == self._me:
                raise Forbidden(f"the owner of the group {group} can only dissolve it")
            return leave(known)

        await self._groups.change(group, checked, self._me)

    async def dissolve(self, group: ChatId) -> None:
        """The bot's group is no more; the bot hears that it left."""
        dissolved = await self._state.dissolve_group(group)
        now_ms = self._kit.now_ms()
        await self._kit.append(
            MemberLeft(
                account=self._kit.account,
                time_ms=now_ms,
                id=new_id(now_ms),
                chat=dissolved.chat,
                user=self._state.me,
                operator=self._me,
            )
        )

    async def _as(self, least: Role, group: ChatId, change: GroupChange) -> None:
        def checked(known: Group) -> Group:
            self._state.check_inside(known)
            check_rank(known, self._me, least)
            return change(known)

        await self._groups.change(group, checked, self._me)
