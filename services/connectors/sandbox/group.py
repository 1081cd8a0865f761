"""A group of the sandbox and the rules of it; pure.

A change takes a group and gives the changed one; it is called again on a newer version when
somebody else was faster.
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from onebus.action import HonorKind
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.event import Chat, Membership, Role, group_chat
from onebus.ids import ChatId, UserId

MAX_MEMBERS = 1_000
MAX_REFUSED = 1_000
MAX_HOLDERS = 20
"""Holders that are remembered of an honor."""
MAX_MUTE_S = 30 * 24 * 3600
MAX_TITLE_S = 3650 * 24 * 3600
FOR_EVER = -1

_RANKS: dict[Role, int] = {"member": 0, "admin": 1, "owner": 2}


class Mask(Struct, frozen=True, omit_defaults=True):
    """What a member is when they write anonymously here; the same mask for as long as they stay."""

    id: UserId
    name: str
    flag: str
    muted_until_s: int = 0


class Holder(Struct, frozen=True):
    """Who got an honor, and when."""

    user: UserId
    since_s: int


class Group(Struct, frozen=True, omit_defaults=True):
    """A group; `members` by user id, in the order in which they came.

    `masks` are by the id of the member behind. Who is in `refused` was kicked for good. `honors`
    have the newest holder first.
    """

    id: ChatId
    name: str
    members: dict[str, Membership]
    muted: bool = False
    anonymous: bool = True
    masks: dict[str, Mask] = {}
    refused: tuple[UserId, ...] = ()
    honors: dict[HonorKind, tuple[Holder, ...]] = {}

    @property
    def chat(self) -> Chat:
        """The chat of this group."""
        return group_chat(self.id, self.name)

    def member(self, user: UserId) -> Membership:
        """What a user is here. Raises NotFound."""
        if (member := self.members.get(user)) is None:
            raise NotFound(f"{user} is not in the group {self.id}")
        return member

    def owner(self) -> UserId | None:
        """Whose group it is; nobody's once the owner has left."""
        owners = (user for user, member in self.members.items() if member.role == "owner")
        return next((UserId(user) for user in owners), None)

    def outranks(self, operator: UserId, user: UserId) -> bool:
        """Whether a member has authority over another one. Raises NotFound."""
        return _RANKS[self.member(operator).role] > _RANKS[self.member(user).role]


GroupChange = Callable[[Group], Group]
"""Raises ActionError for what cannot be."""


def with_member(user: UserId, now_s: int, *, may_own: bool = True) -> GroupChange:
    """The user is in the group; the first person in it is its owner. Raises Forbidden."""

    def change(group: Group) -> Group:
        if user in group.members:
            return group
        if user in group.refused:
            raise Forbidden(f"{user} was removed from the group {group.id} for good")
        if len(group.members) >= MAX_MEMBERS:
            raise Forbidden(f"the group {group.id} is full: {MAX_MEMBERS} members")
        role: Role = "owner" if may_own and group.owner() is None else "member"
        return _put(group, user, Membership(role=role, joined_at_s=now_s))

    return change


def admitted(user: UserId, now_s: int, *, may_own: bool = True) -> GroupChange:
    """The user is in the group because somebody let them in, even one who was kicked for good."""
    join = with_member(user, now_s, may_own=may_own)

    def change(group: Group) -> Group:
        refused = tuple(other for other in group.refused if other != user)
        return join(replace(group, refused=refused))

    return change


def without_member(user: UserId, *, for_good: bool = False, may_miss: bool = False) -> GroupChange:
    """The user is not in the group any more; `for_good`: nor comes back unless let in."""

    def change(group: Group) -> Group:
        if not may_miss:
            group.member(user)
        rest = {other: member for other, member in group.members.items() if other != user}
        masks = {other: mask for other, mask in group.masks.items() if other != user}
        refused = group.refused
        if for_good:
            refused = (*(other for other in refused if other != user), user)[-MAX_REFUSED:]
        return replace(group, members=rest, masks=masks, refused=refused)

    return change


def with_role(user: UserId, role: Role) -> GroupChange:
    """The member has this role; a group has one owner, so the former one becomes an admin."""

    def change(group: Group) -> Group:
        changed = _put(group, user, replace(group.member(user), role=role))
        former = group.owner()
        if role != "owner" or former in {None, user}:
            return changed
        return _put(changed, UserId(str(former)), replace(group.members[str(former)], role="admin"))

    return change


def with_card(user: UserId, card: str) -> GroupChange:
    """The member is called like this in the group; empty: by their own name."""
    return lambda group: _put(group, user, replace(group.member(user), card=card))


