"""Events as a stream, and web pages: what browsers and server-sent events need of HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.processes import Account, Running, onebus, write_config

from onebus.listener import SHUTDOWN_S

TOKEN = "page-token-canary"
PAGE = "https://bots.example"
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Up(SimpleNamespace):
    """A running `onebus up`: `page` lets one web page in, `beat` has heartbeats."""

    process: Running
    http: aiohttp.ClientSession
    page: Account
    beat: Account


@asynccontextmanager
async def _up(folder: Path) -> AsyncIterator[Up]:
    accounts = {
        "page": {"enable_cors": True, "cors_origins": [PAGE], "access_token": TOKEN},
        "beat": {"enable_heartbeat": True, "heartbeat_interval": 200},
    }
    blocks = {f"sandbox__{name}": {"onebot.v11": block} for name, block in accounts.items()}
    config = write_config(folder / "config.yaml", **blocks)
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        line = await process.says("HTTP  ")
        base = line.split()[1].partition("/sandbox/")[0]
        page, beat = Account(http, base, "page", token=TOKEN), Account(http, base, "beat")
        await page.online()
        await beat.online()
        yield Up(process=process, http=http, page=page, beat=beat)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    async with _up(tmp_path_factory.mktemp("pages")) as there:
        yield there


async def test_the_stream_of_events(up: Up) -> None:
    account = up.beat
    async with up.http.get(f"{account.base}/onebot/v11/events") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        first = await _event(response)
        assert (first["data"]["meta_event_type"], first["id"]) == ("lifecycle", "")
        beat = await _event(response)
        assert (beat["data"]["meta_event_type"], beat["data"]["interval"]) == ("heartbeat", 200)
        await account.say("streamed\nin two lines", user="alice")
        while (event := await _event(response))["data"]["post_type"] == "meta_event":
            pass
        assert event["data"]["raw_message"] == "streamed\nin two lines"
        assert event["id"] == event["data"]["event_id"]


async def test_a_stream_wants_the_token_and_ends_with_the_process(up: Up, tmp_path: Path) -> None:
    url = f"{up.page.base}/onebot/v11/events/"
    for given, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 403)):
        async with up.http.get(url, headers=given) as response:
            assert response.status == status
    async with up.http.post(url, headers=up.page.headers) as response:
        assert response.status == 404  # an action of that name, which there is not
    async with _up(tmp_path) as other, other.http.get(f"{other.beat.base}/onebot/v11/events") as it:
        await _event(it)
        async with asyncio.timeout(SHUTDOWN_S):  # which is for a stream that was left open
            assert await other.process.stop() == 0
            while await it.content.readline():
                pass


async def _event(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The next event of a stream."""
    found: dict[str, Any] = {"id": "", "data": None}
    async with asyncio.timeout(20):
        while line := (await response.content.readline()).decode().rstrip("\n"):
            key, _, value = line.partition(": ")
            found[key] = json.loads(value) if key == "data" else value
    return found


async def test_pages_of_listed_origins_only(up: Up) -> None:
    """security.md S5, and what `enable_cors` opens of it."""
    base = f"{up.page.base}/onebot/v11"
    asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    async with up.http.options(f"{base}/get_status", headers=asks) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    page = {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}
    for path in ("get_status", "events"):
        async with up.http.get(f"{base}/{path}", headers=page | bearer) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == PAGE
            assert "Origin" in response.headers["Vary"]
    async with up.http.get(f"{base}/get_status", headers=page) as response:
        assert response.status == 401
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
    for origin in ("https://evil.example", "null", f"{PAGE}.evil.example", "http://bots.example"):
        headers = asks | bearer | {"Origin": origin}
        for call in (up.http.options, up.http.get):
            async with call(f"{base}/get_status", headers=headers) as response:
                assert response.status == 403
                assert "Access-Control-Allow-Origin" not in response.headers
    other = f"{up.beat.base}/onebot/v11/get_status"
    async with up.http.get(other, headers=page) as response:
        assert response.status == 403


async def test_a_websocket_of_a_listed_page_only(up: Up) -> None:
    url = f"ws{up.page.base.removeprefix('http')}/onebot/v11?access_token={TOKEN}"
    async with up.http.ws_connect(url, origin=PAGE) as ws:
        assert (await ws.receive_json(timeout=10))["sub_type"] == "connect"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await up.http.ws_connect(url, origin="https://evil.example")
    assert refused.value.status == 403
