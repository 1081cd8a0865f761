"""People and groups over REST: the state as it is read, and what bots are told of changes."""

from onebus import event as ev
from onebus.event import group_chat
from onebus.ids import ChatId, UserId

from .calls import get, post, say
from .conftest import BASE, Client, Sandbox

LOBBY = group_chat(ChatId("lobby"))


async def test_state_names_everybody_with_their_number(client: Client) -> None:
    await say(client, "alice", "x", group="lobby", name="Alice")
    await say(client, "12345", "x", group="lobby")
    state = await get(client, "state")
    users = {user["user"]: user for user in state["users"]}
    assert users["alice"] == {
        "user": "alice",
        "name": "Alice",
        "is_bot": False,
        "onebot_id": 4719129099958988,
        "sex": "unknown",
        "age": 0,
        "friend": False,
        "remark": "",
        "likes": 0,
    }
    assert users["12345"]["onebot_id"] == 12345
    assert users["demo"]["is_bot"]
    assert state["bot"]["onebot_id"] == users["demo"]["onebot_id"]
    (group,) = state["groups"]
    assert (group["group"], group["name"]) == ("lobby", "lobby")
    assert group["onebot_id"] > 1 << 52
    assert [(m["user"], m["role"]) for m in group["members"]] == [
        ("demo", "member"),
        ("alice", "owner"),
        ("12345", "member"),
    ]
    assert group["members"][1] == {
        "user": "alice",
        "role": "owner",
        "card": "",
        "title": "",
        "title_expires_at": 0,
        "muted_until": 0,
        "onebot_id": users["alice"]["onebot_id"],
    }


async def test_joining_is_told_once(sandbox: Sandbox, client: Client) -> None:
    await post(client, "groups", {"group": "lobby", "name": "The lobby"})
    await post(client, "groups/lobby/members", {"user": "alice"})
    await post(client, "groups/lobby/members", {"user": "alice"})
    (joined,) = sandbox.memory.events()
    assert isinstance(joined, ev.MemberJoined)
    assert (joined.user.id, joined.operator, joined.chat.id) == ("alice", "alice", "lobby")


async def test_a_new_name_is_told(sandbox: Sandbox, client: Client) -> None:
    for name in ("The lobby", "The lobby", "The hall"):
        await post(client, "groups", {"group": "lobby", "name": name})
    (renamed,) = sandbox.memory.events()
    assert isinstance(renamed, ev.GroupRenamed)
    assert (renamed.chat.id, renamed.name) == ("lobby", "The hall")


async def test_roles_and_cards_are_told(sandbox: Sandbox, client: Client) -> None:
    await say(client, "alice", "x", group="lobby")
    body = {"user": "demo", "role": "admin", "card": "Butler"}
    group = await post(client, "groups/lobby/members", body)
    assert group["members"][0]["role"] == "admin"
    _, role, card = sandbox.memory.events()
    assert isinstance(role, ev.RoleChanged)
    assert (role.user, role.role) == ("demo", "admin")
    assert isinstance(card, ev.CardChanged)
    assert (card.user, card.card, card.old_card) == ("demo", "Butler", "")


async def test_leaving_is_told(sandbox: Sandbox, client: Client) -> None:
    await say(client, "alice", "x", group="a/b")
    async with client.delete(f"{BASE}/api/groups/a%2Fb/members/alice") as response:
        assert response.status == 200
    left = sandbox.memory.events()[-1]
    assert isinstance(left, ev.MemberLeft)
    assert (left.user.id, left.operator, left.chat.id) == ("alice", "alice", "a/b")
    for user, status in (("alice", 404), ("demo", 200)):
        async with client.delete(f"{BASE}/api/groups/a%2Fb/members/{user}") as response:
            assert response.status == status


async def test_nothing_is_told_of_groups_without_the_bot(sandbox: Sandbox, client: Client) -> None:
    await say(client, "alice", "x", group="lobby")
    async with client.delete(f"{BASE}/api/groups/lobby/members/demo") as response:
        assert response.status == 200
    before = sandbox.memory.events()
    await post(client, "groups/lobby/members", {"user": "bob"})
    await post(client, "groups", {"group": "lobby", "name": "The hall"})
    body = {"user": "alice", "message": "anybody?", "group": "lobby"}
    assert "the bot is not in the group" in (await post(client, "messages", body, 403))["error"]
    assert sandbox.memory.events() == before
    await post(client, "groups/lobby/members", {"user": "demo"})
    assert isinstance(sandbox.memory.events()[-1], ev.MemberJoined)
    await say(client, "alice", "there you are", group="lobby")


async def test_people_are_described(sandbox: Sandbox, client: Client) -> None:
    await post(client, "users", {"user": "alice", "name": "Alice", "sex": "female", "age": 30})
    await say(client, "alice", "x")
    event = sandbox.memory.events()[0]
    assert isinstance(event, ev.MessageReceived)
    assert event.sender == ev.User(UserId("alice"), "Alice", "female", 30)
    for wrong in ({"sex": "robot"}, {"age": -1}, {"age": 201}, {"name": "a\nb"}):
        await post(client, "users", {"user": "alice", **wrong}, 400)


async def test_writing_privately_makes_a_friend(sandbox: Sandbox, client: Client) -> None:
    for text in ("hello", "again"):
        await say(client, "alice", text)
    await post(client, "events", {"type": "friend_removed", "user": "alice"})
    await say(client, "alice", "still there?")
    await say(client, "alice", "x", group="lobby")
    await say(client, "alice", "you know me from the lobby")
    events = sandbox.memory.events()
    private = [e for e in events if isinstance(e, ev.MessageReceived) and e.membership is None]
    assert [e.relation for e in private] == ["friend", "friend", "other", "group"]
    assert [type(e) for e in events if e not in private] == [ev.FriendRemoved, ev.MessageReceived]