def with_title(user: UserId, title: str, until_s: int = 0) -> GroupChange:
    """The member has this special title, for ever or until then."""

    def change(group: Group) -> Group:
        member = replace(group.member(user), title=title, title_expires_at_s=until_s)
        return _put(group, user, member)

    return change


def with_mute(user: UserId, until_s: int) -> GroupChange:
    """The member may not write until then; 0 lifts it."""
    return lambda group: _put(group, user, replace(group.member(user), muted_until_s=until_s))


def with_everyone_muted(muted: bool) -> GroupChange:
    """Only the owner and admins may write, or everybody again."""
    return lambda group: replace(group, muted=muted)


def with_anonymous(allowed: bool) -> GroupChange:
    """Members may write anonymously, or not."""
    return lambda group: replace(group, anonymous=allowed)


def with_mask(user: UserId, mask: Mask) -> GroupChange:
    """The member has a mask: the one they already had, or this."""

    def change(group: Group) -> Group:
        if not group.anonymous:
            raise Forbidden(f"nobody may write anonymously in the group {group.id}")
        if user in group.masks:
            return group
        return replace(group, masks={**group.masks, user: mask})

    return change


def with_mask_muted(flag: str, until_s: int) -> GroupChange:
    """Who wears the mask with this flag may not write anonymously until then. Raises NotFound."""

    def change(group: Group) -> Group:
        user, mask = masked(group, flag)
        return replace(group, masks={**group.masks, user: replace(mask, muted_until_s=until_s)})

    return change


def with_honor(user: UserId, honor: HonorKind, now_s: int) -> GroupChange:
    """The member is the newest to have this honor."""

    def change(group: Group) -> Group:
        group.member(user)
        former = group.honors.get(honor, ())
        if former and former[0].user == user:
            return group
        rest = (holder for holder in former if holder.user != user)
        holders = (Holder(user, now_s), *rest)[:MAX_HOLDERS]
        return replace(group, honors={**group.honors, honor: holders})

    return change


def with_name(name: str) -> GroupChange:
    """The group is called like this."""
    return lambda group: replace(group, name=name)


def masked(group: Group, flag: str) -> tuple[UserId, Mask]:
    """Who wears the mask with this flag. Raises NotFound."""
    for user, mask in group.masks.items():
        if mask.flag == flag:
            return UserId(user), mask
    raise NotFound(f"nobody in the group {group.id} is anonymous under this flag")


def check_outranks(group: Group, operator: UserId, user: UserId) -> None:
    """Admins act on members, the owner on everybody else. Raises Forbidden or NotFound."""
    if not group.outranks(operator, user):
        raise Forbidden(f"{operator} has no authority over {user} in the group {group.id}")


def check_rank(group: Group, operator: UserId, least: Role) -> None:
    """The operator is at least this. Raises Forbidden or NotFound."""
    if _RANKS[group.member(operator).role] < _RANKS[least]:
        raise Forbidden(f"{operator} is not {least} of the group {group.id}")


def check_may_write(group: Group, user: UserId, now_s: int) -> None:
    """The member is not muted, nor is everyone. Raises Forbidden or NotFound."""
    member = group.member(user)
    if (left_s := member.muted_until_s - now_s) > 0:
        raise Forbidden(f"{user} is muted in the group {group.id} for {left_s} more seconds")
    if group.muted and member.role == "member":
        raise Forbidden(f"everyone is muted in the group {group.id}")


def check_duration(duration_s: int, least: int = 0) -> int:
    """Seconds of a mute, if a mute can be so long. Raises BadParams."""
    if not least <= duration_s <= MAX_MUTE_S:
        raise BadParams(f"duration must be from {least} to {MAX_MUTE_S} seconds")
    return duration_s


def check_title_s(duration_s: int) -> int:
    """Seconds of a title, or FOR_EVER. Raises BadParams."""
    if duration_s != FOR_EVER and not 1 <= duration_s <= MAX_TITLE_S:
        raise BadParams(f"duration must be from 1 to {MAX_TITLE_S} seconds, or -1 for ever")
    return duration_s


def until_s(duration_s: int, now_s: int) -> int:
    """When something ends that lasts so long from now on; 0 for a title that stays or a lift."""
    return now_s + duration_s if duration_s > 0 else 0


def present(member: Membership, now_s: int) -> Membership:
    """The member without what is over by now."""
    if member.title_expires_at_s and member.title_expires_at_s <= now_s:
        member = replace(member, title="", title_expires_at_s=0)
    if member.muted_until_s and member.muted_until_s <= now_s:
        member = replace(member, muted_until_s=0)
    return member


def _put(group: Group, user: UserId, member: Membership) -> Group:
    return replace(group, members={**group.members, user: member})
