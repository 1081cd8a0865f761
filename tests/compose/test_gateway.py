"""deploy/compose/gateway.cfg by itself, before services that say what they were asked."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from tests.compose import fake_service
from tests.compose.stack import ROOT, docker, docker_later, wait_for_line
from tests.e2e.faults.stage import stable_port

pytestmark = [
    pytest.mark.compose,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="module"),
]

NETWORK = "onebus-gateway-test"
CONFIG = ROOT / "deploy" / "compose" / "gateway.cfg"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""Of RFC 6455; what has none is no WebSocket."""
SERVICES = ("frontend-http", "frontend-ws", "connector-sandbox", "connector-wechat")


def names() -> list[str]:
    """Containers that were started."""
    label = f"label={NETWORK}"
    return docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()


def run(name: str, *arguments: str) -> None:
    begin = ("run", "--detach", "--name", f"{NETWORK}-{name}", "--label", NETWORK)
    docker(*begin, "--network", NETWORK, *arguments)


def serve(service: str, image: str, number: int = 1) -> None:
    """Start a replica of a service that is none of ours."""
    program = Path(fake_service.__file__).read_text()
    alias = ("--network-alias", service, "--entrypoint", "python", image)
    run(f"{service}-{number}", *alias, "-c", program, f"{service}-{number}")


@contextmanager
def stage(image: str, port: int) -> Iterator[None]:
    def remove() -> None:
        if there := names():
            docker("rm", "--force", *there)

    remove()
    if NETWORK not in docker("network", "ls", "--format", "{{.Name}}").split():
        docker("network", "create", NETWORK)
    try:
        for service in SERVICES:
            serve(service, image)
        mount = f"{CONFIG}:/usr/local/etc/haproxy/haproxy.cfg:ro"
        gateway = os.environ.get("GATEWAY_IMAGE", "haproxy:3.2-alpine")
        run("gateway", "--publish", f"127.0.0.1:{port}:6727", "--volume", mount, gateway)
        for service in ("http", "ws", "sandbox", "wechat"):
            wait_for_line(f"{NETWORK}-gateway", f"/{service}1 administratively READY", 30)
        yield
    finally:
        remove()
        docker("network", "rm", NETWORK)


class Door:
    """The gateway, and those behind it."""

    def __init__(self, http: aiohttp.ClientSession, base: str, image: str) -> None:
        self.http = http
        self.base = base
        self.image = image

    async def asked(self, path: str, **headers: str) -> dict[str, object]:
        """What the service that answered was asked."""
        async with self.http.post(self.base + path, data=b"once", headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert "Server" not in answer.headers
            found: dict[str, object] = json.loads(await answer.text())
            return found

    async def by(self, path: str, **headers: str) -> str:
        """Which service answered."""
        async with self.http.get(self.base + path, headers=headers) as answer:
            return str(json.loads(await answer.text())["by"]).removesuffix("-1")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(image: str) -> AsyncIterator[Door]:
    port = stable_port()
    with stage(image, port):
        async with aiohttp.ClientSession() as http:
            yield Door(http, f"http://127.0.0.1:{port}", image)


async def test_the_path_says_which_service(door: Door) -> None:
    websocket = {"Connection": "Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Key": KEY}
    at = "/sandbox/demo/onebot/v11"
    assert await door.by(f"{at}/send_msg") == "frontend-http"
    assert await door.by(f"{at}/events") == "frontend-http"
    assert await door.by(at, **websocket) == "frontend-ws"
    assert await door.by(f"{at}/event", **websocket) == "frontend-ws"
    assert await door.by("/wechat/my_mp/onebot/v11/send_msg") == "frontend-http"
    assert await door.by("/wechat/my_mp/media/abc") == "frontend-http"
    assert await door.by("/wechat/my_mp/webhook?echostr=onebot") == "connector-wechat"
    assert await door.by("/wechat/onebot/webhook") == "connector-wechat"
    assert await door.by("/sandbox/demo/api/messages") == "connector-sandbox"
    assert await door.by("/sandbox/demo/") == "connector-sandbox"
    assert await door.by("/sandbox/demo/events", **websocket) == "connector-sandbox"


@pytest.mark.parametrize("path", ["/", "/metrics", "/nosuch/a/webhook", "/any/a/webhook"])
async def test_what_is_nobodys_is_not_passed_on(door: Door, path: str) -> None:
    async with door.http.get(door.base + path) as answer:
        assert answer.status == 404
        assert "error" in await answer.json()


async def test_a_service_sees_who_asked_and_under_which_name(door: Door) -> None:
    asked = await door.asked("/sandbox/demo/api/x?y=%20&z", Host="bots.example.org")
    assert asked["path"] == "/sandbox/demo/api/x?y=%20&z"
    headers = asked["headers"]
    assert isinstance(headers, dict)
    assert headers["host"] == "bots.example.org"
    assert headers["x-forwarded-for"]


async def test_what_was_sent_is_never_sent_again(door: Door) -> None:
    """The other replica is not asked either: the first may have done it."""
    serve("frontend-http", door.image, 2)
    ready = "Server frontend-http/http2 administratively READY"
    await asyncio.to_thread(wait_for_line, f"{NETWORK}-gateway", ready)
    url = f"{door.base}/sandbox/demo/onebot/v11/hang-up"
    for method in ("POST", "GET"):
        async with door.http.request(method, url, data=b"once") as answer:
            assert answer.status == 502
            assert "may have done" in (await answer.json())["error"]
    replicas = [name for name in names() if "frontend-http" in name]
    asked = [line for name in replicas for line in docker("logs", name).splitlines()]
    assert len([line for line in asked if "hang-up" in line]) == 2, asked


async def test_a_replica_that_is_gone_costs_nothing(door: Door) -> None:
    """Also before anything has noticed: no connection, so nothing was sent."""
    where = "/sandbox/demo/onebot/v11/get_status"
    await docker_later("kill", f"{NETWORK}-frontend-http-1")
    answered = [(await door.asked(where))["by"] for _ in range(20)]
    assert answered == ["frontend-http-2"] * 20
