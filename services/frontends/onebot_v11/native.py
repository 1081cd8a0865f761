"""What an upstream implementation of OneBot V11 says and takes, handed through with our numbers.

Behind some accounts is a platform that speaks OneBot V11 itself. Its users and groups have the same
numbers here as there. Its messages do not: `message_id` is ours for what the log has, so it is
exchanged wherever one stands, in both directions. What the log does not know stays as it is.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from frontends.onebot_v11.references import Numbers, message_key
from frontends.onebot_v11.view import Fields, View
from onebus.event import Chat, NativeEvent, group_chat, private_chat
from onebus.ids import ChatId, MessageId, UserId

PROTOCOL = "onebot.v11"
SPEAKS = f"speaks:{PROTOCOL}"
"""The capability of an account whose platform speaks OneBot V11 itself."""

Exchange: TypeAlias = Callable[[Chat | None, str], str | None]
"""A message's id in its chat, where that is known, → what to put in its place; None: nothing."""

_SAME = ("message_seq", "real_id")
"""Where these repeat the message_id, as in NapCat's messages, they go on doing so."""
_QUOTING = ("reply", "node")
_CQ = re.compile(r"\[CQ:(?:reply|node),id=(-?[0-9]{1,19})(?=[,\]])")
_TEXTS = ("message", "raw_message", "content")


def exchanged(value: Any, exchange: Exchange, chat: Chat | None = None) -> Any:
    """A copy of parameters or of an answer in which every id of a message is exchanged.

    These are `message_id`, and `id` of the segments that quote, as objects or in CQ text. `chat`:
    where what names none of its own belongs.
    """
    if isinstance(value, list):
        return [exchanged(one, exchange, chat) for one in value]
    if not isinstance(value, dict):
        return value
    chat = _chat(value) or chat
    changed = {key: _inside(key, inner, exchange, chat) for key, inner in value.items()}
    if value.get("type") in _QUOTING and isinstance(value.get("data"), dict):
        changed["data"] = changed["data"] | _swapped(value["data"], "id", exchange, chat)
    return changed | _swapped(value, "message_id", exchange, chat)


def to_onebot_native(event: NativeEvent, view: View) -> Fields | None:
    """An event that only the upstream has a word for, as it came; None for another standard's."""
    if event.protocol != PROTOCOL or not isinstance(event.payload.get("post_type"), str):
        return None
    known = numbers_of(view.numbers)

    def exchange(_chat: Chat | None, native: str) -> str | None:
        return known(event.chat, native) if native == event.message else None

    payload: Fields = exchanged(event.payload, exchange)
    return payload | _own(event, view)


def numbers_of(numbers: Numbers) -> Exchange:
    """Native ids of messages → our numbers."""

    def exchange(chat: Chat | None, native: str) -> str | None:
        number = numbers.messages.get(message_key(chat, MessageId(native))) if chat else None
        return None if number is None else str(number)

    return exchange


def _own(event: NativeEvent, view: View) -> Fields:
    """What is ours in every event."""
    return {"time": event.time_ms // 1000, "self_id": view.self_id}


def _inside(key: str, value: Any, exchange: Exchange, chat: Chat | None) -> Any:
    if isinstance(value, str) and key in _TEXTS and "[CQ:" in value:
        return _CQ.sub(lambda code: _in_code(code, exchange, chat), value)
    return exchanged(value, exchange, chat)


def _in_code(code: re.Match[str], exchange: Exchange, chat: Chat | None) -> str:
    other = exchange(chat, code[1])
    return code[0] if other is None else code[0].removesuffix(code[1]) + other


def _swapped(
    data: Mapping[str, Any], name: str, exchange: Exchange, chat: Chat | None
) -> dict[str, Any]:
    """The id under this name exchanged, as a number where it was one."""
    given = data.get(name)
    if isinstance(given, bool) or not isinstance(given, int | str):
        return {}
    other = exchange(chat, str(given).strip())
    if other is None:
        return {}
    put = int(other) if isinstance(given, int) and other.lstrip("-").isdecimal() else other
    names = (name, *(same for same in _SAME if data.get(same) == given))
    return dict.fromkeys(names, put)


def _chat(value: Mapping[str, Any]) -> Chat | None:
    """Where what a dict says belongs: its group, or the private chat with its user."""
    if group := _id(value.get("group_id")):
        return group_chat(ChatId(group))
    user = _id(value.get("target_id")) if value.get("message_sent_type") else ""
    user = user or _id(value.get("user_id"))
    return private_chat(UserId(user)) if user else None


def _id(value: object) -> str:
    text = str(value).strip() if isinstance(value, int | str) else ""
    return text if text.isdecimal() and text != "0" else ""
