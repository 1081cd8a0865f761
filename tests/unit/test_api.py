"""Calls of a platform's API: what each way to fail becomes, against a real HTTP server."""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator
from email.utils import formatdate

import aiohttp
import pytest
from aiohttp import web
from msgspec import Struct
from tests.fakes.http_api import HttpApi, break_off, hang_up, never

from onebus import deadline
from onebus.api import Answer, Api, Call, Options, Pause, Way, retry_after_s, session
from onebus.errors import (
    ActionError,
    BadParams,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
)
from onebus.pace import Limits, Pacer, Rate

SECRET = "123:token-canary"
SEND = Call("POST", f"/bot{SECRET}/send", json={"text": "好"}, writes=True, chat="c")
READ = Call("GET", f"/bot{SECRET}/me")


class Ok(Struct):
    ok: bool


class Made:
    """An API of one account, and the platform behind it."""

    def __init__(self, http: aiohttp.ClientSession, platform: HttpApi) -> None:
        self.http = http
        self.platform = platform
        self.owned = True

    def api(self, limits: Limits | None = None, options: Options | None = None) -> Api:
        logger = logging.LoggerAdapter(logging.getLogger("test.api"), {})
        way = Way(self.http, lambda: self.owned, logger)
        options = options or Options("Example", (SECRET,), timeout_s=0.5)
        return Api(way, self.platform.base + "/", Pacer(limits or Limits()), options)


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    async with aiohttp.ClientSession() as http, HttpApi().serve() as platform:
        yield Made(http, platform)


async def test_accounts_share_no_cookies_and_wait_for_no_connection(made: Made) -> None:
    async with session() as http:
        made.http = http
        made.platform.base = made.platform.base.replace("127.0.0.1", "localhost")
        made.platform.refuse(200, "{}", Set_Cookie="login=alice; Path=/")
        await made.api().call(READ)
        await made.api().call(READ)
        assert "Cookie" not in made.platform.calls[1].headers
        made.platform.script.extend([never] * 150)
        poll = Call("GET", "/poll", paced=False, timeout_s=30)
        polls = [asyncio.ensure_future(made.api().call(poll)) for _ in range(150)]
        async with asyncio.timeout(20):
            while len(made.platform.calls) < 152:
                await asyncio.sleep(0.01)
        assert (await made.api().call(READ)).ok
        for task in polls:
            task.cancel()
        await asyncio.gather(*polls, return_exceptions=True)


async def test_what_goes_out_and_what_comes_back(made: Made) -> None:
    call = Call("POST", "/a b/%2F", {"q": "1&2"}, {"X-Y": "z"}, json={"text": "好"})
    answer = await made.api().call(call)
    assert (answer.status, answer.ok, answer.read(Ok)) == (200, True, Ok(ok=True))
    assert answer.headers["content-type"].startswith("application/json")
    (arrived,) = made.platform.calls
    assert (arrived.method, arrived.query, arrived.headers["X-Y"]) == ("POST", {"q": "1&2"}, "z")
    assert arrived.headers["Content-Type"] == "application/json"
    assert arrived.body == '{"text":"好"}'.encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadParams), (401, Forbidden), (403, Forbidden), (404, NotFound), (302, Forbidden)],
)
async def test_a_refusal_comes_back_to_be_read(
    made: Made, status: int, kind: type[ActionError]
) -> None:
    made.platform.refuse(status, '{"ok": false}', Location="http://127.0.0.1:1/")
    answer = await made.api().call(SEND)
    assert not answer.ok
    assert answer.read(Ok) == Ok(ok=False)
    assert type(answer.error("why")) is kind
    assert str(answer.error("why")) == f"Example answered HTTP {status}: why"
    assert len(made.platform.calls) == 1


async def test_no_connection_means_nothing_was_done(made: Made) -> None:
    made.platform.base = "http://127.0.0.1:1"
    with pytest.raises(PlatformUnavailable, match=r"no connection to Example at 127\.0\.0\.1"):
        await made.api().call(SEND)


