"""`_async` and `_rate_limited`: forms of every action that are answered before it is done.

`_async` runs in the background of this process. `_rate_limited` is made into what the account's
owner shall do, and kept for it: after the answer it needs this process no more.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/README.md
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar, cast

from frontends.onebot_v11.action import ACTIONS
from frontends.onebot_v11.action_native import native_action
from frontends.onebot_v11.call import Call, Handler
from frontends.onebot_v11.retcode import Answer, UnknownAction
from onebus import deferred
from onebus.action import Action, NativeAnswer, Sent, action_name, result_type
from onebus.errors import UnsupportedAction
from onebus.ids import MessageId
from onebus.once import changes

R = TypeVar("R")
Form: TypeAlias = Literal["", "_async", "_rate_limited"]

_FORMS: tuple[Form, ...] = ("_async", "_rate_limited")
_READS = ("get_", "can_")
_NATIVE = re.compile(r"[.\w]{1,100}", re.ASCII)


def split_form(name: str, *, native: bool = False) -> tuple[str, Form]:
    """A called name → the action, and the form in which it is wanted. Raises UnknownAction.

    An action that only reads has nothing to wait for: its `_rate_limited` is its `_async`.
    `native`: what we do not know the platform may, which speaks OneBot V11 itself.
    """
    if name in ACTIONS:
        return name, ""
    for form in _FORMS:
        action = name.removesuffix(form)
        if action != name and (action in ACTIONS or (native and _NATIVE.fullmatch(action))):
            return action, "_async" if action.startswith(_READS) else form
    if native and _NATIVE.fullmatch(name):
        return name, ""
    raise UnknownAction(f"no action {name!r}")


def handler_of(name: str) -> Handler:
    """What an action does that `split_form` found."""
    return ACTIONS.get(name) or native_action(name)


def known_name(name: str) -> str:
    """The action that a called name means; empty for one that does not exist."""
    try:
        return split_form(name)[0]
    except UnknownAction:
        return ""


class DeferredCall(Call):
    """A call whose changes wait for their turn, while its reads are answered at once.

    What is provably wrong (parameters, ids, an action that the platform lacks) fails now: nothing
    was kept, so the bot may be told.
    """

    async def ask(self, action: Action[R]) -> R:
        """Keep a change for the owner; its result does not exist yet and is made up.

        Raises UnsupportedAction or what `onebus.deferred.put` raises.
        """
        if not changes(action):
            return await super().ask(action)
        name = action_name(action)
        if name not in (await self.identity()).record.capabilities:
            what = name.replace("_", " ")
            raise UnsupportedAction(f"{self.session.account.platform} cannot {what}")
        interval_ms = self.session.config.rate_limit_interval
        self.stage = "asking"
        await deferred.put(self.session.bus, self.session.account, action, interval_ms=interval_ms)
        self.stage = "done"
        made_up: Mapping[Any, Any] = {
            Sent: Sent(MessageId(""), sequence=1),
            NativeAnswer: NativeAnswer(),
        }
        return cast("R", made_up.get(result_type(type(action))))

    async def run(self, name: str, params: Mapping[str, Any]) -> Answer:
        """Run another action as part of this one, its changes kept in the same way."""
        return await self.session.run(name, DeferredCall(self.session, params, as_text=False))
