"""Requests to be a friend or to join a group, and the bot's answers.

A request is kept before its event is logged, so that its flag is known when a bot reads it. The
first answer counts: it is written before anything is done, and the same again does nothing.
"""

from connectors.sandbox.documents import Request, RequestKind, answered, with_friend
from connectors.sandbox.group import Group, admitted
from connectors.sandbox.groups import Groups, new_id
from connectors.sandbox.state import State
from onebus.connector import Kit
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.event import FriendAdded
from onebus.ids import ChatId, UserId

MAX_COMMENT = 1_000


class Requests:
    """The requests of one account."""

    def __init__(self, kit: Kit, state: State, groups: Groups) -> None:
        self._kit = kit
        self._state = state
        self._groups = groups

    async def ask_friend(self, flag: str, user: UserId, comment: str) -> None:
        """A person asks to be a friend. Raises BadParams or Forbidden."""
        if (await self._state.named(user)).friend:
            raise Forbidden(f"{user} is a friend already")
        await self._keep(flag, "friend", user, comment)

    async def ask_to_join(self, flag: str, user: UserId, group: ChatId, comment: str) -> Group:
        """A person asks to join a group that the bot is in. Raises NotFound or Forbidden."""
        known = await self._state.my_group(group)
        await self._state.named(user)
        if user in known.members:
            raise Forbidden(f"{user} is in the group {group} already")
        if user in known.refused:
            raise Forbidden(f"{user} was removed from the group {group} for good")
        await self._keep(flag, "add", user, comment, group)
        return known

    async def invite(self, flag: str, user: UserId, group: ChatId, comment: str) -> Group:
        """A person asks the bot into their group, which may be new. Raises Forbidden."""
        await self._state.named(user)
        now_s = self._groups.now_s()

        def change(known: Group) -> Group:
            if self._state.me.id in known.members:
                raise Forbidden(f"the bot is in the group {group} already")
            return admitted(user, now_s)(known)

        changed = await self._state.change_group(group, change, new_at_s=now_s, with_me=False)
        await self._keep(flag, "invite", user, comment, group)
        return changed.after

    async def answer_friend(self, flag: str, approve: bool, remark: str) -> None:
        """The bot answers a friend request. Raises NotFound, BadParams or Forbidden."""
        request = await self._answer(flag, "friend", approve, remark=remark)
        if request is None or not approve:
            return
        friend = await self._state.named(request.user, with_friend(True, remark))
        now_ms = self._kit.now_ms()
        await self._kit.append(
            FriendAdded(
                account=self._kit.account, time_ms=now_ms, id=new_id(now_ms), user=friend.user
            )
        )

    async def answer_group(self, flag: str, kind: RequestKind, approve: bool, reason: str) -> None:
        """The bot answers a request to join, or an invitation.

        Raises NotFound, BadParams or Forbidden.
        """
        request = await self._answer(flag, kind, approve, reason=reason)
        if request is None or not approve or request.group is None:
            return
        me, now_s = self._state.me.id, self._groups.now_s()
        if kind == "add":
            await self._groups.change(request.group, admitted(request.user, now_s), me)
        else:
            join = admitted(me, now_s, may_own=False)
            await self._groups.change(request.group, join, request.user, how="invite")

    async def _keep(
        self, flag: str, kind: RequestKind, user: UserId, comment: str, group: ChatId | None = None
    ) -> None:
        """A request with a flag that is known is a retry of the same request, or BadParams."""
        if len(comment) > MAX_COMMENT:
            raise BadParams(f"a comment has at most {MAX_COMMENT} characters")
        request = Request(flag, kind, user, comment, self._groups.now_s(), group)

        def change(known: Request | None) -> Request:
            if known and (known.kind, known.user, known.group) != (kind, user, group):
                raise BadParams(f"the id {flag} is that of another request")
            return known or request

        await self._state.requests.change(change, flag)

    async def _answer(
        self, flag: str, kind: RequestKind, approve: bool, *, remark: str = "", reason: str = ""
    ) -> Request | None:
        """The request if this was its first answer."""

        def change(known: Request | None) -> Request:
            if known is None:
                raise NotFound(f"there is no request with the flag {flag}")
            if known.kind != kind:
                raise BadParams(f"the request {flag} is of the kind {known.kind}, not {kind}")
            return answered(known, approve, remark, reason)

        changed = await self._state.requests.change(change, flag)
        return None if changed.before == changed.after else changed.after
