"""How a forward WebSocket is opened: paths, tokens and their guessing, refusals before the upgrade.

Source: https://github.com/botuniverse/onebot-11/blob/master/communication/ws.md
"""

from collections.abc import AsyncIterator
from types import SimpleNamespace

import aiohttp
import pytest
import pytest_asyncio
import yaml
from tests.e2e.processes import Account, onebus, write_config
from tests.e2e.raw import ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "s3cret/+ tökén"
PATHS = ["", "/", "/ws", "/ws/", "/api", "/api/", "/event", "/event/"]
UPGRADE = (
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


class Up(SimpleNamespace):
    """A running `onebus up`: an open account, one with a token, one deaf."""

    port: int
    locked: Account
    http: aiohttp.ClientSession


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    folder = tmp_path_factory.mktemp("ws_opening")
    config = write_config(
        folder / "config.yaml",
        sandbox__locked={"onebot.v11": {"access_token": TOKEN}},
        sandbox__deaf={"onebot.v11": {"use_ws": False}},
    )
    port = yaml.safe_load(config.read_text())["port"]
    base = f"http://localhost:{port}"
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        await process.says("the log keeps")
        locked = Account(http, base, "locked", token=TOKEN)
        await locked.online()
        yield Up(port=port, locked=locked, http=http)


@pytest.mark.parametrize("path", PATHS)
async def test_a_plain_get_is_told_to_upgrade(up: Up, path: str) -> None:
    reply = await ask(up.port, f"/sandbox/demo/onebot/v11{path}")
    assert reply.status == 426
    assert reply.headers["upgrade"] == "websocket"
    assert reply.json()["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/sandbox/demo/onebot/v11/nosuch/", 404),
        ("/sandbox/demo/onebot/v11/api/x", 404),
        ("/sandbox/demo/onebot/v11/apix", 404),
        ("/sandbox/demo/onebot/v12", 404),
        ("/sandbox/nobody/onebot/v11/ws", 404),
        ("/sandbox/deaf/onebot/v11/ws", 404),
    ],
)
async def test_an_unknown_path_is_refused(up: Up, path: str, status: int) -> None:
    assert await _refused(up, path) == status


@pytest.mark.proves(45, 46, 49)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 403),
    ],
)
async def test_a_wrong_token_is_refused_before_the_upgrade(
    up: Up, path: str, headers: dict[str, str], status: int
) -> None:
    """From an address for each path, because guessing is limited."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    target = f"/sandbox/locked/onebot/v11{path}"
    source = f"127.0.1.{PATHS.index(path) + 1}"
    assert (await ask(up.port, target, *UPGRADE, *lines, source=source)).status == status


@pytest.mark.parametrize("how", ["Bearer", "token", "query"])
async def test_the_right_token_opens(up: Up, how: str) -> None:
    url = f"{up.locked.base}/onebot/v11/ws"
    headers = {} if how == "query" else {"Authorization": f"{how} {TOKEN}"}
    params = {"access_token": TOKEN} if how == "query" else {}
    async with up.http.ws_connect(url, headers=headers, params=params) as ws:
        assert (await ws.receive_json())["meta_event_type"] == "lifecycle"


async def test_guessing_over_ws_counts_with_guessing_over_http(up: Up) -> None:
    path, statuses = "/sandbox/locked/onebot/v11", []
    for guess in range(12):
        token = f"Authorization: Bearer {guess}"
        for target, lines in ((f"{path}/get_status", ()), (f"{path}/api", UPGRADE)):
            reply = await ask(up.port, target, token, *lines, source="127.0.2.1")
            statuses.append(reply.status)
    assert statuses == [403] * 20 + [429] * 4


async def _refused(up: Up, path: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        await up.http.ws_connect(f"http://localhost:{up.port}{path}")
    return raised.value.status
