"""The access token of the page and its REST."""

import pytest

from connectors.sandbox import Config

from .conftest import BASE, Client, Sandbox

TOKEN = "correct horse"


@pytest.fixture
async def locked(sandbox: Sandbox) -> Client:
    return await sandbox.serve(sandbox.connector(Config(access_token=TOKEN)))


@pytest.mark.parametrize("path", ["state", "messages?user=alice", "stream"])
@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Bearer ", "Basic correct horse", "Bearer tökén", "Bearer"]
)
async def test_without_the_token(locked: Client, path: str, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    async with locked.get(f"{BASE}/api/{path}", headers=headers) as response:
        assert response.status == 401
        assert "access_token" in (await response.json())["hint"]


async def test_nothing_is_written_without_the_token(sandbox: Sandbox, locked: Client) -> None:
    body = {"user": "alice", "message": "x"}
    async with locked.post(f"{BASE}/api/messages", json=body) as response:
        assert response.status == 401
    assert sandbox.memory.events() == []


async def test_a_program_sends_the_token(locked: Client) -> None:
    for headers in ({"Authorization": f"Bearer {TOKEN}"}, {"Authorization": f"bearer {TOKEN}"}):
        async with locked.get(f"{BASE}/api/state", headers=headers) as response:
            assert response.status == 200
    async with locked.get(f"{BASE}/api/state", params={"access_token": TOKEN}) as response:
        assert response.status == 200


async def test_a_wrong_header_is_not_mended_by_the_query(locked: Client) -> None:
    headers = {"Authorization": "Bearer wrong"}
    where = f"{BASE}/api/state"
    async with locked.get(where, params={"access_token": TOKEN}, headers=headers) as response:
        assert response.status == 401


async def test_a_browser_gets_a_cookie_for_the_token(locked: Client) -> None:
    async with locked.get(f"{BASE}/") as response:
        assert response.status == 401
        assert "access token" in await response.text()
    where = {"access_token": TOKEN}
    async with locked.get(f"{BASE}/", params=where, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "./")
        cookie = response.headers["Set-Cookie"]
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert f"Path={BASE}/" in cookie
    for path in ("/", "/api/state"):
        async with locked.get(BASE + path) as response:
            assert response.status == 200


async def test_a_made_up_cookie(locked: Client) -> None:
    headers = {"Cookie": f"onebus_sandbox={TOKEN.replace(' ', '')}"}
    async with locked.get(f"{BASE}/api/state", headers=headers) as response:
        assert response.status == 401


def test_an_exposed_page_needs_a_token() -> None:
    assert [key for key, _ in Config().problems(exposed=True)] == ["access_token"]
    assert not list(Config().problems(exposed=False))
    assert not list(Config(access_token=TOKEN).problems(exposed=True))


def test_a_nickname_is_printable() -> None:
    assert [key for key, _ in Config(nickname="a\nb").problems(exposed=False)] == ["nickname"]
