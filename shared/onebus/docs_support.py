"""What of OneBot V11 each platform can do: the generated tables that lay both side by side.

What an action needs is found by calling it: a stand-in for its call notes what it would ask the
account's owner for. What a platform can do is its connector's own list.
"""

import asyncio
import importlib
from types import SimpleNamespace
from typing import Any, NoReturn, get_args

from onebus import installed
from onebus import metrics as own_metrics
from onebus import segment as seg
from onebus.action import Action, action_name
from onebus.connector import capabilities
from onebus.docs_table import code, table
from onebus.event import group_chat, private_chat
from onebus.ids import ChatId, MessageId, UserId

_CAN, _CANNOT = "yes", "no"
_PARAMS = {
    "message": "Hello",
    "messages": [{"type": "node", "data": {"content": "Hello"}}],
    "id": "f1",
    "flag": "f1",
    "sub_type": "add",
    "type": "talkative",
    "group_name": "Lobby",
    "emoji_id": "1",
    "code": "1",
    "file": "f1",
    "file_id": "f1",
    "out_format": "mp3",
    "message_id": 1,
}


class _Asked(Exception):
    """The action would ask the owner of the account for this."""


class _Answered(Exception):
    """The action is answered by the frontend itself, from what it knows."""


class _Probe:
    """Stands in for a call: every id is known, and nothing is ever done."""

    def __init__(self) -> None:
        self.params = _PARAMS
        self.as_text = False
        self.notes: list[str] = []

    @property
    def session(self) -> NoReturn:
        raise _Answered

    async def identity(self) -> NoReturn:
        raise _Answered

    async def ask(self, action: Action[Any]) -> NoReturn:
        raise _Asked(action_name(action))

    async def user(self) -> UserId:
        return UserId("alice")

    async def group(self) -> ChatId:
        return ChatId("lobby")

    async def chat(self) -> Any:
        return group_chat(ChatId("lobby"))

    async def message(self, *_: str) -> Any:
        event = SimpleNamespace(chat=private_chat(UserId("alice")), message=MessageId("m1"))
        event.parts = ()
        return SimpleNamespace(event=event, sequence=1)

    async def segments(self, *_: Any) -> Any:
        return (seg.Text("Hello"),)

    def fresh(self) -> bool:
        return False


def actions() -> str:
    """Every action of OneBot V11 but the hidden one: what it needs, and who has that."""
    return asyncio.run(_actions())


async def _actions() -> str:
    platforms = {name: capabilities(installed.connector_class(name)) for name in _platforms()}
    rows = []
    for name, handler in importlib.import_module("frontends.onebot_v11.action").ACTIONS.items():
        if name.startswith("."):  # it stands for other actions
            continue
        needed = await _needed(handler)
        can = [not needed or needed in able for able in platforms.values()]
        words = (_CAN if there else _CANNOT for there in can)
        rows.append((code(name), code(needed) if needed else "nothing", *words))
    return table(("action", "needs", *map(code, platforms)), rows)


async def _needed(handler: Any) -> str:
    try:
        await handler(_Probe())
    except _Asked as asked:
        return str(asked)
    except _Answered:
        pass
    return ""


def segments() -> str:
    """Every segment: which platforms show it as what it is."""
    platforms = {name: installed.connector_class(name).sends for name in _platforms()}
    tags = [str(kind.__struct_config__.tag) for kind in get_args(seg.Segment)]
    rows = [
        (code(tag), *(_CAN if tag in sends else _CANNOT for sends in platforms.values()))
        for tag in tags
    ]
    return table(("segment", *map(code, platforms)), rows)


def _platforms() -> tuple[str, ...]:
    return tuple(installed.platforms())


def metrics() -> str:
    """What `/metrics` shows of our own."""
    rows = [
        (f"`{metric.name}`", metric.kind, code(*metric.labels), metric.meaning)
        for metric in own_metrics.DEFINED
    ]
    return table(("metric", "kind", "labels", "meaning"), rows)
