"""REST and page over HTTP, as people and tests use them."""

from io import BytesIO
from typing import Any, get_args

import pytest

from connectors.sandbox import Connector
from connectors.sandbox.rest import ASSETS
from onebus import action as act
from onebus import event as ev
from onebus import segment as seg
from onebus.event import group_chat, private_chat
from onebus.ids import ChatId, UserId

from .calls import get, listed, post, say
from .conftest import BASE, Client, Sandbox

LOBBY = group_chat(ChatId("lobby"))


async def test_a_message_is_in_the_log_before_it_is_answered(
    sandbox: Sandbox, client: Client
) -> None:
    message = await say(client, "alice", "hello", group="lobby")
    (event,) = sandbox.memory.events()
    assert isinstance(event, ev.MessageReceived)
    assert (event.message, event.chat.key) == (message, ("group", "lobby"))
    assert event.sender == ev.User(UserId("alice"), "alice")
    assert event.membership is not None
    assert event.membership.role == "owner"
    assert event.segments == (seg.Text("hello"),)


async def test_a_message_as_it_is_listed(client: Client) -> None:
    message = await say(client, "alice", "hello", name="Alice")
    assert await listed(client, user="alice") == [
        {
            "message_id": message,
            "user": "alice",
            "name": "Alice",
            "from_bot": False,
            "group": None,
            "peer": "alice",
            "message": [{"type": "text", "data": {"text": "hello"}}],
            "time": 1_767_225_600,
            "recalled": False,
            "edited": False,
            "anonymous": False,
            "notice": False,
            "pinned": False,
            "reactions": {},
        }
    ]


async def test_a_message_said_again_under_its_id_is_one_message(
    sandbox: Sandbox, client: Client
) -> None:
    other = await sandbox.serve(sandbox.connector())
    for via, text in ((client, "first"), (client, "first"), (other, "something else")):
        assert await say(via, "alice", text, group="lobby", message_id="a-1_B") == "a-1_B"
    (event,) = sandbox.memory.events()
    assert isinstance(event, ev.MessageReceived)
    assert (event.message, event.segments) == ("a-1_B", (seg.Text("first"),))


async def test_an_id_is_a_chats_own(sandbox: Sandbox, client: Client) -> None:
    for group in ("lobby", "attic"):
        await say(client, "alice", "hello", group=group, message_id="1")
    assert len(sandbox.memory.events()) == 2


@pytest.mark.parametrize("wrong", ["a.b", "a b", "é", "x" * 65, "a\n", 7])
async def test_what_no_message_can_be_called(client: Client, wrong: Any) -> None:
    body = {"user": "alice", "message": "hello", "message_id": wrong}
    assert "message_id" in (await post(client, "messages", body, 400))["error"]


async def test_what_the_bot_says_is_listed_too(client: Client, connector: Connector) -> None:
    text = (seg.Text("hi"),)
    sent = await connector.send_message(act.SendMessage(private_chat(UserId("alice")), text))
    (message,) = await listed(client, user="alice")
    assert message["message_id"] == sent.message
    assert (message["user"], message["peer"], message["from_bot"]) == ("demo", "alice", True)


async def test_every_replica_reads_what_one_wrote(sandbox: Sandbox, client: Client) -> None:
    other = await sandbox.serve(sandbox.connector())
    message = await say(client, "alice", "hello", group="lobby")
    assert [m["message_id"] for m in await listed(other, group="lobby")] == [message]
    await other.delete(f"{BASE}/api/messages/{message}?user=alice&group=lobby")
    assert [m["recalled"] for m in await listed(client, group="lobby")] == [True]


async def test_chats_are_apart(client: Client) -> None:
    await say(client, "alice", "private")
    await say(client, "alice", "in a group", group="alice")
    assert [m["group"] for m in await listed(client, user="alice")] == [None]
    assert [m["group"] for m in await listed(client, group="alice")] == ["alice"]
    assert await listed(client, user="nobody") == []


