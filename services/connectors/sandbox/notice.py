"""Everything that happens besides messages, as the stream tells it; pure.

    {"type": "member_muted", "time": 1767225600, "group": "lobby" or null, "peer": null or
     "alice", "user": "bob", "operator": "alice", "duration_s": 60}

`type` is that of `api/events`, the other fields are those of the event (`onebus.event`), a user
being their id.
"""

from typing import Any

import msgspec

from connectors.sandbox.message import Json, encode_place
from onebus.event import Chat, Event, User


def encode_notice(event: Event) -> Json:
    """An event that is neither a message nor an edit or recall → the sandbox's JSON."""
    chat: Chat | None = getattr(event, "chat", None)
    place = encode_place(chat) if chat else {"group": None, "peer": None}
    told: Json = {
        "type": str(event.__struct_config__.tag),
        "time": event.time_ms // 1000,
        **place,
    }
    for field in event.__struct_fields__:
        if field not in {"account", "time_ms", "id", "v", "chat", "extra"}:
            told[field] = _plain(getattr(event, field))
    return told


def _plain(value: Any) -> Any:
    return value.id if isinstance(value, User) else msgspec.to_builtins(value)
