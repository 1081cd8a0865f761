"""Ids in golden files: numbers stand for native ids by a letter in front.

User 10 is `u10`, group 2001 `g2001`, message 5 `m5`. Nothing is known of 404 and of the message
`gone`.
"""

from frontends.onebot_v11.from_onebot import Translated, from_onebot_message, wire_ids
from frontends.onebot_v11.message import read_message
from frontends.onebot_v11.references import Natives, Numbers, References, WireIds
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import Node


def numbers_of(wanted: References) -> Numbers:
    return Numbers(
        {user: int(user[1:]) for user in wanted.users},
        {group: int(group[1:]) for group in wanted.groups},
        {key: int(key[1][1:]) for key in wanted.messages if key[1] != "gone"},
    )


def natives_of(wanted: WireIds) -> Natives:
    def known(ids: frozenset[str], letter: str) -> dict[str, str]:
        names = {text: f"{letter}{text}" if len(text) > 3 else text for text in ids}
        return {text: name for text, name in names.items() if text != "404"}

    return Natives(
        {text: UserId(name) for text, name in known(wanted.users, "u").items()}
        | ({"alice": UserId("alice")} if "alice" in wanted.users else {}),
        {text: ChatId(name) for text, name in known(wanted.groups, "g").items()},
        {text: MessageId(name) for text, name in known(wanted.messages, "m").items()},
        {text: Node(MessageId(name)) for text, name in known(wanted.nodes, "m").items()},
    )


def translate(message: object, **options: bool) -> Translated:
    """What a bot sends, as the model has it."""
    raw = read_message(message, **options)
    return from_onebot_message(raw, natives_of(wire_ids(raw)))