async def test_after_and_limit(client: Client) -> None:
    ids = [await say(client, "alice", str(number)) for number in range(5)]
    answer = await get(client, "messages", user="alice", after=ids[1], limit="2")
    assert [m["message_id"] for m in answer["messages"]] == ids[3:]
    assert answer["truncated"] is True
    answer = await get(client, "messages", user="alice", after=ids[1])
    assert [m["message_id"] for m in answer["messages"]] == ids[2:]
    assert answer["truncated"] is False
    assert (await get(client, "messages", user="alice", after=ids[-1]))["messages"] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"user": "alice", "group": "lobby"}, 400),
        ({"user": "alice", "after": "no such"}, 404),
        ({"user": "alice", "limit": "0"}, 400),
        ({"user": "alice", "limit": "1001"}, 400),
        ({"user": "alice", "limit": "²"}, 400),
        ({"user": "alice", "limit": "9" * 5000}, 400),
    ],
)
async def test_listings_that_cannot_be(client: Client, query: dict[str, str], status: int) -> None:
    assert "error" in await get(client, "messages", status, **query)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"user": "alice"}, "missing required field `message`"),
        ({"message": "x"}, "missing required field `user`"),
        ({"user": 5, "message": "x"}, "Expected `str`, got `int` - at `$.user`"),
        ({"user": "alice", "message": "x", "grup": "lobby"}, "unknown field `grup`"),
        ({"user": "alice", "message": ""}, "empty"),
        ({"user": "alice", "message": [{"type": "dance", "data": {}}]}, "'dance'"),
        ({"user": "alice", "message": [{"type": "text", "data": {"txt": "x"}}]}, "txt"),
        ({"user": "a\nb", "message": "x"}, "user must be"),
        ({"user": "alice", "message": "x", "group": "\u202e"}, "group must be"),
        ({"user": "alice", "message": "x", "name": "\x1b[2J"}, "name must be"),
        ({"user": "demo", "message": "x"}, "is the bot"),
        ({"user": "alice", "message": "x", "anonymous": 1}, "Expected `bool`"),
    ],
)
async def test_bodies_that_cannot_be(
    sandbox: Sandbox, client: Client, body: Any, says: str
) -> None:
    assert says in (await post(client, "messages", body, 400))["error"]
    assert sandbox.memory.events() == []


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"user": "alice", "message": "x"}', "text/plain", 415),
        (b"user=alice&message=x", "application/x-www-form-urlencoded", 415),
        (b'{"user": ', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"user":' * 100_000, "application/json", 400),
        (b"[" * 1_000_000, "application/json", 400),
        (b" " * ((1 << 20) + 1), "application/json", 413),
    ],
)
async def test_hostile_bodies(client: Client, body: bytes, content_type: str, status: int) -> None:
    headers = {"Content-Type": content_type}
    async with client.post(f"{BASE}/api/messages", data=BytesIO(body), headers=headers) as response:
        assert response.status == status


async def test_replies_answer_a_message_of_the_chat(client: Client) -> None:
    first = await say(client, "alice", "question", group="lobby")
    await say(client, "bob", "answer", group="lobby", reply_to=first)
    (_, answer) = await listed(client, group="lobby")
    assert answer["message"][0] == {"type": "reply", "data": {"message_id": first}}
    body = {"user": "bob", "message": "x", "reply_to": first}
    assert "to answer" in (await post(client, "messages", body, 404))["error"]


async def recall(client: Client, message: str, status: int, **query: str) -> Any:
    path = f"{BASE}/api/messages/{message}"
    async with client.delete(path, params=query) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def test_authors_take_back_what_they_wrote(sandbox: Sandbox, client: Client) -> None:
    message = await say(client, "bob", "oops")
    await recall(client, message, 404, user="alice")
    await recall(client, message, 200, user="bob")
    await recall(client, message, 200, user="bob")
    (_, recalled) = sandbox.memory.events()
    assert isinstance(recalled, ev.MessageRecalled)
    assert (recalled.sender, recalled.operator) == ("bob", "bob")
    assert [m["recalled"] for m in await listed(client, user="bob")] == [True]


async def test_a_groups_owner_takes_back_what_members_wrote(client: Client) -> None:
    of_owner = await say(client, "alice", "x", group="lobby")
    of_member = await say(client, "bob", "y", group="lobby")
    await recall(client, of_owner, 403, user="bob", group="lobby")
    await recall(client, of_owner, 404, user="eve", group="lobby")
    await recall(client, of_member, 200, user="alice", group="lobby")
    await recall(client, of_member, 400)


async def test_a_tip_of_the_system(sandbox: Sandbox, client: Client) -> None:
    await say(client, "alice", "anonymous messages are allowed", group="lobby", notice=True)
    (event,) = sandbox.memory.events()
    assert isinstance(event, ev.MessageReceived)
    assert event.notice
    assert [m["notice"] for m in await listed(client, group="lobby")] == [True]
    await post(client, "messages", {"user": "alice", "message": "x", "notice": True}, 400)


