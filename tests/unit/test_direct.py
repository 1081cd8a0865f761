"""Who answers a path directly does it under the same rules as who answers by a route."""

from collections.abc import AsyncIterator, Collection

import aiohttp
import pytest
from aiohttp import web

from onebus.errors import BusUnavailable
from onebus.listener import LONGEST_PATH, Listener, ListenOptions
from onebus.service import Handler

PAGE = "https://bots.example.org"
LONG = "/" + "x" * LONGEST_PATH


async def directly(request: web.Request) -> web.Response:
    return web.Response(text=f"direct {len(await request.read())}")


async def by_route(request: web.Request) -> web.Response:
    return web.Response(text=f"route {len(await request.read())}")


async def fails(_: web.Request) -> web.Response:
    raise BusUnavailable("no NATS")


class Asked:
    """What the listener asked for."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, path: str) -> Handler | None:
        self.paths.append(path)
        return {"/direct": directly, LONG: directly, "/fails": fails}.get(path)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def http(asked: Asked) -> AsyncIterator[aiohttp.ClientSession]:
    def origins(_: web.Request) -> Collection[str]:
        return [PAGE]

    routes = [web.post("/{any}", by_route), web.get("/direct", by_route)]
    listener = Listener(ListenOptions("127.0.0.1", 0, local=True), routes, origins, asked)
    await listener.start()
    base = f"http://127.0.0.1:{listener.port}"
    async with aiohttp.ClientSession(base) as session:
        yield session
    await listener.stop()


async def said(http: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, str]:
    async with http.post(path, data=b"abc", headers=headers) as response:
        return response.status, await response.text()


async def test_it_goes_before_the_routes_and_is_asked_once(
    http: aiohttp.ClientSession, asked: Asked
) -> None:
    for path in ("/direct", "/other", "/direct", "/other"):
        assert await said(http, path) == (200, f"{'direct' if 'd' in path else 'route'} 3")
    assert asked.paths == ["/direct", "/other"]


async def test_who_waits_for_a_word_before_the_body_gets_it(http: aiohttp.ClientSession) -> None:
    async with http.post("/direct", data=b"abc", expect100=True) as response:
        assert await response.text() == "route 3"


async def test_what_is_long_is_not_remembered(http: aiohttp.ClientSession, asked: Asked) -> None:
    assert await said(http, LONG) == (200, "route 3")
    assert asked.paths == []


async def test_pages_of_others_are_refused_and_those_let_in_may_read(
    http: aiohttp.ClientSession,
) -> None:
    assert (await said(http, "/direct", Host="attacker.test"))[0] == 421
    assert (await said(http, "/direct", Origin="https://evil.example"))[0] == 403
    for path, status in (("/direct", 200), ("/fails", 503)):
        async with http.post(path, data=b"abc", headers={"Origin": PAGE}) as response:
            assert response.status == status
            assert response.headers.getall("Access-Control-Allow-Origin") == [PAGE]
