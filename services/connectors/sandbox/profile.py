"""What the platform tells about a group's honors and members, and about the account; pure."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Literal, get_args

from msgspec.structs import replace

from connectors.sandbox.documents import DAY_S
from connectors.sandbox.group import MAX_MEMBERS, Group, Holder, present
from onebus import action as act
from onebus.action import HonorHolder, HonorKind, Honors
from onebus.event import User
from onebus.ids import AccountId, UserId

_PRAISE: dict[HonorKind, str] = {
    "talkative": "Wrote most",
    "performer": "Wrote every day",
    "legend": "Wrote every day for a month",
    "strong_newbie": "Came not long ago and wrote a lot",
    "emotion": "Sent most pictures",
}


def group_info(group: Group) -> act.Group:
    """A group as a bot reads it."""
    return act.Group(group.id, group.name, len(group.members), MAX_MEMBERS)


def member_info(group: Group, user: User, me: UserId, now_s: int) -> act.Member:
    """A member as a bot reads them; `card_changeable` is whether the bot may."""
    member = present(group.member(user.id), now_s)
    changeable = user.id == me or group.outranks(me, user.id)
    return act.Member(user, replace(member, card_changeable=changeable))


def honors_of(
    group: Group, kind: HonorKind | Literal["all"], users: Mapping[UserId, User], now_s: int
) -> Honors:
    """Who holds the honors of this kind, the newest first."""
    kinds = get_args(HonorKind) if kind == "all" else (kind,)
    holders: dict[HonorKind, tuple[HonorHolder, ...]] = {
        wanted: tuple(
            _holder(wanted, holder, users[holder.user], now_s)
            for holder in group.honors.get(wanted, ())
            if holder.user in users
        )
        for wanted in kinds
    }
    talkative = holders.get("talkative", ())
    return Honors(holders, talkative[0] if talkative else None)


def credentials(account: AccountId, domain: str = "") -> act.Credentials:
    """What would open the platform's web pages, if there were any: always the same."""
    digest = sha256(b"sandbox credentials\0" + account.encode()).hexdigest()
    where = f"; domain={domain}" if domain else ""
    return act.Credentials(f"session={digest[8:40]}{where}", int(digest[:8], 16) >> 1)


def _holder(kind: HonorKind, holder: Holder, user: User, now_s: int) -> HonorHolder:
    days = max(now_s - holder.since_s, 0) // DAY_S + 1
    return HonorHolder(user, description=_PRAISE[kind], days=days)