async def test_writing_anonymously(sandbox: Sandbox, client: Client) -> None:
    messages = [
        await say(client, user, "guess who", group="lobby", anonymous=True)
        for user in ("alice", "alice", "bob")
    ]
    masks = []
    for event in sandbox.memory.events():
        assert isinstance(event, ev.MessageReceived)
        assert event.anonymous is not None
        assert (event.sender.id, event.sender.name) == (event.anonymous.id, event.anonymous.name)
        assert event.membership is None
        assert "alice" not in str(event)
        masks.append(event.anonymous)
    assert masks[0] == masks[1] != masks[2]
    async with client.delete(
        f"{BASE}/api/messages/{messages[0]}?user=alice&group=lobby"
    ) as response:
        assert response.status == 200
    recalled = sandbox.memory.events()[-1]
    assert isinstance(recalled, ev.MessageRecalled)
    assert recalled.operator == recalled.sender == masks[0].id
    await post(client, "messages", {"user": "alice", "message": "x", "anonymous": True}, 400)
    await post(client, "groups", {"group": "lobby", "anonymous": False})
    body = {"user": "alice", "message": "x", "group": "lobby", "anonymous": True}
    assert "anonymously" in (await post(client, "messages", body, 403))["error"]


async def test_people_write_every_kind_of_segment(sandbox: Sandbox, client: Client) -> None:
    url = "https://example.com/x"
    forward = {"nodes": [{"user": "bob", "message": "first"}, {"user": "eve", "message": "second"}]}
    await say(
        client,
        "alice",
        [
            {"type": "emoji", "data": {"id": "14"}},
            *({"type": kind, "data": {"url": url}} for kind in ("voice", "video", "file")),
            {"type": "location", "data": {"latitude": 1.5, "longitude": 2.5}},
            {"type": "contact", "data": {"kind": "user", "id": "bob"}},
            {"type": "link", "data": {"url": url, "title": "X"}},
            {"type": "music", "data": {"kind": "qq", "id": "1"}},
            {"type": "card", "data": {"format": "json", "content": "{}"}},
            {"type": "poke", "data": {"kind": "1", "id": "-1"}},
            *({"type": kind} for kind in ("dice", "rps", "shake")),
            {"type": "unknown", "data": {"kind": "hologram"}},
            {"type": "forward", "data": forward},
        ],
    )
    (event,) = sandbox.memory.events()
    assert isinstance(event, ev.MessageReceived)
    kinds = [type(segment) for segment in event.segments]
    missing = set(get_args(seg.Segment)) - set(kinds)
    assert missing == {seg.Text, seg.Mention, seg.Reply, seg.Image, seg.Anonymous}
    bundle = event.segments[-1]
    assert isinstance(bundle, seg.Forward)
    assert [node.user for node in bundle.nodes] == ["bob", "eve"]


async def test_the_muted_cannot_write(sandbox: Sandbox, client: Client) -> None:
    connector = sandbox.connector()
    await say(client, "alice", "x", group="lobby")
    await say(client, "bob", "x", group="lobby")
    await post(client, "groups/lobby/members", {"user": "demo", "role": "admin"})
    await connector.mute_member(act.MuteMember(ChatId("lobby"), UserId("bob"), 60))
    body = {"user": "bob", "message": "let me", "group": "lobby"}
    assert "muted" in (await post(client, "messages", body, 403))["error"]
    muted_until = (await get(client, "state"))["groups"][0]["members"][2]["muted_until"]
    assert muted_until > sandbox.clock.now_s
    sandbox.clock.now_s += 60
    await say(client, "bob", "at last", group="lobby")
    assert (await get(client, "state"))["groups"][0]["members"][2]["muted_until"] == 0


async def test_the_page_runs_nothing_that_is_not_its_own(client: Client) -> None:
    async with client.get(f"{BASE}/") as response:
        assert response.status == 200
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        text = await response.text()
    assert "//" not in text.replace("https://… address", "")
    for name in ASSETS:
        async with client.get(f"{BASE}/{name}") as response:
            assert response.status == 200
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "innerHTML" not in await response.text()


async def test_the_page_without_its_slash(client: Client) -> None:
    async with client.get(BASE, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "demo/")
    async with client.get(BASE) as response:
        assert response.url.path == f"{BASE}/"
