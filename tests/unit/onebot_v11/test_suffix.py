"""Which calls are `_async` and `_rate_limited` forms of which action, and what is kept of them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from frontends.onebot_v11.action import ACTIONS
from frontends.onebot_v11.config import Config
from frontends.onebot_v11.retcode import UnknownAction
from frontends.onebot_v11.session import Session
from frontends.onebot_v11.suffix import DeferredCall, split_form
from onebus import action as act
from onebus.action import Action
from onebus.bus import Bus
from onebus.codec import decode
from onebus.deferred import Deferred
from onebus.errors import UnsupportedAction
from onebus.event import User, group_chat
from onebus.ids import Account, AccountId, ChatId, Platform, UserId
from onebus.segment import Text

ACCOUNT = Account(Platform("telegram"), AccountId("bot"))


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_action_has_all_forms(name: str) -> None:
    assert split_form(name) == (name, "")
    assert split_form(f"{name}_async") == (name, "_async")
    reads = name.startswith(("get_", "can_"))
    assert split_form(f"{name}_rate_limited") == (name, "_async" if reads else "_rate_limited")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "_async",
        "_rate_limited",
        "clean_data_dir_async",  # the standard's own example, which is no action of it
        "send_msg_async_async",
        "send_msg_async_rate_limited",
        "send_msg_rate_limited_async",
        "send_msg_ASYNC",
        "send_msgasync",
        "send_msg_rate_limite",
    ],
)
def test_other_names_are_no_actions(name: str) -> None:
    with pytest.raises(UnknownAction):
        split_form(name)


class Asked:
    """An account's session whose owner can write and ban, and answers what it is asked."""

    def __init__(self, bus: Bus) -> None:
        self.account = ACCOUNT
        self.bus = bus
        self.config = Config(rate_limit_interval=70)
        self.caller = self
        self.asked: list[Action[Any]] = []

    async def identity(self) -> Any:
        capabilities = ("send_message", "mute_member", "get_user")
        return SimpleNamespace(record=SimpleNamespace(capabilities=capabilities))

    async def call(self, _: Account, action: Action[Any], **_terms: Any) -> Any:
        self.asked.append(action)
        return User(UserId("bob"), "Bob")


async def kept(bus: Bus) -> list[Deferred]:
    stream = f"{bus.prefix}_deferred"
    state = (await bus.api(f"STREAM.INFO.{stream}"))["state"]
    entries = [
        await bus.at(stream, sequence)
        for sequence in range(state["first_seq"], state["last_seq"] + 1)
    ]
    return [decode(entry.body, Deferred) for entry in entries if entry]


async def test_changes_are_kept_with_the_interval_and_reads_are_answered(bus: Bus) -> None:
    session = Asked(bus)
    call = DeferredCall(cast("Session", session), {}, as_text=False)
    send = act.SendMessage(group_chat(ChatId("lobby")), (Text("hi"),))
    mute = act.MuteMember(ChatId("lobby"), UserId("bob"), 60)
    read = act.GetUser(UserId("bob"))
    assert (await call.ask(send)).sequence is not None
    assert (await call.ask(read)).name == "Bob"
    await call.ask(mute)
    found = await kept(bus)
    assert [(entry.account, entry.action) for entry in found] == [(ACCOUNT, send), (ACCOUNT, mute)]
    assert {entry.interval_ms for entry in found} == {70}
    assert session.asked == [read]


async def test_what_the_platform_cannot_do_is_not_kept(bus: Bus) -> None:
    call = DeferredCall(cast("Session", Asked(bus)), {}, as_text=False)
    with pytest.raises(UnsupportedAction, match="telegram cannot kick member"):
        await call.ask(act.KickMember(ChatId("lobby"), UserId("bob")))
    assert await kept(bus) == []
