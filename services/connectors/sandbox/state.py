"""Who and what there is on the sandbox: users, groups and their members, kept in NATS.

One document per user and one per group (members inside), changed by compare-and-set, so every
replica of the connector may change them and none holds anything in memory.
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from onebus import subjects
from onebus.backoff import Backoff
from onebus.bucket import Bucket, Conflict
from onebus.codec import decode, encode
from onebus.errors import BadParams, Forbidden, NotFound, PlatformUnavailable
from onebus.event import Chat, Membership, Role, User, group_chat
from onebus.ids import Account, ChatId, UserId

BUCKET = "sandbox"
MAX_ID = 64
MAX_USERS = 10_000
MAX_GROUPS = 10_000
MAX_MEMBERS = 1_000
"""Members of one group: its document must fit into one NATS message."""
ATTEMPTS = 30
"""How often a change starts again because somebody else was faster."""

_RANKS: dict[Role, int] = {"member": 0, "admin": 1, "owner": 2}


class Group(Struct, frozen=True, omit_defaults=True):
    """A group; `members` by user id, in the order in which they came."""

    id: ChatId
    name: str
    members: dict[str, Membership]

    @property
    def chat(self) -> Chat:
        """The chat of this group."""
        return group_chat(self.id, self.name)

    def member(self, user: UserId) -> Membership:
        """What a user is here. Raises NotFound."""
        if (member := self.members.get(user)) is None:
            raise NotFound(f"{user} is not in the group {self.id}")
        return member


GroupChange = Callable[[Group], Group]
"""Pure; called again on the newer version when somebody else was faster."""


class Changed(Struct, frozen=True):
    """A group before and after a change; `before` is None when the change made the group."""

    before: Group | None
    after: Group


def check_id(what: str, value: str) -> str:
    """An id or name as it is, if it can be one. Raises BadParams that names `what`."""
    if not 1 <= len(value) <= MAX_ID or value != value.strip() or not value.isprintable():
        raise BadParams(
            f"{what} must be 1 to {MAX_ID} printable characters without space at either end"
        )
    return value


def with_member(user: UserId, now_s: int) -> GroupChange:
    """The user is in the group; the first person in it is its owner."""

    def change(group: Group) -> Group:
        if user in group.members:
            return group
        if len(group.members) >= MAX_MEMBERS:
            raise Forbidden(f"the group {group.id} is full: {MAX_MEMBERS} members")
        has_owner = any(member.role == "owner" for member in group.members.values())
        role: Role = "member" if has_owner else "owner"
        return _put(group, user, Membership(role=role, joined_at_s=now_s))

    return change


def without_member(user: UserId) -> GroupChange:
    """The user is not in the group any more."""

    def change(group: Group) -> Group:
        group.member(user)
        rest = {other: member for other, member in group.members.items() if other != user}
        return replace(group, members=rest)

    return change


def with_role(user: UserId, role: Role) -> GroupChange:
    """The member has this role; a group has one owner, so the former one becomes an admin."""

    def change(group: Group) -> Group:
        changed = _put(group, user, replace(group.member(user), role=role))
        if role != "owner":
            return changed
        for other, member in group.members.items():
            if other != user and member.role == "owner":
                changed = _put(changed, UserId(other), replace(member, role="admin"))
        return changed

    return change


def with_card(user: UserId, card: str) -> GroupChange:
    """The member is called like this in the group; empty: by their own name."""
    return lambda group: _put(group, user, replace(group.member(user), card=card))


def with_title(user: UserId, title: str) -> GroupChange:
    """The member has this special title."""
    return lambda group: _put(group, user, replace(group.member(user), title=title))


def with_mute(user: UserId, until_s: int) -> GroupChange:
    """The member may not write until then; 0 lifts it."""
    return lambda group: _put(group, user, replace(group.member(user), muted_until_s=until_s))


def with_name(name: str) -> GroupChange:
    """The group is called like this."""
    return lambda group: replace(group, name=name)


def check_outranks(group: Group, operator: UserId, user: UserId) -> None:
    """Admins act on members, the owner on everybody else. Raises Forbidden or NotFound."""
    if _RANKS[group.member(operator).role] <= _RANKS[group.member(user).role]:
        raise Forbidden(f"{operator} has no authority over {user} in the group {group.id}")


def check_rank(group: Group, operator: UserId, least: Role) -> None:
    """The operator is at least this. Raises Forbidden or NotFound."""
    if _RANKS[group.member(operator).role] < _RANKS[least]:
        raise Forbidden(f"{operator} is not {least} of the group {group.id}")


def _put(group: Group, user: UserId, member: Membership) -> Group:
    return replace(group, members={**group.members, user: member})


class State:
    """The users and groups of one account. All calls raise BusError when NATS is away.

    `me` is the account's own user, which needs no document: it is a member of every group.
    """

    def __init__(self, bucket: Bucket, account: Account, nickname: str) -> None:
        self._bucket = bucket
        self._prefix = subjects.escape(account.account_id)
        self.me = User(UserId(account.account_id), nickname)

    async def user(self, user: UserId) -> User:
        """A user by id. Raises NotFound."""
        if user == self.me.id:
            return self.me
        if (entry := await self._bucket.get(self._key("user", user))) is None:
            raise NotFound(f"there is no user {user}")
        return decode(entry.value, User)

    async def users(self) -> list[User]:
        """All people, by id; the account itself is not among them."""
        entries = await self._bucket.entries(f"{self._prefix}.user")
        return sorted((decode(e.value, User) for e in entries), key=lambda user: user.id)

    async def named_user(self, user: UserId, name: str = "") -> User:
        """The person with this id, who comes into being when first named; `name` renames them.

        Raises BadParams.
        """
        if user == self.me.id:
            raise BadParams(f"{user} is the bot; take another name")
        key = self._key("user", check_id("user", user))
        for _ in range(ATTEMPTS):
            entry = await self._bucket.get(key)
            known = decode(entry.value, User) if entry else None
            wanted = User(user, check_id("name", name or (known.name if known else user)))
            if wanted == known:
                return wanted
            revision = entry.revision if entry else None
            if await self._written(key, encode(wanted), revision, MAX_USERS):
                return wanted
        raise _busy(user)

    async def group(self, group: ChatId) -> Group:
        """A group by id. Raises NotFound."""
        if (entry := await self._bucket.get(self._key("group", group))) is None:
            raise NotFound(f"there is no group {group}")
        return decode(entry.value, Group)

    async def groups(self) -> list[Group]:
        """All groups, by id."""
        entries = await self._bucket.entries(f"{self._prefix}.group")
        return sorted((decode(e.value, Group) for e in entries), key=lambda group: group.id)

    async def change_group(
        self, group: ChatId, change: GroupChange, *, new_at_s: int | None = None
    ) -> Changed:
        """Change a group; with `new_at_s` a group that does not exist is made first.

        Raises NotFound, BadParams and what `change` raises.
        """
        key, backoff = self._key("group", check_id("group", group)), Backoff(0.002, 0.1)
        for _ in range(ATTEMPTS):
            entry = await self._bucket.get(key)
            before = decode(entry.value, Group) if entry else None
            after = change(before or self._new_group(group, new_at_s))
            revision = entry.revision if entry else None
            if after == before or await self._written(key, encode(after), revision, MAX_GROUPS):
                return Changed(before, after)
            await backoff.wait()
        raise _busy(group)

    def _new_group(self, group: ChatId, now_s: int | None) -> Group:
        if now_s is None:
            raise NotFound(f"there is no group {group}")
        return Group(group, group, {self.me.id: Membership(joined_at_s=now_s)})

    async def _written(self, key: str, value: bytes, revision: int | None, most: int) -> bool:
        """Whether the value went in; False when somebody else was faster."""
        try:
            if revision is not None:
                await self._bucket.update(key, value, revision)
            else:
                kind = key.rpartition(".")[0]
                if len(await self._bucket.entries(kind)) >= most:
                    raise Forbidden(f"there are {most} of this kind already")
                await self._bucket.create(key, value)
        except Conflict:
            return False
        return True

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}.{subjects.key(kind, name)}"


def _busy(name: str) -> PlatformUnavailable:
    return PlatformUnavailable(f"too many changes of {name} at once; try again")
