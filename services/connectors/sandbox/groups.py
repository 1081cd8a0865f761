"""Changes of groups, and the events that tell of them.

An event is the difference of a group before and after: whoever makes a change, by whatever way,
the bots learn of it. The state changes first, because only the winner of a compare-and-set knows
what changed; should the process die between the two, the change is real and goes untold.
"""

import secrets
from collections.abc import Iterator
from typing import Literal, TypedDict

from connectors.sandbox.group import FOR_EVER, Group, GroupChange
from connectors.sandbox.state import State
from connectors.sandbox.store import Changed
from onebus import event as ev
from onebus.connector import Kit
from onebus.event import Chat, Event, Membership, User
from onebus.ids import Account, ChatId, UserId

Joined = Literal["approve", "invite"]


def new_id(now_ms: int) -> str:
    """An id for a message or an event: unique, and as text in order of time to the millisecond."""
    return f"m{now_ms:012x}{secrets.token_hex(4)}"


class Groups:
    """Changes the groups of one account and tells its bots."""

    def __init__(self, kit: Kit, state: State) -> None:
        self._kit = kit
        self._state = state

    def now_s(self) -> int:
        """Unix seconds."""
        return self._kit.now_ms() // 1000

    async def enter(self, group: ChatId, change: GroupChange) -> Group:
        """Change a group that comes into being when first named, without a word to the bots."""
        changed = await self._state.change_group(group, change, new_at_s=self.now_s())
        return changed.after

    async def change(
        self,
        group: ChatId,
        change: GroupChange,
        operator: UserId,
        *,
        make: bool = False,
        how: Joined = "approve",
    ) -> Group:
        """Change a group in the name of `operator` and log what that means. Raises NotFound.

        `make`: a group that does not exist is made first. The bots are told of groups that theirs
        is in, or was before.
        """
        new_at_s = self.now_s() if make else None
        changed = await self._state.change_group(group, change, new_at_s=new_at_s)
        for event in await self._events(changed, operator, how):
            await self._kit.append(event)
        return changed.after

    async def _events(self, changed: Changed[Group], operator: UserId, how: Joined) -> list[Event]:
        me, after = self._state.me.id, changed.after
        before = changed.before or Group(after.id, after.name, {me: Membership()})
        if me not in before.members and me not in after.members:
            return []
        come = after.members.keys() - before.members.keys()
        gone = before.members.keys() - after.members.keys()
        users = {user: await self._state.user(UserId(user)) for user in (*come, *gone)}
        told = _Differences(self._kit, after.chat, operator, users)
        return list(told.between(before, after, how))


class _Base(TypedDict):
    account: Account
    time_ms: int
    id: str


class _Who(_Base):
    chat: Chat
    user: User
    operator: UserId


class _Differences:
    """Two versions of one group → the events between them."""

    def __init__(self, kit: Kit, chat: Chat, operator: UserId, users: dict[str, User]) -> None:
        self._kit = kit
        self._chat = chat
        self._operator = operator
        self._users = users
        self._time_ms = kit.now_ms()

    def between(self, before: Group, after: Group, how: Joined) -> Iterator[Event]:
        """All events, the group's first."""
        yield from self._of_group(before, after)
        for user, member in after.members.items():
            if (old := before.members.get(user)) is None:
                yield ev.MemberJoined(**self._who(user), how=how)
                old = Membership(role=member.role)
            if old != member:
                yield from self._of_member(UserId(user), old, member)
        for user in before.members.keys() - after.members.keys():
            yield ev.MemberLeft(**self._who(user))
        for user, mask in after.masks.items():
            known = before.masks.get(user, mask)
            if mask.muted_until_s != known.muted_until_s:
                yield self._muted(mask.id, self._left_s(mask.muted_until_s))

    def _of_group(self, before: Group, after: Group) -> Iterator[Event]:
        if after.name != before.name:
            yield ev.GroupRenamed(
                **self._base(), chat=self._chat, operator=self._operator, name=after.name
            )
        if after.muted != before.muted:
            yield self._muted(None, FOR_EVER if after.muted else 0)

    def _of_member(self, user: UserId, old: Membership, new: Membership) -> Iterator[Event]:
        base, chat = self._base, self._chat
        if new.role != old.role:
            yield ev.RoleChanged(**base(), chat=chat, user=user, role=new.role)
        if new.card != old.card:
            yield ev.CardChanged(**base(), chat=chat, user=user, card=new.card, old_card=old.card)
        if new.title != old.title:
            yield ev.TitleChanged(**base(), chat=chat, user=user, title=new.title)
        if new.muted_until_s != old.muted_until_s:
            yield self._muted(user, self._left_s(new.muted_until_s))

    def _muted(self, user: UserId | None, duration_s: int) -> ev.MemberMuted:
        return ev.MemberMuted(
            **self._base(),
            chat=self._chat,
            user=user,
            operator=self._operator,
            duration_s=duration_s,
        )

    def _left_s(self, until_s: int) -> int:
        return max(until_s - self._time_ms // 1000, 0)

    def _who(self, user: str) -> _Who:
        return {
            **self._base(),
            "chat": self._chat,
            "user": self._users[user],
            "operator": self._operator,
        }

    def _base(self) -> _Base:
        return {
            "account": self._kit.account,
            "time_ms": self._time_ms,
            "id": new_id(self._time_ms),
        }
