"""Calls of an upstream's actions, with refusals as errors."""

from collections.abc import Callable
from typing import Any

from connectors.onebot11.answers import Reply, error_of
from connectors.onebot11.fields import Fields
from connectors.onebot11.link import Upstream
from onebus.errors import BadParams, PlatformUnavailable
from onebus.event import Chat


class Calls:
    """The actions of one upstream. `owned`: whether the account is ours at this moment."""

    def __init__(self, upstream: Upstream, owned: Callable[[], bool]) -> None:
        self._upstream = upstream
        self._owned = owned

    async def do(self, action: str, **params: Any) -> Any:
        """Do something; its `data`. Raises ActionError."""
        return await self._data(action, params, writes=True)

    async def read(self, action: str, **params: Any) -> Any:
        """Read something; its `data`. Raises ActionError."""
        return await self._data(action, params, writes=False)

    async def reply(self, action: str, params: Fields, *, writes: bool = True) -> Reply:
        """The answer as it came, a refusal too. Raises ActionError when there is none."""
        if writes and not self._owned():
            raise PlatformUnavailable("nothing was sent: the account is another process's")
        return await self._upstream.call(action, params, writes=writes)

    async def _data(self, action: str, params: Fields, *, writes: bool) -> Any:
        reply = await self.reply(action, params, writes=writes)
        if not reply.done:
            raise error_of(action, reply, writes=writes)
        return reply.data


def number(native: str) -> int:
    """An id as the standard wants it. Raises BadParams for what is none of this platform."""
    text = native.removeprefix("-")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise BadParams(f"{native[:20]} is no number, and users, groups and messages here have one")
    return int(native)


def place(chat: Chat) -> dict[str, int]:
    """`group_id` or `user_id`, where something goes. Raises BadParams."""
    return {"group_id" if chat.kind == "group" else "user_id": number(chat.id)}
