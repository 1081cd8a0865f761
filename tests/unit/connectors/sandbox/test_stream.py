"""Live messages as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from connectors.sandbox import Connector, stream
from onebus import action as act
from onebus import segment as seg
from onebus.event import private_chat
from onebus.ids import UserId

from .conftest import BASE, Client, Sandbox


class Stream:
    """What a browser's EventSource reads."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""

    async def block(self) -> str:
        async with asyncio.timeout(5):
            found = await self.response.content.readuntil(b"\n\n")
        if not found:
            raise EOFError
        return found.decode()

    async def event(self) -> tuple[str, Any]:
        """The next event: its kind and data."""
        while True:
            lines = (await self.block()).strip().split("\n")
            fields = dict(line.split(": ", 1) for line in lines)
            if "data" in fields:
                self.last_id = fields["id"]
                return fields.get("event", "message"), json.loads(fields["data"])


@asynccontextmanager
async def streaming(client: Client, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    async with client.get(f"{BASE}/api/stream{query}", headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Stream(response)


async def say(client: Client, user: str, text: str, **more: str) -> str:
    body = {"user": user, "message": text, **more}
    async with client.post(f"{BASE}/api/messages", json=body) as response:
        assert response.status == 200
        return str((await response.json())["message_id"])


async def test_messages_of_people_and_bot_as_they_come(
    client: Client, connector: Connector
) -> None:
    await say(client, "alice", "before")
    async with streaming(client) as live:
        message = await say(client, "alice", "hello")
        kind, data = await live.event()
        assert (kind, data["message_id"], data["peer"]) == ("message", message, "alice")
        chat = private_chat(UserId("alice"))
        await connector.send_message(act.SendMessage(chat, (seg.Text("hi"),)))
        _, data = await live.event()
        assert data["from_bot"]


async def test_what_another_replica_wrote(sandbox: Sandbox, client: Client) -> None:
    other = await sandbox.serve(sandbox.connector())
    async with streaming(client) as live:
        message = await say(other, "alice", "hello")
        assert (await live.event())[1]["message_id"] == message


async def test_recalls_and_changes_of_groups(client: Client) -> None:
    message = await say(client, "alice", "oops", group="lobby")
    async with streaming(client) as live:
        await client.delete(f"{BASE}/api/messages/{message}?user=alice&group=lobby")
        kind, data = await live.event()
        assert (kind, data["message_id"], data["group"]) == ("recall", message, "lobby")
        await client.post(f"{BASE}/api/groups/lobby/members", json={"user": "bob"})
        kind, data = await live.event()
        assert kind == "notice"
        assert data == {
            "type": "member_joined",
            "time": data["time"],
            "group": "lobby",
            "peer": None,
            "user": "bob",
            "operator": "bob",
            "how": "approve",
        }


@pytest.mark.parametrize("query", ["", "?user=alice"])
async def test_edits_as_they_come(client: Client, query: str) -> None:
    message = await say(client, "alice", "helo")
    async with streaming(client, query) as live:
        edit = {"type": "message_edited", "user": "alice", "message_id": message, "message": "hi"}
        await client.post(f"{BASE}/api/events", json=edit)
        assert await live.event() == (
            "edit",
            {
                "message_id": message,
                "group": None,
                "peer": "alice",
                "message": [{"type": "text", "data": {"text": "hi"}}],
                "edited": True,
            },
        )


@pytest.mark.parametrize("query", ["?group=lobby", "?user=alice"])
async def test_one_chat_alone(client: Client, query: str) -> None:
    async with streaming(client, query) as live:
        await say(client, "bob", "elsewhere")
        await say(client, "alice", "here", **({"group": "lobby"} if "group" in query else {}))
        _, data = await live.event()
        assert data["user"] == "alice"


async def test_who_comes_back_misses_nothing(client: Client) -> None:
    async with streaming(client) as live:
        await say(client, "alice", "seen")
        await live.event()
    missed = await say(client, "alice", "missed")
    async with streaming(client, **{"Last-Event-ID": live.last_id}) as again:
        assert (await again.event())[1]["message_id"] == missed


@pytest.mark.parametrize("seen", ["", "x", "-1", "²", "9" * 30, "999999999"])
async def test_a_place_that_never_was_is_now(client: Client, seen: str) -> None:
    await say(client, "alice", "before")
    async with streaming(client, **{"Last-Event-ID": seen}) as live:
        message = await say(client, "alice", "now")
        assert (await live.event())[1]["message_id"] == message


async def test_a_slow_client_is_closed_and_comes_back(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_WAITING", 2)
    ids = [await say(client, "alice", str(number)) for number in range(5)]
    seen: list[str] = []
    last = "0"
    while len(seen) < len(ids):
        async with streaming(client, **{"Last-Event-ID": last}) as live:
            try:
                while len(seen) < len(ids):
                    seen.append((await live.event())[1]["message_id"])
            except EOFError:
                last = live.last_id
    assert seen == ids
    assert last != "0"


async def test_a_heartbeat_keeps_it_open(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.01)
    async with streaming(client) as live:
        assert "retry" in await live.block()
        assert (await live.block()).startswith(":")


async def test_an_orderly_stop_ends_it(client: Client, connector: Connector) -> None:
    async with streaming(client) as live:
        await live.block()
        await connector.close()
        async with asyncio.timeout(5):
            assert await live.response.content.read() == b""


async def test_there_is_an_end_to_streams(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_STREAMS", 1)
    async with streaming(client), client.get(f"{BASE}/api/stream") as response:
        assert response.status == 429
