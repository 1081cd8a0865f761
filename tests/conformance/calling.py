"""Calls of the public API over a real session: `calls.json`, with one thing changed.

Of each action it has `params` (all of them, none at its default), what the `platform` answers,
what each param `arrives` as, what its `defaults` arrive as, and what the bot's data `answers`.
The log is that of the actions' goldens.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from tests.fakes.onebot_session import session_with

from frontends.onebot_v11.config import Config
from onebus import __version__
from onebus.action import Action, action_name
from onebus.codec import encode
from onebus.event import Event

HERE = Path(__file__).parent
LOG = HERE.parent / "golden" / "onebot_actions" / "log.json"
EVENTS = msgspec.convert(json.loads(LOG.read_text()), list[Event])


class Known(msgspec.Struct):
    params: dict[str, Any] = {}
    platform: dict[str, Any] = {}
    arrives: dict[str, dict[str, Any]] = {}
    defaults: dict[str, dict[str, Any]] = {}
    answers: Any = None


CALLS = msgspec.convert(json.loads((HERE / "calls.json").read_text()), dict[str, Known])
CALLS["get_version_info"].answers["app_version"] = __version__


class Outcome(msgspec.Struct):
    """The answer as a bot reads it, and the actions that reached the platform."""

    answer: dict[str, Any]
    asked: list[dict[str, Any]]

    @property
    def data(self) -> Any:
        return self.answer["data"]

    @property
    def arrived(self) -> dict[str, Any]:
        """What the platform was asked; for what needs no platform, what was answered."""
        return self.asked[-1] if self.asked else self.data

    def refused(self, *names: str) -> bool:
        """Whether it is 1400, names one of these params, and nothing was done."""
        named = any(f"`{name}" in self.answer["message"] for name in names)
        return self.answer["retcode"] == 1400 and named and not self.asked


async def call(
    action: str, params: Mapping[str, Any], *, as_text: bool = False, config: Config | None = None
) -> Outcome:
    """Call an action with these params, the platform answering as `calls.json` says."""
    async with session_with(*EVENTS, config=config) as (session, bus):
        bus.answers = CALLS[action].platform
        answer = await session.execute(action, params, as_text=as_text)
    return Outcome(shown(answer), [fields_of(action) for action in bus.asked])


async def good(
    action: str, params: Mapping[str, Any] | None = None, *, as_text: bool = False
) -> Outcome:
    """A call that succeeds, with the params of `calls.json` unless others are given."""
    given = CALLS[action].params if params is None else params
    outcome = await call(action, given, as_text=as_text)
    assert outcome.answer["status"] in ("ok", "async"), outcome
    return outcome


def fields_of(action: Action[Any]) -> dict[str, Any]:
    """An action with the fields that are at their defaults too."""
    fields = {name: shown(getattr(action, name)) for name in action.__struct_fields__}
    return {"type": action_name(action), **fields}


def shown(value: Any) -> Any:
    return json.loads(encode(value))
