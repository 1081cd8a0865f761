"""Events that are posted again, and events that cannot be."""

from typing import Any

import pytest

from onebus import event as ev
from onebus.errors import BusUnavailable

from .calls import get, group_now, happen, post
from .conftest import Client, Sandbox

AGAIN: list[dict[str, Any]] = [
    {"type": "member_joined", "group": "lobby", "user": "eve"},
    {"type": "member_left", "group": "lobby", "user": "bob"},
    {"type": "member_left", "group": "lobby", "user": "demo", "operator": "alice"},
    {"type": "member_muted", "group": "lobby", "user": "bob"},
    {"type": "card_changed", "group": "lobby", "user": "bob", "card": "B"},
    {"type": "friend_requested", "user": "eve"},
    {"type": "group_requested", "group": "lobby", "user": "eve", "kind": "add"},
    {"type": "file_uploaded", "group": "lobby", "user": "bob", "file": {"name": "a"}},
    {"type": "poked", "group": "lobby", "user": "bob"},
    {"type": "account_changed", "online": True},
]


@pytest.mark.parametrize("body", AGAIN, ids=lambda body: f"{body['type']}-{body.get('user', '')}")
async def test_the_same_id_is_told_once(
    sandbox: Sandbox, lobby: Client, body: dict[str, Any]
) -> None:
    first = await post(lobby, "events", {**body, "id": "again-1"})
    state = await get(lobby, "state")
    before = sandbox.memory.events()
    assert await post(lobby, "events", {**body, "id": "again-1"}) == first
    assert sandbox.memory.events() == before
    assert before[-1].id == "again-1"
    assert await get(lobby, "state") == state


async def test_an_event_that_was_not_logged_can_be_posted_again(
    sandbox: Sandbox, lobby: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The member is gone already, and the bots still have to hear of it."""
    append = sandbox.memory.log.append

    async def refused(*_: Any, **__: Any) -> int:
        raise BusUnavailable("the log is away")

    body = {"type": "member_left", "group": "lobby", "user": "bob", "id": "left-1"}
    monkeypatch.setattr(sandbox.memory.log, "append", refused)
    async with lobby.post("/sandbox/demo/api/events", json=body) as response:
        assert response.status == 500  # which the listener of a process makes a 503
    monkeypatch.setattr(sandbox.memory.log, "append", append)
    assert "bob" not in (await group_now(lobby))["members"]
    await post(lobby, "events", body)
    assert isinstance(sandbox.memory.events()[-1], ev.MemberLeft)


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "missing required field `type`"),
    ({"type": "message_received"}, 400, "Invalid value 'message_received'"),
    ({"type": "poked"}, 400, "missing required field `user`"),
    ({"type": "poked", "user": "bob", "grup": "lobby"}, 400, "unknown field `grup`"),
    ({"type": "poked", "user": "bob", "group": "hall"}, 404, "there is no group hall"),
    ({"type": "poked", "user": "eve", "group": "lobby"}, 404, "eve is not in the group"),
    ({"type": "poked", "user": "bob", "target": "eve"}, 400, "one person with the bot"),
    ({"type": "poked", "user": "demo"}, 400, "one person with the bot"),
    ({"type": "poked", "user": "b\nb"}, 400, "user must be"),
    ({"type": "poked", "user": "bob", "id": "x" * 65}, 400, "id must be"),
    ({"type": "member_joined", "user": "eve", "group": ""}, 400, "group must be"),
    ({"type": "member_joined", "user": "eve", "group": "lobby", "how": "x"}, 400, "how"),
    ({"type": "member_left", "user": "eve", "group": "lobby"}, 404, "eve"),
    ({"type": "member_muted", "group": "lobby", "duration_s": -1}, 400, "duration"),
    ({"type": "member_muted", "group": "lobby", "operator": "eve"}, 404, "eve is not in"),
    ({"type": "role_changed", "group": "lobby", "user": "bob", "role": "king"}, 400, "role"),
    ({"type": "title_changed", "group": "lobby", "user": "bob", "duration_s": 0}, 400, "duration"),
    ({"type": "card_changed", "group": "lobby", "user": "bob", "card": "a\nb"}, 400, "card must"),
    ({"type": "group_renamed", "group": "lobby", "name": ""}, 400, "name must be"),
    ({"type": "honor_changed", "group": "lobby", "user": "bob", "honor": "legend"}, 400, "honor"),
    ({"type": "friend_removed", "user": "nobody"}, 404, "no user nobody"),
    ({"type": "friend_added", "user": "demo"}, 400, "is the bot"),
    ({"type": "friend_requested", "user": "eve", "comment": "x" * 1001}, 400, "comment"),
    ({"type": "interaction", "user": "eve", "kind": "click", "value": ""}, 400, "value"),
    ({"type": "file_uploaded", "user": "bob", "file": {"name": ""}}, 400, "file.name"),
    (
        {"type": "file_uploaded", "user": "bob", "file": {"name": "a", "url": "file:///etc"}},
        400,
        "file.url",
    ),
    (
        {"type": "file_uploaded", "user": "bob", "file": {"name": "a", "size_bytes": -1}},
        400,
        "size_bytes",
    ),
    (
        {"type": "reaction_changed", "user": "bob", "message_id": "m0", "emoji": "x"},
        404,
        "no message m0",
    ),
    ({"type": "message_recalled", "user": "bob", "message_id": "m0"}, 404, "no message m0"),
]


@pytest.mark.parametrize(("body", "status", "says"), WRONG)
async def test_what_cannot_happen(
    sandbox: Sandbox, lobby: Client, body: dict[str, Any], status: int, says: str
) -> None:
    before, state = sandbox.memory.events(), (await get(lobby, "state"))["groups"]
    assert says in (await post(lobby, "events", body, status))["error"]
    assert sandbox.memory.events() == before
    groups = (await get(lobby, "state"))["groups"]
    assert groups == state


async def test_a_flag_belongs_to_one_request(client: Client) -> None:
    await happen(client, "friend_requested", user="eve", id="f1")
    told = await happen(client, "friend_requested", 400, user="bob", id="f1")
    assert "another request" in told["error"]
