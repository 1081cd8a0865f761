"""What holds for every request of a process, whichever role it is for. S5, S9."""

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO

import aiohttp
import pytest
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from onebus.errors import BadParams, BusUnavailable, InternalError, Misconfigured
from onebus.listener import (
    MAX_BODY_BYTES,
    Listener,
    ListenOptions,
    PeerFaults,
    is_loopback,
    json_error,
    protocol_logger,
)


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def length(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


def raises(error: Exception) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def fail(_: web.Request) -> web.Response:
        raise error

    return fail


ROUTES = [
    web.get("/", hello),
    web.get("/sandbox/demo/onebot/v11/send_msg", hello),
    web.post("/length", length),
    web.get("/fault", raises(KeyError("a secret detail"))),
    web.get("/params", raises(BadParams("what is wrong"))),
    web.get("/internal", raises(InternalError("for people"))),
    web.get("/bus", raises(BusUnavailable("no NATS"))),
    web.get("/teapot", raises(web.HTTPConflict(text="twice", headers={"Retry-After": "1"}))),
    web.get("/upstream", raises(ConnectionResetError("the platform hung up"))),
]


class Served:
    def __init__(self, http: aiohttp.ClientSession, port: int) -> None:
        self._http = http
        self.port = port

    async def get(self, path: str = "/", **headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self._http.get(url, headers=named, allow_redirects=False) as response:
            return response.status, await response.text()

    async def post(self, path: str, body: bytes | BytesIO, **headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self._http.post(url, data=body, headers=named) as response:
            return response.status, await response.text()


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def serve(http: aiohttp.ClientSession) -> AsyncIterator[Serve]:
    started: list[Listener] = []

    async def start(*, local: bool = True, public_url: str = "") -> Served:
        listener = Listener(ListenOptions("127.0.0.1", 0, local, public_url), ROUTES)
        await listener.start()
        started.append(listener)
        return Served(http, listener.port)

    yield start
    for listener in started:
        await listener.stop()


LOCAL_HOSTS = ["localhost", "LOCALHOST:1", "127.0.0.1:80", "127.1.2.3", "[::1]", "[::1]:6727"]
OTHER_HOSTS = [
    "attacker.test",
    "127.0.0.1.nip.io",
    "0.0.0.0",
    "localhost.attacker.test",
    "[::1",
    "x y",
]


@pytest.mark.parametrize("host", LOCAL_HOSTS)
async def test_a_local_listener_knows_this_machine(serve: Serve, host: str) -> None:
    assert await (await serve()).get(Host=host) == (200, "hello")


@pytest.mark.parametrize("host", OTHER_HOSTS)
async def test_a_local_listener_refuses_rebound_names(serve: Serve, host: str) -> None:
    status, text = await (await serve()).get(Host=host)
    assert status == 421
    assert "public_url" in text


async def test_the_public_name_is_ours(serve: Serve) -> None:
    served = await serve(public_url="https://bots.example.org/base")
    assert (await served.get(Host="bots.example.org"))[0] == 200
    assert (await served.get(Host="example.org"))[0] == 421
    behind_a_proxy = await served.get(Host="127.0.0.1", Origin="https://bots.example.org")
    assert behind_a_proxy[0] == 200
    assert (await served.get(Host="127.0.0.1", Origin="https://example.org"))[0] == 403


async def test_an_exposed_listener_is_called_anything(serve: Serve) -> None:
    served = await serve(local=False)
    assert (await served.get(Host="bots.example.org"))[0] == 200
    assert (await served.get(Host="bots.example.org", Origin="https://evil.example"))[0] == 403
    assert (await served.get(Host="", Origin="null"))[0] in (400, 403)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "http://localhost:80"}, 200),
        ({"Origin": "https://localhost:80"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
    ],
)
async def test_who_may_call(serve: Serve, headers: dict[str, str], status: int) -> None:
    assert (await (await serve()).get(Host="localhost:80", **headers))[0] == status


async def test_a_link_never_calls_an_action(serve: Serve) -> None:
    headers = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    served = await serve()
    assert (await served.get("/sandbox/demo/onebot/v11/send_msg", **headers))[0] == 403


async def test_a_fault_of_ours_says_nothing_about_itself(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    status, text = await (await serve()).get("/fault")
    assert status == 500
    assert "secret" not in text
    assert "log" in text
    assert "a secret detail" in caplog.text


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nosuch", 404, "Not Found"),
        ("/params", 503, "what is wrong"),
        ("/internal", 500, "for people"),
        ("/bus", 503, "no NATS"),
        ("/teapot", 409, "twice"),
        ("/upstream", 500, "internal error"),
    ],
)
async def test_every_refusal_has_a_text(serve: Serve, path: str, status: int, words: str) -> None:
    got, text = await (await serve()).get(path)
    assert got == status
    assert text.startswith('{"error":"')
    assert words in text


async def test_a_body_comes_as_it_was_sent(serve: Serve) -> None:
    """Signatures are made over it; and 20 MB that were sent as 20 KB stay 20 KB."""
    served = await serve()
    for encoding in ("identity", "gzip", "deflate", "x"):
        assert await served.post("/length", b"x" * 99, Content_Encoding=encoding) == (200, "99")


async def test_a_body_beyond_the_limit_is_413(serve: Serve) -> None:
    served = await serve()
    assert (await served.post("/length", BytesIO(bytes(MAX_BODY_BYTES))))[0] == 200
    assert (await served.post("/length", BytesIO(bytes(MAX_BODY_BYTES + 1))))[0] == 413


async def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=f"127.0.0.1:{port}: Address already in use; stop"):
            await Listener(ListenOptions("127.0.0.1", port, local=True), []).start()


def test_what_is_no_http_is_a_word_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        protocol_logger.exception("Error handling", exc_info=LineTooLong("s3cret", 1, "2"))
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.DEBUG, None)
    assert record.getMessage() == "refused what is no HTTP: LineTooLong"


def test_what_is_no_http_is_nothing_above_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        protocol_logger.exception("Error handling", exc_info=LineTooLong("x", 1, "2"))
    assert not caplog.records


def test_a_fault_of_ours_is_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    fault = KeyError("x")
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "Unhandled", (), (KeyError, fault, None))
    assert PeerFaults().filter(record)
    assert record.exc_info is not None
    assert record.levelno == logging.ERROR


def test_an_error_has_a_hint_only_if_there_is_one() -> None:
    assert json_error(400, "wrong").text == '{"error":"wrong"}'
    assert json_error(400, "wrong", "do this").text == '{"error":"wrong","hint":"do this"}'


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.255.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.x", False),
        ("", False),
    ],
)
def test_which_names_are_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
