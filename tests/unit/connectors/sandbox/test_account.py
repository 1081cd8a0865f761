"""The account itself: online and offline, restarts, credentials, media."""

import asyncio

import pytest

from connectors.sandbox import Connector, presence
from onebus import action as act
from onebus.errors import BadParams, NotReady, UnsupportedAction

from .calls import get, happen
from .conftest import Client, Sandbox


async def test_it_goes_offline_and_comes_back(
    sandbox: Sandbox, connector: Connector, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "WAIT_S", 0.01)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        await connector.open()
        running = group.create_task(ended(connector))
        other = await sandbox.serve(sandbox.connector())
        await happen(other, "account_changed", online=False, reason="banned")
        assert "banned" in await running
        with pytest.raises(NotReady, match="took it offline: banned"):
            await connector.open()
        monkeypatch.setattr(presence, "WAIT_S", 5)
        opening = group.create_task(connector.open())
        await happen(client, "account_changed", online=True)
        assert (await opening).user.id == "demo"


async def ended(connector: Connector) -> str:
    with pytest.raises(NotReady) as error:
        await connector.run()
    return str(error.value)


async def test_a_restart(connector: Connector, client: Client) -> None:
    async with asyncio.timeout(5):
        running = asyncio.ensure_future(ended(connector))
        await connector.restart(act.Restart(delay_ms=1))
        assert "restarted" in await running
        await connector.close()
        await connector.open()
    assert (await get(client, "state"))["account"]["restarts"] == 1
    with pytest.raises(BadParams):
        await connector.restart(act.Restart(delay_ms=-1))


async def test_a_closed_account_is_not_restarted(connector: Connector) -> None:
    await connector.restart(act.Restart(delay_ms=0))
    await connector.close()
    running = asyncio.ensure_future(connector.run())
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0, later.set)
    await later.wait()
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_clearing_the_cache_is_counted(connector: Connector, client: Client) -> None:
    for _ in range(2):
        await connector.clear_cache(act.ClearCache())
    assert (await get(client, "state"))["account"]["caches_cleared"] == 2


async def test_credentials_are_those_of_the_state(connector: Connector, client: Client) -> None:
    known = (await get(client, "state"))["account"]
    plain = await connector.get_credentials(act.GetCredentials())
    assert (plain.cookies, plain.csrf_token) == (known["cookies"], known["csrf_token"])
    assert 0 < plain.csrf_token < 1 << 31
    there = await connector.get_credentials(act.GetCredentials("example.com"))
    assert there.cookies == f"{plain.cookies}; domain=example.com"


async def test_media_is_where_its_sender_said(connector: Connector) -> None:
    image = await connector.get_media(act.GetMedia("image", "https://example.com/a.png"))
    assert image == act.MediaFile("https://example.com/a.png", "https://example.com/a.png")
    voice = "https://example.com/a.mp3?x=1"
    assert (await connector.get_media(act.GetMedia("voice", voice, "mp3"))).file == voice
    with pytest.raises(UnsupportedAction, match="cannot convert sound to amr"):
        await connector.get_media(act.GetMedia("voice", voice, "amr"))
    for file in ("a.png", "file:///etc/passwd"):
        with pytest.raises(BadParams):
            await connector.get_media(act.GetMedia("image", file))
