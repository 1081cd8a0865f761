"""Actions about people outside of groups, and about the account itself.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/public.md; the pokes and
`set_friend_remark` are NapCat's.
"""

from collections.abc import Mapping

from frontends.onebot_v11 import result
from frontends.onebot_v11.call import Call, Handler
from frontends.onebot_v11.params import read_bool, read_id, read_int, read_optional_id, read_text
from frontends.onebot_v11.view import Fields
from onebus import action as act
from onebus.event import Chat, private_chat
from onebus.ids import UserId


async def _send_like(call: Call) -> None:
    times = read_int(call.params, "times", 1, minimum=1)
    await call.ask(act.LikeUser(await call.user(), times))


async def _set_friend_add_request(call: Call) -> None:
    await call.ask(
        act.AnswerFriendRequest(
            read_text(call.params, "flag"),
            read_bool(call.params, "approve", default=True),
            read_text(call.params, "remark", ""),
        )
    )


async def _set_friend_remark(call: Call) -> None:
    remark = read_text(call.params, "remark", "")
    await call.ask(act.SetRemark(await call.user(), remark))


async def _get_login_info(call: Call) -> Fields:
    identity = await call.identity()
    return result.login_info(identity.self_id, identity.record.self_user.name)


async def _get_stranger_info(call: Call) -> Fields:
    user = await call.ask(act.GetUser(await call.user(), call.fresh()))
    return result.stranger_info(user, await call.number(user.id))


async def _get_friend_list(call: Call) -> list[Fields]:
    friends = await call.ask(act.GetFriends())
    numbers = (await call.numbers(friends)).users
    return [result.friend_info(user, numbers[user.id]) for user in friends]


async def _friend_poke(call: Call) -> None:
    await _poke(call, private_chat(await call.user()))


async def _send_poke(call: Call) -> None:
    await _poke(call, await call.chat())


async def _poke(call: Call, chat: Chat) -> None:
    """`target_id` says whom, where that is not the `user_id` that says in whose chat."""
    await call.ask(act.PokeUser(chat, await _poked(call)))


async def _poked(call: Call) -> UserId:
    if read_optional_id(call.params, "target_id") is None:
        return await call.user()
    return await (await call.identity()).lookup.user(read_id(call.params, "target_id"))


ACTIONS: Mapping[str, Handler] = {
    "send_like": _send_like,
    "set_friend_add_request": _set_friend_add_request,
    "set_friend_remark": _set_friend_remark,
    "get_login_info": _get_login_info,
    "get_stranger_info": _get_stranger_info,
    "get_friend_list": _get_friend_list,
    "friend_poke": _friend_poke,
    "send_poke": _send_poke,
}
