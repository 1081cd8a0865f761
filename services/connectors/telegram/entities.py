"""Text with entities → segments: mentions and custom emoji are kept, looks are not.

Offsets and lengths count UTF-16 units. Source: https://core.telegram.org/bots/api#messageentity.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from connectors.telegram.wire import Entity, User
from onebus.ids import UserId
from onebus.segment import Emoji, Mention, Segment, Text

_USER_LINK = re.compile(r"tg://user\?id=(\d+)")


def decode_text(
    text: str, entities: Sequence[Entity], me: User, users: Mapping[str, UserId]
) -> list[Segment]:
    """A text → segments. `users`: usernames in lower case → who has them, as far as we know.

    A link keeps its address in brackets, unless the text is the address. A command that names this
    bot (`/help@my_bot`) loses the name: a bot reads `/help`. What would lie outside the text, or
    inside an entity that was made a segment already, is left as text.
    """
    units = text.encode("utf-16-le", "surrogatepass")
    found: list[Segment] = []
    done = 0
    for entity in sorted(entities, key=lambda entity: (entity.offset, -entity.length)):
        start, end = entity.offset, entity.offset + entity.length
        if start < done or not 0 <= start < end <= len(units) // 2:
            continue
        inner = _slice(units, start, end)
        parts = _special(entity, inner, me, users)
        if parts is not None:
            found += [Text(_slice(units, done, start)), *parts]
            done = end
    found.append(Text(_slice(units, done, len(units) // 2)))
    return list(merged(found))


def merged(segments: Iterable[Segment]) -> Iterator[Segment]:
    """The segments without empty texts, and with no two texts in a row."""
    text = ""
    for segment in segments:
        if isinstance(segment, Text):
            text += segment.text
            continue
        if text:
            yield Text(text)
        text = ""
        yield segment
    if text:
        yield Text(text)


def _slice(units: bytes, start: int, end: int) -> str:
    """UTF-16 units as text; half a character becomes U+FFFD."""
    return units[2 * start : 2 * end].decode("utf-16-le", "replace")


def _special(
    entity: Entity, inner: str, me: User, users: Mapping[str, UserId]
) -> list[Segment] | None:
    """What an entity is besides its text; None when it is nothing but looks."""
    match entity.type:
        case "text_mention" if entity.user:
            return [Mention(UserId(str(entity.user.id)), entity.user.name or inner)]
        case "mention":
            name = inner.removeprefix("@").lower()
            user = UserId(str(me.id)) if name == me.username.lower() else users.get(name)
            return [Mention(user, inner.removeprefix("@"))] if user else None
        case "custom_emoji" if entity.custom_emoji_id:
            return [Emoji(entity.custom_emoji_id, inner)]
        case "text_link" if entity.url:
            return _link(entity.url, inner)
        case "bot_command":
            command, _, name = inner.partition("@")
            return [Text(command)] if name and name.lower() == me.username.lower() else None
    return None


def _link(url: str, inner: str) -> list[Segment] | None:
    if user := _USER_LINK.fullmatch(url):
        return [Mention(UserId(user[1]), inner)]
    return None if url.rstrip("/") == inner.rstrip("/") else [Text(f"{inner} ({url})")]
