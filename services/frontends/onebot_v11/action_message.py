"""Actions about messages: send, take back, read again, react, pin.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/public.md. Those that the standard
lacks have the names and parameters of go-cqhttp, NapCat and LLOneBot.
"""

from collections.abc import Mapping

from frontends.onebot_v11 import result
from frontends.onebot_v11.call import Call, Handler
from frontends.onebot_v11.event import event_references
from frontends.onebot_v11.message import read_message
from frontends.onebot_v11.params import (
    given,
    read_bool,
    read_int,
    read_optional_id,
    read_text,
)
from frontends.onebot_v11.references import all_references
from frontends.onebot_v11.view import Fields
from onebus import action as act
from onebus.action import Sent
from onebus.errors import BadParams, OutcomeUnknown
from onebus.event import Chat, group_chat, private_chat
from onebus.history import Message, message_now, messages_until
from onebus.idmap import fold
from onebus.segment import Segments

MAX_HISTORY = 100


async def send(call: Call, chat: Chat, segments: Segments) -> tuple[Sent, Fields]:
    """Send, and say what bots are told of it. Raises OutcomeUnknown when it has no number."""
    sent = await call.ask(act.SendMessage(chat, segments))
    call.notes += (f"{name} went out as text" for name in sent.degraded)
    if sent.sequence is None:
        raise OutcomeUnknown(
            "it was sent, but the log did not take it: it has no message_id; do not send it again"
        )
    return sent, {"message_id": fold(sent.sequence)}


async def chosen_chat(call: Call) -> Chat:
    """Where `send_msg` goes: `message_type` decides; without one a group goes before a user."""
    kind = read_text(call.params, "message_type", "")
    if kind not in ("", "private", "group"):
        raise BadParams(f"`message_type` is {kind[:20]}, but must be private or group")
    if kind == "private":
        return private_chat(await call.user())
    return group_chat(await call.group()) if kind else await call.chat()


async def _send_private_msg(call: Call) -> Fields:
    return await _send_msg_to(call, private_chat(await call.user()))


async def _send_group_msg(call: Call) -> Fields:
    return await _send_msg_to(call, group_chat(await call.group()))


async def _send_msg(call: Call) -> Fields:
    return await _send_msg_to(call, await chosen_chat(call))


async def _send_msg_to(call: Call, chat: Chat) -> Fields:
    """A message of nodes alone is a forward, which the translation sees to."""
    auto_escape = read_bool(call.params, "auto_escape", default=False)
    message = call.params.get("message")
    raw = read_message(message, auto_escape=auto_escape, from_text_param=call.as_text)
    _, data = await send(call, chat, await call.segments(raw, chat))
    return data


async def _delete_msg(call: Call) -> None:
    event = (await call.message()).event
    await call.ask(act.RecallMessage(event.chat, event.message, event.parts))


async def _get_msg(call: Call) -> Fields:
    stored = await call.message()
    message = await message_now(call.session.log, stored.sequence, stored.event)
    return (await _shown(call, [message]))[0]


async def _get_group_msg_history(call: Call) -> Fields:
    return await _history(call, group_chat(await call.group()))


async def _get_friend_msg_history(call: Call) -> Fields:
    return await _history(call, private_chat(await call.user()))


async def _history(call: Call, chat: Chat) -> Fields:
    """Up to `message_seq` (0 or absent: now) itself; oldest first unless `reverse_order`.

    Lagrange calls it `message_id`. What is older than the log keeps is not there.
    """
    names = ("message_seq", "message_id")
    wanted = read_optional_id(call.params, *names) is not None
    last = (await call.message(*names)).sequence if wanted else None
    count = read_int(call.params, "count", 20, minimum=1)
    if count > MAX_HISTORY:
        call.notes.append(f"`count` is at most {MAX_HISTORY}")
    reverse = given(call.params, "reverse_order", "reverseOrder")
    newest_first = read_bool(call.params, reverse, default=False)
    found = await messages_until(
        call.session.log, call.session.account, chat, last, min(count, MAX_HISTORY)
    )
    return {"messages": await _shown(call, found[::-1] if newest_first else found)}


async def _shown(call: Call, messages: list[Message]) -> list[Fields]:
    """Messages as `get_msg` has them; `recalled` is there only when it is so."""
    wanted = all_references(event_references(message.event) for message in messages)
    view = await call.view(wanted)
    return [
        result.message_data(message.event, view, message.sequence)
        | ({"recalled": True} if message.recalled else {})
        for message in messages
    ]


async def _set_msg_emoji_like(call: Call) -> None:
    """NapCat's and LLOneBot's."""
    added = read_bool(call.params, "set", default=True)
    await _react(call, read_text(call.params, "emoji_id"), added=added)


async def _set_group_reaction(call: Call) -> None:
    """Lagrange's; the group is the message's."""
    added = read_bool(call.params, "is_add", default=True)
    await _react(call, read_text(call.params, "code"), added=added)


async def _react(call: Call, emoji: str, *, added: bool) -> None:
    event = (await call.message()).event
    await call.ask(act.React(event.chat, event.message, emoji, added))


async def _set_essence_msg(call: Call) -> None:
    await _pin(call, pinned=True)


async def _delete_essence_msg(call: Call) -> None:
    await _pin(call, pinned=False)


async def _pin(call: Call, *, pinned: bool) -> None:
    event = (await call.message()).event
    await call.ask(act.PinMessage(event.chat, event.message, pinned))


async def _mark_msg_as_read(call: Call) -> None:
    """NapCat also takes a chat in place of a message."""
    if read_optional_id(call.params, "message_id") is None:
        await call.ask(act.MarkRead(await call.chat()))
        return
    event = (await call.message()).event
    await call.ask(act.MarkRead(event.chat, event.message))


ACTIONS: Mapping[str, Handler] = {
    "send_private_msg": _send_private_msg,
    "send_group_msg": _send_group_msg,
    "send_msg": _send_msg,
    "delete_msg": _delete_msg,
    "get_msg": _get_msg,
    "get_group_msg_history": _get_group_msg_history,
    "get_friend_msg_history": _get_friend_msg_history,
    "set_msg_emoji_like": _set_msg_emoji_like,
    "set_group_reaction": _set_group_reaction,
    "set_essence_msg": _set_essence_msg,
    "delete_essence_msg": _delete_essence_msg,
    "mark_msg_as_read": _mark_msg_as_read,
}
