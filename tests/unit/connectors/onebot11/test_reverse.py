"""By reverse WebSocket: who may come, who is taken, and who takes whose place."""

import asyncio

import aiohttp
import pytest
from tests.fakes.onebot11_upstream import SELF, FakeUpstream, private
from tests.unit.connectors.onebot11.running import WAIT_S, account

from onebus.action import SendMessage
from onebus.errors import NotReady
from onebus.event import private_chat
from onebus.ids import UserId
from onebus.segment import Text

TOKEN = "upstream-token-canary"
HI = SendMessage(private_chat(UserId("20002")), (Text("hi"),))


async def test_it_waits_for_the_upstream_and_is_online_with_it() -> None:
    there = FakeUpstream(TOKEN)
    async with account(access_token=TOKEN) as at:
        opening = asyncio.ensure_future(at.connector.open())
        async with there.dialling(f"{at.base}/ws"):
            info = await asyncio.wait_for(opening, WAIT_S)
            assert info.user.id == str(SELF)
            at.task = asyncio.ensure_future(at.connector.run())
            await there.emit(**private("hello"))
            await at.events(1)
            assert (await at.connector.send_message(HI)).message == "901"
        assert isinstance(await at.ended(), NotReady)


async def test_one_socket_for_calls_and_one_for_events() -> None:
    """The standard's own way; Lagrange writes the role as `Api`."""
    calls, events = FakeUpstream(), FakeUpstream()
    async with (
        account() as at,
        calls.dialling(f"{at.base}/ws/", **{"X-Client-Role": "Api"}),
        events.dialling(f"{at.base}/ws/", **{"X-Client-Role": "Event"}),
    ):
        await at.run()
        await events.emit(**private("hello"))
        await at.events(1)
        await at.connector.send_message(HI)
        assert await calls.calls("send_private_msg")
        assert events.called == []
        await at.stop()


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, "", 401),
        ({"Authorization": "Bearer "}, "", 401),
        ({"Authorization": "Bearer wrong"}, "", 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, "", 401),
        ({"Authorization": "Bearer wrong"}, f"?access_token={TOKEN}", 401),
        ({}, f"?access_token={TOKEN}x", 401),
        ({"Authorization": f"Bearer {TOKEN}", "X-Self-ID": "7"}, "", 403),
        ({"Authorization": f"Bearer {TOKEN}"}, "", 403),
    ],
)
async def test_who_is_not_let_in(headers: dict[str, str], query: str, status: int) -> None:
    async with account(access_token=TOKEN, self_id=str(SELF)) as at:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await at.kit.http.ws_connect(f"{at.base}/ws{query}", headers=headers)
        assert caught.value.status == status


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Authorization": f"Token {TOKEN}"}, ""),
        ({"Authorization": f"bearer {TOKEN}"}, ""),
        ({}, f"?access_token={TOKEN}"),
    ],
)
async def test_who_is_let_in(headers: dict[str, str], query: str) -> None:
    async with account(access_token=TOKEN) as at:
        ws = await at.kit.http.ws_connect(f"{at.base}/ws{query}", headers=headers)
        assert not ws.closed
        await asyncio.gather(at.connector.close(), ws.receive())
        assert ws.closed


async def test_who_does_not_own_the_account_sends_the_upstream_elsewhere() -> None:
    async with account() as at:
        at.kit.owner = False
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await at.kit.http.ws_connect(f"{at.base}/ws")
        assert caught.value.status == 503
        assert caught.value.headers
        assert "Retry-After" in caught.value.headers


async def test_no_websocket_is_no_upstream() -> None:
    async with account() as at:
        response = await at.kit.http.get(at.base.replace("ws", "http", 1) + "/ws")
        assert response.status == 426


async def test_who_comes_anew_takes_the_place_of_who_was_there() -> None:
    """The old socket may be one whose machine vanished, which nobody has noticed yet."""
    there = FakeUpstream()
    async with account() as at, there.dialling(f"{at.base}/ws") as first:
        await at.run()
        async with there.dialling(f"{at.base}/ws"):
            assert "anew" in str(await at.ended())
            await at.connector.close()
            async with asyncio.timeout(WAIT_S):
                while not first.closed:
                    await asyncio.sleep(0)
        async with there.dialling(f"{at.base}/ws"):
            await at.run()
            await there.emit(**private("hello"))
            await at.events(1)


async def test_closing_lets_go_of_every_socket() -> None:
    there = FakeUpstream()
    async with account() as at, there.dialling(f"{at.base}/ws") as waiting:
        await there.connected()
        await asyncio.wait_for(at.connector.close(), 2)
        async with asyncio.timeout(WAIT_S):
            while not waiting.closed:
                await asyncio.sleep(0)
