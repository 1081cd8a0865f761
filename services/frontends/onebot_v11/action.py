"""OneBot V11 actions, one small function each: parameters in, the answer's `data` out.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/public.md. What is not in `ACTIONS`
is an unknown action. Parameters that the standard does not know are ignored.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from frontends.onebot_v11 import result
from frontends.onebot_v11.event import event_references
from frontends.onebot_v11.from_onebot import from_onebot_message, wire_ids
from frontends.onebot_v11.lookup import StoredMessage
from frontends.onebot_v11.message import read_message
from frontends.onebot_v11.params import read_bool, read_id, read_optional_id, read_text
from frontends.onebot_v11.references import References
from frontends.onebot_v11.view import Fields, View
from onebus import __version__
from onebus import action as act
from onebus.action import Action
from onebus.errors import BadParams, OutcomeUnknown
from onebus.event import Chat, User, group_chat, private_chat
from onebus.idmap import fold
from onebus.ids import ChatId, UserId
from onebus.segment import Segments

if TYPE_CHECKING:
    from frontends.onebot_v11.session import Identity, Session

R = TypeVar("R")


class Call:
    """One call of an action. `notes` collects what went differently than asked."""

    def __init__(self, session: "Session", params: Mapping[str, Any], *, as_text: bool) -> None:
        self.session = session
        self.params = params
        self.as_text = as_text
        self.notes: list[str] = []

    async def identity(self) -> "Identity":
        """Who the account is. Raises AccountOffline or BusError."""
        return await self.session.identity()

    async def ask(self, action: Action[R]) -> R:
        """Let the account's owner do it. Raises ActionError or BusError."""
        return await self.session.caller.call(self.session.account, action)

    async def user(self) -> UserId:
        """The parameter `user_id`. Raises BadParams or NotFound."""
        return await (await self.identity()).lookup.user(read_id(self.params, "user_id"))

    async def group(self) -> ChatId:
        """The parameter `group_id`. Raises BadParams or NotFound."""
        return await (await self.identity()).lookup.group(read_id(self.params, "group_id"))

    async def message(self) -> StoredMessage:
        """The message of `message_id`. Raises BadParams or NotFound."""
        return await (await self.identity()).lookup.message(read_id(self.params, "message_id"))

    async def segments(self) -> Segments:
        """The parameter `message`, ready to be sent. Raises BadParams."""
        auto_escape = read_bool(self.params, "auto_escape", default=False)
        raw = read_message(
            self.params.get("message"), auto_escape=auto_escape, from_text_param=self.as_text
        )
        natives = await (await self.identity()).lookup.natives(wire_ids(raw))
        translated = from_onebot_message(raw, natives)
        self.notes += translated.notes
        return translated.segments

    def fresh(self) -> bool:
        """The parameter `no_cache`."""
        return read_bool(self.params, "no_cache", default=False)

    async def user_numbers(self, users: Iterable[User]) -> Mapping[UserId, int]:
        """The numbers of these users."""
        wanted = References(users=frozenset(user.id for user in users))
        return (await (await self.identity()).lookup.numbers(wanted)).users

    async def group_numbers(self, groups: Iterable[ChatId]) -> Mapping[ChatId, int]:
        """The numbers of these groups."""
        wanted = References(groups=frozenset(groups))
        return (await (await self.identity()).lookup.numbers(wanted)).groups


Handler: TypeAlias = Callable[[Call], Awaitable[Any]]


async def _send_private_msg(call: Call) -> Fields:
    return await _send(call, private_chat(await call.user()))


async def _send_group_msg(call: Call) -> Fields:
    return await _send(call, group_chat(await call.group()))


async def _send_msg(call: Call) -> Fields:
    """`message_type` decides; without one a group goes before a user."""
    kind = read_text(call.params, "message_type", "")
    if kind not in ("", "private", "group"):
        raise BadParams(f"`message_type` is {kind[:20]}, but must be private or group")
    if not kind:
        kind = "group" if read_optional_id(call.params, "group_id") is not None else "private"
    return await (_send_group_msg(call) if kind == "group" else _send_private_msg(call))


