"""The guarded fetcher: every way to an address that is not public ends before a connection (S6)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from onebus.errors import ActionError, BadParams, NotFound, PlatformUnavailable
from onebus.fetch import Fetcher, Policy

MOST = 1 << 20


class Names(AbstractResolver):
    """DNS of this test: a name's answers, one after the other; the last stays."""

    def __init__(self, **answers: list[str]) -> None:
        self._answers = {name.replace("_", "."): list(given) for name, given in answers.items()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        given = self._answers.get(host)
        if given is None:  # the system's own: what `0x7f.1` is, it decides
            infos = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
            found = [str(info[4][0]) for info in infos]
        else:
            found = [given.pop(0) if len(given) > 1 else given[0]]
        return [
            ResolveResult(hostname=host, host=ip, port=port, family=_family(ip), proto=0, flags=0)
            for ip in found
        ]

    async def close(self) -> None:
        pass


def _family(ip: str) -> int:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


class Canary:
    """Listens on IPv4 and IPv6 loopback and counts who connects."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def start(self) -> list[asyncio.Server]:
        first = await asyncio.start_server(self._on, "127.0.0.1", 0)
        self.port = first.sockets[0].getsockname()[1]
        return [first, await asyncio.start_server(self._on, "::1", self.port)]

    async def _on(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    canary = Canary()
    servers = await canary.start()
    yield canary
    for server in servers:
        server.close()


async def get(fetcher: Fetcher, url: str, max_bytes: int = MOST, timeout_s: float = 5) -> bytes:
    async with fetcher.fetch(url, max_bytes=max_bytes, timeout_s=timeout_s) as fetched:
        return b"".join([piece async for piece in fetched.chunks()])


PAYLOADS = (
    "http://127.0.0.1:{port}/varz",
    "http://[::1]:{port}/",
    "http://localhost:{port}/",
    "http://169.254.169.254:{port}/latest/meta-data/",
    "http://0x7f.1:{port}/",
    "http://2130706433:{port}/",
    "http://017700000001:{port}/",
    "http://127.1:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:10.0.0.1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://localtest.me:{port}/",
    "http://7f000001.nip.io:{port}/",
    "http://user@127.0.0.1:{port}/",
    "http://user:pass@public.test:{port}/",
    "http://①②⑦.0.0.1:{port}/",
    "http://both.test:{port}/",
    "http://10.0.0.1:{port}/",
    "http://100.64.0.1:{port}/",
    "http://224.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_x",
    "ftp://127.0.0.1:{port}/x",
    "file:///etc/passwd",
    "http://",
    "http:///x",
    "http://[",
    "//127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@public.test/",
    "http://public.test:{port}#@127.0.0.1/" + "a" * 5000,
)


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_no_payload_reaches_what_is_not_public(payload: str, canary: Canary) -> None:
    names = Names(
        localtest_me=["127.0.0.1"],
        **{"7f000001_nip_io": ["127.0.0.1"]},
        both_test=["10.1.1.1"],
        public_test=["127.0.0.1"],
    )
    async with Fetcher(Policy(), names) as fetcher:
        with pytest.raises((BadParams, PlatformUnavailable)) as refused:
            await get(fetcher, payload.format(port=canary.port))
    assert canary.connections == 0
    assert str(canary.port) not in str(refused.value)
    if "public.test" not in payload and not isinstance(refused.value, BadParams):
        # Some systems cannot even resolve such a name, which is as good.
        assert "could not be fetched" in str(refused.value)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/{tail:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.2", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


OUTSIDE = Policy(["127.0.0.2"])
"""An address that stands for the public internet; 127.0.0.1 is inside."""


async def test_what_is_public_is_fetched() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert "Cookie" not in request.headers
        assert "Authorization" not in request.headers
        assert request.headers["Host"].startswith("cdn.test")
        return web.Response(body=b"picture", headers={"Set-Cookie": "a=b"})

    names = Names(cdn_test=["127.0.0.2"])
    async with serving(answer) as port, Fetcher(OUTSIDE, names) as fetcher:
        for _ in range(2):
            url = f"http://cdn.test:{port}/a/pic.png?x=1"
            async with fetcher.fetch(url, max_bytes=7) as fetched:
                assert fetched.name == "pic.png"
                assert b"".join([piece async for piece in fetched.chunks()]) == b"picture"


async def test_each_redirect_is_looked_at(canary: Canary) -> None:
    async def answer(request: web.Request) -> web.Response:
        step = int(request.path.strip("/"))
        if step == 0:
            return web.Response(body=b"there")
        if step == 9:
            raise web.HTTPFound(f"http://127.0.0.1:{canary.port}/")
        if step == 8:
            raise web.HTTPFound(f"http://inside.test:{canary.port}/")
        if step == 7:
            raise web.HTTPFound("file:///etc/passwd")
        raise web.HTTPFound(f"/{step - 1}")

    names = Names(cdn_test=["127.0.0.2"], inside_test=["127.0.0.1"])
    async with serving(answer) as port, Fetcher(OUTSIDE, names) as fetcher:
        assert await get(fetcher, f"http://cdn.test:{port}/3") == b"there"
        for step in (4, 7, 8, 9):
            with pytest.raises(BadParams):
                await get(fetcher, f"http://cdn.test:{port}/{step}")
    assert canary.connections == 0


async def test_a_name_that_answers_public_first_and_private_then(canary: Canary) -> None:
    """What was looked at is what is connected to: the second answer is looked at like the first."""

    async def answer(_: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://rebind.test:{canary.port}/")

    names = Names(rebind_test=["127.0.0.2", "127.0.0.1"])
    async with serving(answer) as port, Fetcher(OUTSIDE, names) as fetcher:
        with pytest.raises(BadParams):
            await get(fetcher, f"http://rebind.test:{port}/")
    assert canary.connections == 0


async def test_one_private_address_among_several_is_enough(canary: Canary) -> None:
    class Two(Names):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            first = await super().resolve("a.test", port, family)
            return first + await super().resolve("b.test", port, family)

    names = Two(a_test=["127.0.0.2"], b_test=["127.0.0.1"])
    async with Fetcher(OUTSIDE, names) as fetcher:
        with pytest.raises(BadParams):
            await get(fetcher, f"http://mixed.test:{canary.port}/")
    assert canary.connections == 0


async def test_no_proxy_of_the_environment(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"direct")

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    names = Names(cdn_test=["127.0.0.2"])
    async with serving(answer) as port, Fetcher(OUTSIDE, names) as fetcher:
        assert await get(fetcher, f"http://cdn.test:{port}/") == b"direct"
    assert canary.connections == 0


async def test_size_time_status_and_encoding() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/large":
                return web.Response(body=b"x" * 11)
            case "/slow":
                response = web.StreamResponse()
                await response.prepare(request)
                await response.write(b"x")
                await asyncio.sleep(30)
                return response
            case "/packed":
                return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})
        return web.Response(status=404 if request.path == "/gone" else 500)

    names = Names(cdn_test=["127.0.0.2"])
    wanted: dict[str, type[ActionError]] = {
        "/large": BadParams,
        "/packed": BadParams,
        "/gone": NotFound,
        "/broken": PlatformUnavailable,
        "/slow": PlatformUnavailable,
    }
    async with serving(answer) as port, Fetcher(OUTSIDE, names) as fetcher:
        for path, kind in wanted.items():
            with pytest.raises(kind):
                await get(fetcher, f"http://cdn.test:{port}{path}", max_bytes=10, timeout_s=0.5)


async def test_what_is_allowed_besides(canary: Canary) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"inside")

    names = Names(files_internal=["127.0.0.2"])
    async with serving(answer) as port:
        for allow in (["files.internal"], ["127.0.0.0/8"]):
            async with Fetcher(Policy(allow), names) as fetcher:
                assert await get(fetcher, f"http://files.internal:{port}/") == b"inside"
        async with Fetcher(Policy(["files.internal"]), names) as fetcher:
            with pytest.raises(BadParams):
                await get(fetcher, f"http://127.0.0.1:{canary.port}/")
    for wrong in ("10.0.0.1/33", "", "a b", "http://x"):
        with pytest.raises(ValueError, match=r".*"):
            Policy([wrong])
