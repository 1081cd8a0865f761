"""Template messages: a card of JSON with a `template_id` → the platform's body. Pure.

Source: https://developers.weixin.qq.com/doc/service/en/api/notify/template/api_sendtemplatemessage.html
"""

from typing import Any

import msgspec
from msgspec import Struct

from onebus.errors import BadParams
from onebus.segment import Card, Segment


class MiniProgram(Struct, frozen=True, omit_defaults=True):
    """The mini program that a touch opens; it goes before `url`."""

    appid: str
    pagepath: str = ""


class Value(Struct, frozen=True, omit_defaults=True):
    """What stands in one place of the template."""

    value: str | int | float
    color: str = ""


class Template(Struct, frozen=True, omit_defaults=True):
    """A template filled in. `client_msg_id`: the platform sends the same one once only."""

    template_id: str
    data: dict[str, Value] = msgspec.field(default_factory=dict)
    url: str = ""
    miniprogram: MiniProgram | None = None
    client_msg_id: str = ""


def is_template(segment: Segment) -> bool:
    """Whether a segment is a card that names a template."""
    if not isinstance(segment, Card) or segment.format != "json":
        return False
    try:
        said = msgspec.json.decode(segment.content)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return isinstance(said, dict) and "template_id" in said


def template_message(user: str, card: Card) -> dict[str, Any]:
    """The body of `message/template/send`; whom it goes to is the chat's affair, not the card's.

    Raises BadParams when the card is not as the platform's page says.
    """
    try:
        template = msgspec.json.decode(card.content, type=Template)
    except msgspec.DecodeError as error:
        raise BadParams(f"the card is no template message: {error}") from None
    body: dict[str, Any] = msgspec.to_builtins(template)
    return {"touser": user, "data": {}} | body
