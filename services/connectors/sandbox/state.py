"""Who and what there is on the sandbox, kept in NATS: one document per person, group, request…"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from connectors.sandbox.copies import Copies
from connectors.sandbox.documents import (
    Board,
    BoardChange,
    Person,
    PersonChange,
    Request,
    Status,
)
from connectors.sandbox.group import Group, GroupChange
from connectors.sandbox.store import Changed, Documents
from onebus import subjects
from onebus.bucket import Bucket, Entry
from onebus.codec import decode
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.event import Chat, Membership, User
from onebus.ids import Account, ChatId, MessageId, UserId

BUCKET = "sandbox"
MAX_ID = 64
MAX_USERS = 10_000
MAX_GROUPS = 10_000
MAX_REQUESTS = 10_000
_MESSAGE_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_ID}}}")


def check_id(what: str, value: str) -> str:
    """An id or name as it is, if it can be one. Raises BadParams that names `what`."""
    if not 1 <= len(value) <= MAX_ID or value != value.strip() or not value.isprintable():
        raise BadParams(
            f"{what} must be 1 to {MAX_ID} printable characters without space at either end"
        )
    return value


def check_message_id(value: str) -> MessageId:
    """An id as it is, if a message can have it. Raises BadParams."""
    if not _MESSAGE_ID.fullmatch(value):
        raise BadParams(f"message_id must be 1 to {MAX_ID} of A-Z, a-z, 0-9, _ and -")
    return MessageId(value)


class State:
    """The documents of one account. All calls raise BusError when NATS is away.

    `me` is the account's own user, which needs no document.
    """

    def __init__(self, bucket: Bucket, account: Account, nickname: str) -> None:
        below = subjects.escape(account.account_id)
        most_boards = MAX_USERS + MAX_GROUPS
        copies = Copies(bucket, below)
        self.me = User(UserId(account.account_id), nickname)
        self.people = Documents(bucket, copies, f"{below}.user", Person, MAX_USERS)
        self.requests = Documents(bucket, copies, f"{below}.request", Request, MAX_REQUESTS)
        self.boards = Documents(bucket, copies, f"{below}.board", Board, most_boards)
        self.statuses = Documents(bucket, copies, f"{below}.status", Status, 1)
        self._groups = Documents(bucket, copies, f"{below}.group", Group, MAX_GROUPS)
        self._copies = copies

    @asynccontextmanager
    async def followed(self, on_status: Callable[[Status], None]) -> AsyncIterator[None]:
        """Keep copies of what messages look at, inside of the block; told how the account is."""

        def on_change(key: str, entry: Entry) -> None:
            if self.statuses.has(key):
                on_status(decode(entry.value, Status))

        async with self._copies.followed(on_change):
            yield

    async def user(self, user: UserId) -> User:
        """A user by id, the account's own too. Raises NotFound."""
        return self.me if user == self.me.id else (await self.person(user)).user

    async def person(self, user: UserId) -> Person:
        """A person by id. Raises NotFound."""
        if (person := await self.people.get(user)) is None:
            raise NotFound(f"there is no user {user}")
        return person

    async def persons(self) -> list[Person]:
        """All people, by id; the account itself is not among them."""
        return sorted(await self.people.all(), key=lambda person: person.id)

    async def named(self, user: UserId, change: PersonChange | None = None) -> Person:
        """The person with this id, who comes into being when first named, changed if need be.

        Raises BadParams.
        """
        if user == self.me.id:
            raise BadParams(f"{user} is the bot; take another name")
        check_id("user", user)

        def changed(person: Person | None) -> Person:
            person = person or Person(user, user)
            return change(person) if change else person

        return (await self.people.change(changed, user)).after

    async def anybody(self, user: UserId) -> User:
        """The account's own user, or the person, who comes into being. Raises BadParams."""
        return self.me if user == self.me.id else (await self.named(user)).user

    async def group(self, group: ChatId) -> Group:
        """A group by id. Raises NotFound."""
        if (found := await self._groups.get(group)) is None:
            raise NotFound(f"there is no group {group}")
        return found

    async def my_group(self, group: ChatId) -> Group:
        """A group that the bot is in. Raises NotFound or Forbidden."""
        found = await self.group(group)
        self.check_inside(found)
        return found

    async def groups(self) -> list[Group]:
        """All groups, by id; the bot need not be in each."""
        return sorted(await self._groups.all(), key=lambda group: group.id)

    async def change_group(
        self,
        group: ChatId,
        change: GroupChange,
        *,
        new_at_s: int | None = None,
        with_me: bool = True,
    ) -> Changed[Group]:
        """Change a group; with `new_at_s` a group that does not exist is made first.

        `with_me`: the bot is in the new group. Raises NotFound, BadParams and what `change` raises.
        """
        check_id("group", group)

        def changed(known: Group | None) -> Group:
            if known is None and new_at_s is None:
                raise NotFound(f"there is no group {group}")
            members: dict[str, Membership] = {}
            if with_me:
                members[self.me.id] = Membership(joined_at_s=new_at_s or 0)
            return change(known or Group(group, group, members))

        return await self._groups.change(changed, group)

    async def dissolve_group(self, group: ChatId) -> Group:
        """The group is no more, which only its owner can do. Raises NotFound or Forbidden."""

        def check(known: Group) -> None:
            if known.owner() != self.me.id:
                raise Forbidden(f"{self.me.id} is not owner of the group {group}")

        if (removed := await self._groups.remove(check, group)) is None:
            raise NotFound(f"there is no group {group}")
        await self.boards.remove(lambda _: None, "group", group)
        return removed

    async def change_board(self, chat: Chat, change: BoardChange) -> Changed[Board]:
        """Change what a chat has besides its messages. Raises what `change` raises."""
        return await self.boards.change(lambda known: change(known or Board(chat)), *chat.key)

    async def request(self, flag: str) -> Request:
        """A request by its flag. Raises NotFound."""
        if (found := await self.requests.get(flag)) is None:
            raise NotFound(f"there is no request with the flag {flag}")
        return found

    def check_inside(self, group: Group) -> None:
        """The bot is in the group. Raises Forbidden."""
        if self.me.id not in group.members:
            raise Forbidden(f"the bot is not in the group {group.id}")
