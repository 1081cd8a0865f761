"""Everything there is on the sandbox, as `GET api/state` shows it; pure.

    {"bot": {"user", "name", "onebot_id"},
     "account": {"online", "reason", "restarts", "caches_cleared", "cookies", "csrf_token"},
     "users": [{"user", "name", "is_bot", "onebot_id", "sex", "age", "friend", "remark", "likes"}],
     "groups": [{"group", "name", "onebot_id", "muted", "anonymous", "refused": [user],
                 "honors": {"talkative": [user]}, "masks": [{"user", "id", "name", "flag",
                 "muted_until", "onebot_id"}],
                 "members": [{"user", "role", "card", "title", "title_expires_at", "muted_until",
                              "onebot_id"}]}],
     "requests": [{"flag", "kind": "friend" | "add" | "invite", "user", "group", "comment", "time",
                   "answer": null | "approved" | "refused", "remark", "reason"}],
     "chats": [{"group" or "peer", "pins": {message_id: {"operator", "time"}},
                "reactions": {message_id: {emoji: [user]}}, "read": message_id or null,
                "files": [{"id", "name", "url", "size_bytes", "user"}]}]}

`onebot_id` is the number by which OneBot bots know a user or group; times are unix seconds, 0 for
never or for ever. What is over, a mute or a title, is not shown.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from connectors.sandbox.documents import Board, Person, Request, Status
from connectors.sandbox.group import Group, Mask, present
from connectors.sandbox.message import Json, encode_place
from connectors.sandbox.profile import credentials
from onebus.event import Membership, User
from onebus.idmap import Kind, number_of, scope_of
from onebus.ids import Account, UserId


class Everything(Struct, frozen=True):
    """What was read for one answer."""

    me: User
    status: Status
    people: Sequence[Person]
    groups: Sequence[Group]
    requests: Sequence[Request]
    boards: Sequence[Board]


class View:
    """The JSON of one account's sandbox at one moment."""

    def __init__(self, account: Account, now_s: int) -> None:
        self._account = account
        self._now_s = now_s

    def everything(self, known: Everything) -> Json:
        """`GET api/state`."""
        me = known.me
        secrets = credentials(self._account.account_id)
        requests = sorted(known.requests, key=lambda request: (request.asked_at_s, request.flag))
        return {
            "bot": {"user": me.id, "name": me.name, "onebot_id": self._number("user", me.id)},
            "account": {
                "online": known.status.online,
                "reason": known.status.reason,
                "restarts": known.status.restarts,
                "caches_cleared": known.status.caches_cleared,
                "cookies": secrets.cookies,
                "csrf_token": secrets.csrf_token,
            },
            "users": [
                {**self.person(Person(me.id, me.name)), "is_bot": True},
                *(self.person(person) for person in known.people),
            ],
            "groups": [self.group(group) for group in known.groups],
            "requests": [_request(request) for request in requests],
            "chats": [_board(board) for board in known.boards],
        }

    def person(self, person: Person) -> Json:
        """One user."""
        return {
            "user": person.id,
            "name": person.name,
            "is_bot": False,
            "onebot_id": self._number("user", person.id),
            "sex": person.sex,
            "age": person.age,
            "friend": bool(person.friend),
            "remark": person.remark,
            "likes": person.likes,
        }

    def group(self, group: Group) -> Json:
        """One group with its members."""
        return {
            "group": group.id,
            "name": group.name,
            "onebot_id": self._number("group", group.id),
            "muted": group.muted,
            "anonymous": group.anonymous,
            "refused": group.refused,
            "honors": {
                honor: [holder.user for holder in holders]
                for honor, holders in group.honors.items()
            },
            "masks": [self._mask(UserId(user), mask) for user, mask in group.masks.items()],
            "members": [
                self._member(UserId(user), member) for user, member in group.members.items()
            ],
        }

    def _member(self, user: UserId, member: Membership) -> Json:
        member = present(member, self._now_s)
        return {
            "user": user,
            "role": member.role,
            "card": member.card,
            "title": member.title,
            "title_expires_at": member.title_expires_at_s,
            "muted_until": member.muted_until_s,
            "onebot_id": self._number("user", user),
        }

    def _mask(self, user: UserId, mask: Mask) -> Json:
        return {
            "user": user,
            "id": mask.id,
            "name": mask.name,
            "flag": mask.flag,
            "muted_until": mask.muted_until_s if mask.muted_until_s > self._now_s else 0,
            "onebot_id": self._number("user", mask.id),
        }

    def _number(self, kind: Kind, native: str) -> int:
        return number_of(scope_of(self._account.platform, None), kind, native)


def _request(request: Request) -> Json:
    return {
        "flag": request.flag,
        "kind": request.kind,
        "user": request.user,
        "group": request.group,
        "comment": request.comment,
        "time": request.asked_at_s,
        "answer": request.answer,
        "remark": request.remark,
        "reason": request.reason,
    }


def _board(board: Board) -> Json:
    pins = {id_: {"operator": pin.operator, "time": pin.at_s} for id_, pin in board.pins.items()}
    return {
        **encode_place(board.chat),
        "pins": pins,
        "reactions": board.reactions,
        "files": [msgspec.to_builtins(file) for file in board.files],
        "read": board.read,
    }
