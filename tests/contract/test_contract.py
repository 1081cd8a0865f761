"""The contract tests themselves: each planted fault of a connector or the kit is found by one."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from tests.contract.subjects import wechat

import connectors.wechat as wechat_module
from connectors.wechat import decode, webhook
from connectors.wechat.crypto import NotAuthentic
from connectors.wechat.encode import Encoded, encode_segments
from onebus import api, pace
from onebus.connector import WebhookReply
from onebus.errors import OnebusError, PlatformUnavailable
from onebus.ids import Account, MessageId
from onebus.testing import play as play_module
from onebus.testing.contract import ConnectorContract
from onebus.testing.memory import MemoryKit


class Contract(ConnectorContract):
    """Not found by pytest: its name does not begin with Test."""

    platform = "wechat"
    subject = wechat.Subject


_numbers = itertools.count()
_call = api.Api.call


async def _call_loudly(self: api.Api, call: api.Call) -> api.Answer:
    self._way.logger.debug("calling with %s", call.query)
    return await _call(self, call)


def _any_is_good(given: str, *_: str) -> None:
    if not given:
        raise NotAuthentic("missing")


def _success_always(*_: object) -> WebhookReply:
    return webhook.SUCCESS


async def _never_ends(_: object) -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            return


async def _open_fails_otherwise(_: object) -> None:
    raise PlatformUnavailable("away")


def _names_nothing(*args: Any, **named: Any) -> Encoded:
    return Encoded(encode_segments(*args, **named).drafts, ())


def _decode_otherwise(fields: decode.Fields, account: Account) -> decode.Inbound:
    return decode.decode({**fields, "CreateTime": "1"}, account)


Fault = tuple[str, object, str, object, tuple[Any, ...]]
FAULTS: dict[str, Fault] = {
    "any signature is good": (
        "test_s12_no_forgery_is_believed",
        *(webhook, "check_signature", _any_is_good, ()),
    ),
    "old signatures are good": (
        "test_s12_a_replay_is_one_entry_and_later_refused",
        *(webhook, "MAX_SKEW_S", 10**9, ()),
    ),
    "no secret is needed": (
        "test_s12_without_a_secret_it_does_not_start",
        *(wechat_module.Config, "problems", lambda *_, **__: (), ()),
    ),
    "ids are made up": (
        "test_r12_each_update_is_logged_once_however_often_it_comes",
        *(decode, "MessageId", lambda given: MessageId(f"{given}-{next(_numbers)}"), ()),
    ),
    "ids are made up, and it dies": (
        "test_an_update_in_the_log_that_was_not_confirmed_is_logged_once",
        *(decode, "MessageId", lambda given: MessageId(f"{given}-{next(_numbers)}"), ()),
    ),
    "what the log did not take is confirmed": (
        "test_without_the_log_an_update_is_not_confirmed",
        *(webhook, "_refusal", _success_always, ()),
    ),
    "what is unknown is not counted": (
        "test_an_unknown_update_is_counted_and_harms_nothing",
        *(MemoryKit, "ignore", lambda *_: None, ()),
    ),
    "it does not let itself be cancelled": (
        "test_cancelled_it_ends_and_closes_in_time",
        *(wechat_module.Connector, "run", _never_ends, ()),
    ),
    "opening fails in a way of its own": (
        "test_what_it_cannot_open_is_one_of_the_three_failures",
        *(wechat_module.Connector, "open", _open_fails_otherwise, ()),
    ),
    "nothing waits for the end of a pause": (
        "test_r11_what_the_platform_puts_off_is_sent_in_its_time",
        *(pace.Pacer, "pause", lambda *_: None, ()),
    ),
    "what may have been done is called certain": (
        "test_what_may_have_been_done_is_not_done_again",
        *(api, "broken", lambda _, text: PlatformUnavailable(text), (502,)),
    ),
    "a stale owner sends": (
        "test_who_lost_the_account_sends_nothing",
        *(MemoryKit, "owned", lambda _: True, ()),
    ),
    "what is dropped is not named": (
        "test_a_segment_is_shown_refused_or_named_as_degraded",
        *(wechat_module, "encode_segments", _names_nothing, ()),
    ),
    "more is promised than shown": (
        "test_a_segment_is_shown_refused_or_named_as_degraded",
        *(wechat_module.Connector, "sends", ("text", "link", "mention"), ()),
    ),
    "the page promises less": (
        "test_the_page_of_connectors_has_its_row",
        *(wechat_module.Connector, "sends", ("text", "link", "dice"), ()),
    ),
    "refusals are not played": (
        "test_who_calls_an_api_can_be_refused",
        *(wechat.Subject, "calls_api", False, ()),
    ),
    "payloads become something else": (
        "test_payloads_become_what_the_goldens_say",
        *(wechat, "decode", _decode_otherwise, ()),
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_fault_is_found(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    name, where, what, faulty, arguments = fault
    monkeypatch.setattr(play_module, "CLOSE_S", 0.5)
    test: Callable[..., Any] = getattr(Contract(), name)
    monkeypatch.setattr(where, what, faulty)
    with pytest.raises((AssertionError, pytest.fail.Exception, OnebusError)):
        await _run(test, *arguments)


async def _run(test: Callable[..., Any], *arguments: Any) -> None:
    result = test(*arguments)
    if result is not None:
        await result


async def test_a_secret_in_a_log_line_is_found(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(api.Api, "call", _call_loudly)
    with pytest.raises(AssertionError):
        await Contract().test_s18_no_secret_in_any_log_line_or_error(caplog)


async def test_without_a_fault_all_of_them_pass() -> None:
    for name, *_, arguments in FAULTS.values():
        await _run(getattr(Contract(), name), *arguments)
