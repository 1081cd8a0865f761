"""Actions about forwards: several messages sent, and read, as one.

Source: `get_forward_msg` in https://github.com/botuniverse/onebot-11/blob/master/api/public.md; the
others are go-cqhttp's. Nodes are read in both dialects by `message` and `from_onebot`.
"""

from collections.abc import Mapping

from frontends.onebot_v11 import result
from frontends.onebot_v11.action_message import chosen_chat, send
from frontends.onebot_v11.call import Call, Handler
from frontends.onebot_v11.message import read_message
from frontends.onebot_v11.params import given, read_text
from frontends.onebot_v11.to_onebot import node_references
from frontends.onebot_v11.view import Fields
from onebus import action as act
from onebus.errors import BadParams, NotFound
from onebus.event import Chat, MessageSent, group_chat, private_chat
from onebus.ids import UserId
from onebus.segment import Forward, Node, Segments

_NOWHERE = private_chat(UserId(""))
"""The chat of a forward that is known by its id alone: what its messages quote is not found."""


async def _send_group_forward_msg(call: Call) -> Fields:
    return await _send_forward(call, group_chat(await call.group()))


async def _send_private_forward_msg(call: Call) -> Fields:
    return await _send_forward(call, private_chat(await call.user()))


async def _send_forward_msg(call: Call) -> Fields:
    return await _send_forward(call, await chosen_chat(call))


async def _send_forward(call: Call, chat: Chat) -> Fields:
    """`forward_id` is go-cqhttp's name for what `get_forward_msg` takes, `res_id` NapCat's."""
    sent, data = await send(call, chat, await _nodes(call, chat))
    stored = await call.session.log.at(sent.sequence) if sent.sequence else None
    event = stored.event if stored else None
    forward = _forward_in(event.segments) if isinstance(event, MessageSent) else None
    if forward and forward.id:
        data |= {"forward_id": forward.id, "res_id": forward.id}
    return data


async def _nodes(call: Call, chat: Chat) -> Segments:
    """The parameter `messages`. Raises BadParams."""
    value = call.params.get("messages")
    if not value:
        raise BadParams("`messages` is missing: give it an array of node segments")
    raw = read_message(value, from_text_param=True)
    if any(segment["type"] != "node" for segment in raw):
        raise BadParams("`messages` must be an array of segments of type node, and no other")
    return await call.segments(raw, chat)


async def _get_forward_msg(call: Call) -> Fields:
    """By `id`, as its segment has it, or by `message_id`, which clients take for either."""
    nodes, chat = await _opened(call)
    view = await call.view(node_references(nodes, chat))
    return result.forward_data(nodes, chat, view)


async def _opened(call: Call) -> tuple[tuple[Node, ...], Chat]:
    name = given(call.params, "id", "message_id")
    wanted, chat = read_text(call.params, name), _NOWHERE
    if name == "message_id" and (known := await _message_with_forward(call)):
        forward, chat = known
        if forward.nodes:
            return forward.nodes, chat
        wanted = forward.id
    return await call.ask(act.GetForward(wanted)), chat


async def _message_with_forward(call: Call) -> tuple[Forward, Chat] | None:
    try:
        event = (await call.message()).event
    except NotFound:
        return None
    forward = _forward_in(event.segments)
    return (forward, event.chat) if forward else None


def _forward_in(segments: Segments) -> Forward | None:
    return next((segment for segment in segments if isinstance(segment, Forward)), None)


ACTIONS: Mapping[str, Handler] = {
    "send_group_forward_msg": _send_group_forward_msg,
    "send_private_forward_msg": _send_private_forward_msg,
    "send_forward_msg": _send_forward_msg,
    "get_forward_msg": _get_forward_msg,
}