@pytest.mark.parametrize("handler", [hang_up, never, break_off])
@pytest.mark.parametrize("writes", [True, False])
async def test_what_breaks_after_sending_is_unknown_for_a_write_alone(
    made: Made, handler: object, writes: bool
) -> None:
    made.platform.script.extend([handler] * 2)  # type: ignore[list-item]  # aiohttp reads again
    kind = OutcomeUnknown if writes else PlatformUnavailable
    with pytest.raises(kind) as caught:
        await made.api().call(SEND if writes else READ)
    assert caught.value.certain != writes


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_5xx_is_unknown_for_a_write_alone(made: Made, status: int) -> None:
    for call, kind in ((SEND, OutcomeUnknown), (READ, PlatformUnavailable)):
        made.platform.refuse(status)
        with pytest.raises(kind, match=f"HTTP {status}"):
            await made.api().call(call)
    assert len(made.platform.calls) == 2


@pytest.mark.parametrize("body", ["", "<html>", "[]", "[" * 5000, '{"ok":"'])
async def test_an_answer_that_cannot_be_read(made: Made, body: str) -> None:
    for call, kind in ((SEND, OutcomeUnknown), (READ, PlatformUnavailable)):
        made.platform.refuse(200, body)
        answer = await made.api().call(call)
        with pytest.raises(kind, match="cannot be read"):
            answer.read(Ok)


async def test_an_answer_that_is_too_long(made: Made) -> None:
    options = Options("Example", max_bytes=100_000)
    made.platform.refuse(200, "x" * 100_000)
    assert len((await made.api(options=options).call(READ)).body) == 100_000
    made.platform.refuse(200, "x" * 100_001)
    with pytest.raises(PlatformUnavailable, match="too long"):
        await made.api(options=options).call(READ)


async def test_r11_a_call_that_is_put_off_is_made_again_and_not_before(made: Made) -> None:
    for retry in ("0.3", formatdate(time.time() + 1, usegmt=True)):
        made.platform.calls.clear()
        made.platform.refuse(429, Retry_After=retry)
        api = made.api()
        answers = await asyncio.gather(api.call(SEND), api.call(READ))
        assert [answer.status for answer in answers] == [200, 200]
        assert len(made.platform.calls) == 3
    made.platform.refuse(503, Retry_After="0.2")
    assert (await made.api().call(SEND)).ok


async def test_r11_no_call_of_the_account_goes_out_in_the_pause(made: Made) -> None:
    made.platform.refuse(429, Retry_After="0.5")
    api = made.api()
    first = asyncio.ensure_future(api.call(SEND))
    while not made.platform.calls:
        await asyncio.sleep(0.01)
    later = asyncio.gather(*(api.call(READ) for _ in range(5)))
    await asyncio.gather(first, later)
    refused, *others = sorted(call.at_s for call in made.platform.calls)
    early = [at_s for at_s in others if at_s - refused < 0.49]
    assert len(early) <= 0 or max(early) - refused < 0.05, "only what was under way already"
    assert len(others) == 6


async def test_r11_a_platform_has_its_own_way_to_say_so(made: Made) -> None:
    def pause(answer: Answer) -> Pause | None:
        return Pause(0.3, chat_only=True) if b"slow" in answer.body else None

    made.platform.refuse(200, '{"slow": true}')
    api = made.api(options=Options(pause=pause))
    sending = asyncio.ensure_future(api.call(SEND))
    while not made.platform.calls:
        await asyncio.sleep(0.01)
    await api.call(Call("POST", "/other", chat="d"))
    await sending
    assert [call.path for call in made.platform.calls] == [SEND.path, "/other", SEND.path]
    assert made.platform.calls[2].at_s - made.platform.calls[0].at_s >= 0.3


async def test_r11_without_time_for_the_pause_the_refusal_is_certain(made: Made) -> None:
    made.platform.refuse(429, Retry_After="30")
    api, started = made.api(), time.monotonic()
    with deadline.within(5), pytest.raises(RateLimited) as caught:
        await api.call(SEND)
    assert caught.value.retry_after_s == pytest.approx(30, abs=1)
    with deadline.within(5), pytest.raises(RateLimited):
        await api.call(Call("GET", "/poll", paced=False))
    assert time.monotonic() - started < 4
    assert len(made.platform.calls) == 1


async def test_a_rate_is_waited_for_as_far_as_the_deadline_allows(made: Made) -> None:
    api = made.api(Limits(chat=Rate(1, 60.0)))
    with deadline.within(5):
        await api.call(SEND)
        with pytest.raises(RateLimited):
            await api.call(SEND)
        await api.call(READ)
    assert len(made.platform.calls) == 2


