"""An event on its way out: its JSON, and what a transport must know of it without reading that."""

import struct
from collections.abc import Collection

from msgspec import Struct

from frontends.onebot_v11.view import Fields
from onebus.codec import encode

_DETAIL = ("message_type", "notice_type", "request_type", "meta_event_type")


class Frame(Struct, frozen=True):
    """One event as bots get it, encoded once for all of them.

    `name` is its types with dots between, as in `notice.group_increase.approve`; `chat` is equal
    for events that must keep their order. `stored_at_ms`: when the log took it.
    """

    body: bytes
    name: str
    chat: str
    self_id: int
    sequence: int
    stored_at_ms: int = 0


def frame_of(fields: Fields, sequence: int, stored_at_ms: int = 0) -> Frame:
    """An event's fields → its frame. For `message_sent` the type is that of the message."""
    post_type = fields["post_type"]
    detail = next((str(fields[key]) for key in _DETAIL if key in fields), "")
    name = ".".join(filter(None, (post_type, detail, str(fields.get("sub_type") or ""))))
    self_id = int(fields["self_id"])
    return Frame(encode(fields), name, _chat(fields), self_id, sequence, stored_at_ms)


def text_frame(body: bytes) -> bytes:
    """A WebSocket frame as a server sends it. Source: RFC 6455, section 5.2."""
    size = len(body)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + body
    if size < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size) + body
    return struct.pack("!BBQ", 0x81, 127, size) + body


def ping_frame(payload: bytes) -> bytes:
    """A ping as a server sends it, with fewer than 126 bytes. Source: RFC 6455, section 5.5.2."""
    return struct.pack("!BB", 0x89, len(payload)) + payload


def wanted(name: str, events: Collection[str]) -> bool:
    """Whether a filter lets an event of this name through; an empty one lets all."""
    return not events or any(f"{name}.".startswith(f"{wish}.") for wish in events)


def _chat(fields: Fields) -> str:
    for key in ("group_id", "user_id"):
        if fields.get(key):
            return f"{key}={fields[key]}"
    return ""
