"""Actions about groups and their members.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/public.md; `group_poke` is NapCat's
and LLOneBot's.
"""

from collections.abc import Mapping
from typing import Any, get_args

from frontends.onebot_v11 import result
from frontends.onebot_v11.call import Call, Handler
from frontends.onebot_v11.params import (
    given,
    read_bool,
    read_choice,
    read_int,
    read_object,
    read_text,
)
from frontends.onebot_v11.view import Fields
from onebus import action as act
from onebus.event import Role, group_chat

BAN_S = 30 * 60


async def _set_group_kick(call: Call) -> None:
    reject = read_bool(call.params, "reject_add_request", default=False)
    await call.ask(act.KickMember(await call.group(), await call.user(), reject))


async def _set_group_ban(call: Call) -> None:
    """0 seconds lift the ban."""
    duration_s = read_int(call.params, "duration", BAN_S, minimum=0)
    await call.ask(act.MuteMember(await call.group(), await call.user(), duration_s))


async def _set_group_anonymous_ban(call: Call) -> None:
    """The event's `anonymous` object goes before its flag alone; the ban cannot be lifted."""
    params: Mapping[str, Any] | None = read_object(call.params, "anonymous")
    if params is None:
        params = call.params
    flag = read_text(params, given(params, "flag", "anonymous_flag"))
    duration_s = read_int(call.params, "duration", BAN_S, minimum=1)
    await call.ask(act.MuteMember(await call.group(), None, duration_s, flag))


async def _set_group_whole_ban(call: Call) -> None:
    await call.ask(act.MuteGroup(await call.group(), _enabled(call)))


async def _set_group_admin(call: Call) -> None:
    role: Role = "admin" if _enabled(call) else "member"
    await call.ask(act.SetRole(await call.group(), await call.user(), role))


async def _set_group_anonymous(call: Call) -> None:
    await call.ask(act.SetAnonymous(await call.group(), _enabled(call)))


def _enabled(call: Call) -> bool:
    return read_bool(call.params, "enable", default=True)


async def _set_group_card(call: Call) -> None:
    """Empty removes it."""
    card = read_text(call.params, "card", "")
    await call.ask(act.SetCard(await call.group(), await call.user(), card))


async def _set_group_name(call: Call) -> None:
    name = read_text(call.params, "group_name")
    await call.ask(act.RenameGroup(await call.group(), name))


async def _set_group_leave(call: Call) -> None:
    dismiss = read_bool(call.params, "is_dismiss", default=False)
    await call.ask(act.LeaveGroup(await call.group(), dismiss))


async def _set_group_special_title(call: Call) -> None:
    """Empty removes it; -1 seconds are for ever."""
    title = read_text(call.params, "special_title", "")
    duration_s = read_int(call.params, "duration", -1, minimum=-1)
    await call.ask(act.SetTitle(await call.group(), await call.user(), title, duration_s))


async def _set_group_add_request(call: Call) -> None:
    name = given(call.params, "sub_type", "type")
    kind = read_choice(call.params, name, ("add", "invite"))
    await call.ask(
        act.AnswerGroupRequest(
            read_text(call.params, "flag"),
            read_bool(call.params, "approve", default=True),
            read_text(call.params, "reason", ""),
            "add" if kind == "add" else "invite",
        )
    )


async def _get_group_info(call: Call) -> Fields:
    group = await call.ask(act.GetGroup(await call.group(), call.fresh()))
    return result.group_info(group, (await call.numbers([], group.id)).groups[group.id])


async def _get_group_list(call: Call) -> list[Fields]:
    groups = await call.ask(act.GetGroups())
    numbers = (await call.numbers([], *(group.id for group in groups))).groups
    return [result.group_info(group, numbers[group.id]) for group in groups]


async def _get_group_member_info(call: Call) -> Fields:
    group = await call.group()
    member = await call.ask(act.GetMember(group, await call.user(), call.fresh()))
    numbers = await call.numbers([member.user], group)
    return result.member_info(member, numbers.groups[group], numbers.users[member.user.id])


async def _get_group_member_list(call: Call) -> list[Fields]:
    group = await call.group()
    members = await call.ask(act.GetMembers(group))
    numbers = await call.numbers((member.user for member in members), group)
    group_id = numbers.groups[group]
    return [result.member_info(m, group_id, numbers.users[m.user.id]) for m in members]


async def _get_group_honor_info(call: Call) -> Fields:
    """Source: api/public.md, "荣誉信息"; the model has the standard's words for the kinds."""
    kind: Any = read_choice(call.params, "type", (*get_args(act.HonorKind), "all"))
    group = await call.group()
    honors = await call.ask(act.GetHonors(group, kind))
    users = [holder.user for holders in honors.holders.values() for holder in holders]
    if honors.current_talkative:
        users.append(honors.current_talkative.user)
    numbers = await call.numbers(users, group)
    return result.honor_info(honors, numbers.groups[group], numbers.users)


async def _group_poke(call: Call) -> None:
    await call.ask(act.PokeUser(group_chat(await call.group()), await call.user()))


ACTIONS: Mapping[str, Handler] = {
    "set_group_kick": _set_group_kick,
    "set_group_ban": _set_group_ban,
    "set_group_anonymous_ban": _set_group_anonymous_ban,
    "set_group_whole_ban": _set_group_whole_ban,
    "set_group_admin": _set_group_admin,
    "set_group_anonymous": _set_group_anonymous,
    "set_group_card": _set_group_card,
    "set_group_name": _set_group_name,
    "set_group_leave": _set_group_leave,
    "set_group_special_title": _set_group_special_title,
    "set_group_add_request": _set_group_add_request,
    "get_group_info": _get_group_info,
    "get_group_list": _get_group_list,
    "get_group_member_info": _get_group_member_info,
    "get_group_member_list": _get_group_member_list,
    "get_group_honor_info": _get_group_honor_info,
    "group_poke": _group_poke,
}