async def _send(call: Call, chat: Chat) -> Fields:
    sent = await call.ask(act.SendMessage(chat, await call.segments()))
    call.notes += (f"{name} went out as text" for name in sent.degraded)
    if sent.sequence is None:
        raise OutcomeUnknown(
            "it was sent, but the log did not take it: it has no message_id; do not send it again"
        )
    return {"message_id": fold(sent.sequence)}


async def _delete_msg(call: Call) -> None:
    event = (await call.message()).event
    await call.ask(act.RecallMessage(event.chat, event.message, event.parts))


async def _get_msg(call: Call) -> Fields:
    stored = await call.message()
    event, identity = stored.event, await call.identity()
    recall = await call.session.log.recall_of(event.account, event.chat, event.message)
    numbers = await identity.lookup.numbers(event_references(event))
    message_format = call.session.config.post_message_format
    view = View(identity.self_id, identity.record.self_user.id, numbers, message_format)
    data = result.message_data(event, view, stored.sequence)
    return data | ({"recalled": True} if recall else {})


async def _get_login_info(call: Call) -> Fields:
    identity = await call.identity()
    return result.login_info(identity.self_id, identity.record.self_user.name)


async def _get_stranger_info(call: Call) -> Fields:
    user = await call.ask(act.GetUser(await call.user(), call.fresh()))
    return result.stranger_info(user, (await call.user_numbers([user]))[user.id])


async def _get_friend_list(call: Call) -> list[Fields]:
    friends = await call.ask(act.GetFriends())
    numbers = await call.user_numbers(friends)
    return [result.friend_info(user, numbers[user.id]) for user in friends]


async def _get_group_info(call: Call) -> Fields:
    group = await call.ask(act.GetGroup(await call.group(), call.fresh()))
    return result.group_info(group, (await call.group_numbers([group.id]))[group.id])


async def _get_group_list(call: Call) -> list[Fields]:
    groups = await call.ask(act.GetGroups())
    numbers = await call.group_numbers(group.id for group in groups)
    return [result.group_info(group, numbers[group.id]) for group in groups]


async def _get_group_member_info(call: Call) -> Fields:
    group = await call.group()
    member = await call.ask(act.GetMember(group, await call.user(), call.fresh()))
    group_id = (await call.group_numbers([group]))[group]
    return result.member_info(
        member, group_id, (await call.user_numbers([member.user]))[member.user.id]
    )


async def _get_group_member_list(call: Call) -> list[Fields]:
    group = await call.group()
    members = await call.ask(act.GetMembers(group))
    group_id = (await call.group_numbers([group]))[group]
    numbers = await call.user_numbers(member.user for member in members)
    return [result.member_info(m, group_id, numbers[m.user.id]) for m in members]


async def _can_send_image(call: Call) -> Fields:
    return {"yes": "send:image" in (await call.identity()).record.capabilities}


async def _can_send_record(call: Call) -> Fields:
    return {"yes": "send:voice" in (await call.identity()).record.capabilities}


async def _get_status(call: Call) -> Fields:
    return call.session.status()


async def _get_version_info(_: Call) -> Fields:
    return {"app_name": "onebus", "app_version": __version__, "protocol_version": "v11"}


ACTIONS: Mapping[str, Handler] = {
    "send_private_msg": _send_private_msg,
    "send_group_msg": _send_group_msg,
    "send_msg": _send_msg,
    "delete_msg": _delete_msg,
    "get_msg": _get_msg,
    "get_login_info": _get_login_info,
    "get_stranger_info": _get_stranger_info,
    "get_friend_list": _get_friend_list,
    "get_group_info": _get_group_info,
    "get_group_list": _get_group_list,
    "get_group_member_info": _get_group_member_info,
    "get_group_member_list": _get_group_member_list,
    "can_send_image": _can_send_image,
    "can_send_record": _can_send_record,
    "get_status": _get_status,
    "get_version_info": _get_version_info,
}
"""Every action that is offered, by its name."""