async def test_an_answer_that_does_not_come_ends_before_the_deadline(made: Made) -> None:
    made.platform.script.append(never)
    with deadline.within(0.4):
        async with asyncio.timeout(0.4):
            with pytest.raises(OutcomeUnknown):
                await made.api(options=Options(timeout_s=60)).call(SEND)


async def test_only_the_owner_writes(made: Made) -> None:
    made.owned = False
    with pytest.raises(PlatformUnavailable, match="moved to another process"):
        await made.api().call(SEND)
    assert (await made.api().call(READ)).ok
    assert len(made.platform.calls) == 1


async def test_a_body_is_made_anew_for_each_attempt(made: Made) -> None:
    def form() -> aiohttp.FormData:
        data = aiohttp.FormData()
        data.add_field("file", b"bytes", filename="a.png")
        return data

    made.platform.refuse(429, Retry_After="0")
    await made.api().call(Call("POST", "/upload", data=form, writes=True))
    assert [b"bytes" in call.body for call in made.platform.calls] == [True, True]
    await made.api().call(Call("POST", "/raw", data=b"raw"))
    assert made.platform.calls[-1].body == b"raw"


async def test_a_download_is_read_piece_by_piece(made: Made) -> None:
    made.platform.refuse(200, "x" * 300_000)
    async with made.api().download(READ) as download:
        assert (download.answer.ok, download.size_bytes) == (True, 300_000)
        pieces = [piece async for piece in download.chunks]
    assert sum(map(len, pieces)) == 300_000
    assert len(pieces) > 1
    made.platform.refuse(404)
    async with made.api().download(READ) as download:
        assert download.answer.status == 404


async def test_a_download_that_breaks_off_is_an_error_of_ours(made: Made) -> None:
    made.platform.script.append(break_off)
    async with made.api().download(READ) as download:
        with pytest.raises(PlatformUnavailable, match="broke off"):
            [piece async for piece in download.chunks]
    made.platform.base = "http://127.0.0.1:1"
    with pytest.raises(PlatformUnavailable, match="no connection"):
        async with made.api().download(READ):
            pass


async def failures(made: Made) -> list[ActionError]:
    found: list[ActionError] = []
    for script in (hang_up, never, break_off):
        made.platform.script.append(script)
        with pytest.raises(ActionError) as caught:
            await made.api().call(SEND)
        found.append(caught.value)
    made.platform.refuse(502)
    with pytest.raises(ActionError) as caught:
        await made.api().call(SEND)
    made.platform.base = "http://127.0.0.1:1"
    with pytest.raises(ActionError) as caught:
        await made.api().call(SEND)
    return [*found, caught.value]


async def test_s18_no_secret_in_any_error_or_log(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for error in await failures(made):
        shown = "".join(traceback.format_exception(error)) + repr(error)
        inner: BaseException | None = error
        while inner is not None:  # what a tracer that ignores __suppress_context__ would show
            shown += repr(inner) + str(inner)
            assert not isinstance(inner, aiohttp.ClientError)
            inner = inner.__cause__ or inner.__context__
        assert "token-canary" not in shown
    assert "token-canary" not in caplog.text
    said = made.api().clean(f"bad {SECRET} or other\x1b[2J\n" + "x" * 500, "other")
    assert said.startswith("bad *** or ***")
    assert "\x1b" not in said
    assert len(said) <= 200


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        (formatdate(1_000_000_010, usegmt=True), 10.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Thu, 99 Foo 99999 99:99:99 GMT", None),
    ],
)
def test_both_forms_of_retry_after(stated: str | None, seconds: float | None) -> None:
    assert retry_after_s(stated, 1_000_000_000) == seconds


async def test_r11_no_pause_is_longer_than_a_day_or_in_the_past(made: Made) -> None:
    api = made.api()
    made.platform.script.append(web.Response(status=429, headers={"Retry-After": "-5"}))
    assert (await api.call(READ)).ok
    made.platform.script.append(web.Response(status=429, headers={"Retry-After": "1e99"}))
    with deadline.within(1), pytest.raises(RateLimited) as caught:
        await api.call(READ)
    assert caught.value.retry_after_s == pytest.approx(86_400, abs=2)
