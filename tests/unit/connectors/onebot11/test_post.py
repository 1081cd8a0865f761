"""By HTTP: calls and their refusals, and posts that are believed or not."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.fakes.onebot11_upstream import SELF, Failed, FakeUpstream, private, signature, upstream
from tests.unit.connectors.onebot11.running import At, account, running

from onebus.action import GetUser, SendMessage
from onebus.connector import WebhookRequest
from onebus.errors import (
    AuthFailed,
    BadParams,
    Forbidden,
    Misconfigured,
    NotFound,
    NotReady,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
    UnsupportedAction,
)
from onebus.event import private_chat
from onebus.ids import UserId
from onebus.segment import Text

TOKEN, SECRET = "upstream-token-canary", "upstream-secret-canary"
HI = SendMessage(private_chat(UserId("20002")), (Text("hi"),))


@pytest.fixture
async def there() -> AsyncIterator[FakeUpstream]:
    async with upstream(TOKEN) as made:
        yield made


def config(there: FakeUpstream, **more: Any) -> dict[str, Any]:
    return {"url": f"http://{there.base}", "access_token": TOKEN, "secret": SECRET, **more}


async def post(
    at: At, body: bytes, secret: str = SECRET, method: str = "POST", **headers: str
) -> int:
    given = {"X-Signature": signature(body, secret), "X-Self-ID": str(SELF)}
    signed = {name: value for name, value in (given | headers).items() if value != "none"}
    return (await at.connector.webhook(WebhookRequest(method, {}, signed, body))).status


def said(message: Any = "hello", age_s: float = 0, **more: Any) -> bytes:
    fields = {"time": int(time.time() - age_s), "self_id": SELF, **private(message)}
    return json.dumps(fields | more, ensure_ascii=False).encode()


async def test_calls_go_out_and_posts_come_in(there: FakeUpstream) -> None:
    async with running(**config(there)) as at:
        assert await post(at, said("你好")) == 200
        assert (await at.connector.send_message(HI)).message == "901"
        assert len(await at.events(2)) == 2
        assert await there.calls("send_private_msg") == [
            {"user_id": 20002, "message": [{"type": "text", "data": {"text": "hi"}}]}
        ]


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({"X-Signature": "none"}, SECRET),
        ({"X-Signature": ""}, SECRET),
        ({"X-Signature": "sha1="}, SECRET),
        ({"X-Signature": "sha1=" + "0" * 40}, SECRET),
        ({"X-Signature": "é"}, SECRET),
        ({}, "another bot's secret"),
        ({}, ""),
    ],
)
async def test_a_post_that_is_not_authentic(
    there: FakeUpstream, headers: dict[str, str], secret: str
) -> None:
    async with account(**config(there)) as at:
        assert await post(at, said(), secret, **headers) == 401
        assert at.kit.memory.events() == []


async def test_the_signature_is_over_the_very_bytes(there: FakeUpstream) -> None:
    async with account(**config(there)) as at:
        body = said()
        spaced = body.replace(b'": ', b'":  ', 1)
        assert json.loads(body) == json.loads(spaced)
        assert await post(at, spaced, **{"X-Signature": signature(body, SECRET)}) == 401


async def test_the_same_post_again_is_one_event_and_an_old_one_none(there: FakeUpstream) -> None:
    async with account(**config(there)) as at:
        body = said()
        poke = said(post_type="notice", notice_type="friend_add", message_id=None)
        for _ in range(3):
            assert (await post(at, body), await post(at, poke)) == (200, 200)
        assert len(at.kit.memory.events()) == 2
        at.kit.clock = lambda: time.time() + 600
        assert await post(at, body) == 401
        for age_s in (301, -302):
            at.kit.clock = time.time
            assert await post(at, said("old", age_s)) == 401
        assert len(at.kit.memory.events()) == 2


@pytest.mark.parametrize("body", [b"", b"[]", b"no JSON", b"{" * 100])
async def test_a_signed_post_that_is_no_event(there: FakeUpstream, body: bytes) -> None:
    async with account(**config(there)) as at:
        assert await post(at, body) == 400
        assert await post(at, body, method="GET") == 405


async def test_without_nats_the_post_is_to_come_again(there: FakeUpstream) -> None:
    async with account(**config(there)) as at:
        at.kit.memory.bus.available = False
        at.connector.kit.append = _soon(at)  # type: ignore[method-assign]
        body = said()
        assert await post(at, body) == 503
        at.kit.memory.bus.available = True
        assert await post(at, body) == 200
        assert len(at.kit.memory.events()) == 1


def _soon(at: At) -> Any:
    append = at.kit.append

    async def soon(event: Any, **_: Any) -> int:
        return await append(event, timeout_s=0)

    return soon


async def test_posts_of_another_login_and_meta_events_are_taken_and_not_kept(
    there: FakeUpstream,
) -> None:
    async with account(**config(there, self_id=str(SELF))) as at:
        meta: dict[str, Any] = {"post_type": "meta_event", "meta_event_type": "heartbeat"}
        assert await post(at, said(self_id=7)) == 200
        assert await post(at, said(**meta)) == 200
        assert at.kit.memory.events() == []


async def test_the_other_transports_have_no_webhook(there: FakeUpstream) -> None:
    async with account(url=f"ws://{there.base}", secret=SECRET) as at:
        assert await post(at, said()) == 404


async def test_without_a_secret_it_does_not_start() -> None:
    with pytest.raises(Misconfigured, match="secret is empty"):
        async with account(url="http://127.0.0.1:1"):
            pass


async def test_a_wrong_token_waits_for_a_human(there: FakeUpstream) -> None:
    async with account(**config(there, access_token="wrong")) as at:
        with pytest.raises(AuthFailed):
            await at.connector.open()


async def test_an_upstream_that_is_offline_is_noticed(
    there: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.onebot11.post.LOOK_S", 0.05)
    async with running(**config(there)) as at:
        there.online = False
        assert "offline" in str(await at.ended())
        there.online = None
        await at.run()
        await there.calls("get_status", 4)  # what it cannot say is no sign of being offline
        assert at.task
        assert not at.task.done()
        there.token = "changed"
        assert isinstance(await at.ended(), AuthFailed)


async def test_an_upstream_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.onebot11.post.LOOK_S", 0.05)
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(upstream(TOKEN))
        async with running(**config(there)) as at:
            await stack.aclose()
            assert isinstance(await at.ended(), NotReady)


@pytest.mark.parametrize(
    ("retcode", "wording", "error"),
    [
        (1400, "", BadParams),
        (1404, "", UnsupportedAction),
        (404, "API不存在", UnsupportedAction),
        (1403, "", Forbidden),
        (10001, "", UnsupportedAction),
        (10002, "", NotFound),
        (10003, "", Forbidden),
        (10004, "", RateLimited),
        (10005, "", PlatformUnavailable),
        (10006, "", OutcomeUnknown),
        (10007, "", OutcomeUnknown),
        (10008, "", PlatformUnavailable),
        (10009, "", PlatformUnavailable),
        (10010, "", OutcomeUnknown),
        (10011, "", PlatformUnavailable),
        (1200, "Timeout: NTEvent serviceAndMethod:NodeIKernelMsgService/sendMsg", OutcomeUnknown),
        (100, "GROUP_NOT_FOUND", NotFound),
        (1200, "消息不存在", NotFound),
        (1200, "被禁言", Forbidden),
        (-1, "", Forbidden),
    ],
)
async def test_refusals_are_our_errors(
    there: FakeUpstream, retcode: int, wording: str, error: type[Exception]
) -> None:
    def fail(_: Any) -> Any:
        raise Failed(retcode, wording)

    there.answers["send_private_msg"] = fail
    async with running(**config(there)) as at:
        with pytest.raises(error) as caught:
            await at.connector.send_message(HI)
        assert type(caught.value) is error
        assert str(retcode) in str(caught.value)


async def test_an_answer_that_makes_no_sense(there: FakeUpstream) -> None:
    there.answers["get_stranger_info"] = []
    async with running(**config(there)) as at:
        assert (await at.connector.get_user(GetUser(UserId("20002")))).id == "20002"
        there.answers["send_private_msg"] = {}
        with pytest.raises(OutcomeUnknown, match="no message_id"):
            await at.connector.send_message(HI)
