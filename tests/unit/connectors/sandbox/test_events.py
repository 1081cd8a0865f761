"""What is posted to `api/events`: the state changes, and the log tells of it once."""

from typing import Any, get_args

import msgspec
import pytest

from connectors.sandbox.posted import Posted
from onebus import event as ev
from onebus.event import Event, User, group_chat, private_chat
from onebus.ids import ChatId, MessageId, UserId

from .calls import chat_now, get, group_now, happen, listed, person_now, post, say
from .conftest import DEMO, Client, Sandbox

LOBBY = group_chat(ChatId("lobby"), "lobby")
ALICE, BOB, EVE, BOT = UserId("alice"), UserId("bob"), UserId("eve"), UserId("demo")


def last(sandbox: Sandbox) -> Event:
    """The last event without what differs each time."""
    event = sandbox.memory.events()[-1]
    assert event.id
    return msgspec.structs.replace(event, id="", time_ms=0)


BASE: dict[str, Any] = {"account": DEMO, "time_ms": 0}


def test_every_event_of_the_model_can_be_posted_or_said() -> None:
    tags = {kind.__struct_config__.tag for kind in get_args(Event)}
    posted = {kind.__struct_config__.tag for kind in get_args(Posted)}
    # What an upstream says in its own words, and what it quotes, no sandbox has.
    assert tags - posted == {
        *("message_received", "message_sent"),
        *("message_backfilled", "native_event"),
    }
    assert posted <= tags


async def test_the_answer_says_where_the_event_is(sandbox: Sandbox, lobby: Client) -> None:
    told = await happen(lobby, "poked", user=ALICE, group="lobby")
    stored = sandbox.memory.stored()[-1]
    assert told == {"id": stored.event.id, "event_id": str(stored.sequence)}


async def test_somebody_joins(sandbox: Sandbox, lobby: Client) -> None:
    await happen(lobby, "member_joined", group="lobby", user=EVE, operator=ALICE, how="invite")
    assert last(sandbox) == ev.MemberJoined(
        **BASE, chat=LOBBY, user=User(EVE, "eve"), operator=ALICE, how="invite"
    )
    assert (await group_now(lobby))["members"]["eve"]["role"] == "member"
    await happen(lobby, "member_joined", group="hall", user=EVE)
    assert (await group_now(lobby, "hall"))["members"].keys() == {"demo", "eve"}


async def test_somebody_leaves_or_is_kicked(sandbox: Sandbox, lobby: Client) -> None:
    await happen(lobby, "member_left", group="lobby", user=BOB, operator=ALICE)
    bob = User(BOB, "bob")
    assert last(sandbox) == ev.MemberLeft(**BASE, chat=LOBBY, user=bob, operator=ALICE)
    assert "bob" not in (await group_now(lobby))["members"]
    await happen(lobby, "member_left", group="lobby", user=ALICE)
    left = last(sandbox)
    assert isinstance(left, ev.MemberLeft)
    assert left.operator == ALICE


async def test_the_bot_is_kicked_and_comes_back(sandbox: Sandbox, lobby: Client) -> None:
    await happen(lobby, "member_left", group="lobby", user=BOT, operator=ALICE)
    left = last(sandbox)
    assert isinstance(left, ev.MemberLeft)
    assert (left.user.id, left.operator) == (BOT, ALICE)
    for kind in ("poked", "member_left", "member_joined"):
        assert "not in" in (await happen(lobby, kind, 403, group="lobby", user=BOB))["error"]
    await happen(lobby, "member_joined", group="lobby", user=BOT, operator=ALICE, how="invite")
    joined = last(sandbox)
    assert isinstance(joined, ev.MemberJoined)
    assert (joined.user.id, joined.operator) == (BOT, ALICE)
    assert (await group_now(lobby))["members"]["demo"]["role"] == "member"


async def test_somebody_is_muted(sandbox: Sandbox, lobby: Client) -> None:
    await happen(lobby, "member_muted", group="lobby", user=BOB, duration_s=60)
    assert last(sandbox) == ev.MemberMuted(
        **BASE, chat=LOBBY, user=BOB, operator=ALICE, duration_s=60
    )
    body = {"user": BOB, "message": "x", "group": "lobby"}
    await post(lobby, "messages", body, 403)
    await happen(lobby, "member_muted", group="lobby", user=BOB, duration_s=0, operator=ALICE)
    lifted = last(sandbox)
    assert isinstance(lifted, ev.MemberMuted)
    assert lifted.duration_s == 0
    await post(lobby, "messages", body)


async def test_everyone_is_muted(sandbox: Sandbox, lobby: Client) -> None:
    await happen(lobby, "member_muted", group="lobby")
    assert last(sandbox) == ev.MemberMuted(
        **BASE, chat=LOBBY, user=None, operator=ALICE, duration_s=-1
    )
    assert (await group_now(lobby))["muted"] is True
    body = {"user": BOB, "message": "x", "group": "lobby"}
    assert "everyone" in (await post(lobby, "messages", body, 403))["error"]
    await say(lobby, ALICE, "mine", group="lobby")
    await happen(lobby, "member_muted", group="lobby", duration_s=0)
    assert (await group_now(lobby))["muted"] is False
    await post(lobby, "messages", body)


async def test_a_role_changes(sandbox: Sandbox, lobby: Client) -> None:
    await happen(lobby, "role_changed", group="lobby", user=BOT, role="admin")
    assert last(sandbox) == ev.RoleChanged(**BASE, chat=LOBBY, user=BOT, role="admin")
    await happen(lobby, "role_changed", group="lobby", user=BOB, role="owner")
    members = (await group_now(lobby))["members"]
    assert {user: m["role"] for user, m in members.items()} == {
        "demo": "admin",
        "alice": "admin",
        "bob": "owner",
    }


async def test_a_card_changes(sandbox: Sandbox, lobby: Client) -> None:
    for old, card in (("", "Bobby"), ("Bobby", "")):
        await happen(lobby, "card_changed", group="lobby", user=BOB, card=card)
        assert last(sandbox) == ev.CardChanged(
            **BASE, chat=LOBBY, user=BOB, card=card, old_card=old
        )
        assert (await group_now(lobby))["members"]["bob"]["card"] == card


async def test_a_title_comes_and_ends(sandbox: Sandbox, lobby: Client) -> None:
    await happen(lobby, "title_changed", group="lobby", user=BOB, title="Sir", duration_s=60)
    assert last(sandbox) == ev.TitleChanged(**BASE, chat=LOBBY, user=BOB, title="Sir")
    assert (await group_now(lobby))["members"]["bob"]["title"] == "Sir"
    sandbox.clock.now_s += 60
    assert (await group_now(lobby))["members"]["bob"]["title"] == ""


async def test_a_group_is_renamed(sandbox: Sandbox, lobby: Client) -> None:
    await happen(lobby, "group_renamed", group="lobby", name="The hall", operator=BOB)
    hall = group_chat(LOBBY.id, "The hall")
    assert last(sandbox) == ev.GroupRenamed(**BASE, chat=hall, operator=BOB, name="The hall")
    assert (await group_now(lobby))["name"] == "The hall"


@pytest.mark.parametrize("group", [{"group": "lobby"}, {}])
async def test_a_file_is_uploaded(sandbox: Sandbox, lobby: Client, group: dict[str, str]) -> None:
    file = {"name": "a.txt", "url": "https://example.com/a.txt", "size_bytes": 3}
    await happen(lobby, "file_uploaded", user=BOB, file=file, id="e1", **group)
    event = sandbox.memory.events()[-1]
    assert isinstance(event, ev.FileUploaded)
    assert event.chat == (LOBBY if group else private_chat(BOB))
    assert event.file == ev.UploadedFile("f-e1", "a.txt", 3)
    assert (await chat_now(lobby))["files"] == [{"id": "f-e1", "user": "bob", **file}]


async def test_a_friend_comes_and_goes(sandbox: Sandbox, client: Client) -> None:
    await happen(client, "friend_added", user=EVE)
    assert last(sandbox) == ev.FriendAdded(**BASE, user=User(EVE, "eve"))
    assert (await person_now(client, "eve"))["friend"] is True
    await happen(client, "friend_removed", user=EVE)
    assert last(sandbox) == ev.FriendRemoved(**BASE, user=User(EVE, "eve"))
    assert (await person_now(client, "eve"))["friend"] is False


async def test_somebody_asks_to_be_a_friend(sandbox: Sandbox, client: Client) -> None:
    told = await happen(client, "friend_requested", user=EVE, comment="it is me")
    flag = told["flag"]
    assert last(sandbox) == ev.FriendRequested(
        **BASE, user=User(EVE, "eve"), comment="it is me", flag=flag
    )
    (request,) = (await get(client, "state"))["requests"]
    assert request == {
        "flag": flag,
        "kind": "friend",
        "user": "eve",
        "group": None,
        "comment": "it is me",
        "time": request["time"],
        "answer": None,
        "remark": "",
        "reason": "",
    }
    assert (await person_now(client, "eve"))["friend"] is False


async def test_somebody_asks_to_join(sandbox: Sandbox, lobby: Client) -> None:
    told = await happen(lobby, "group_requested", user=EVE, group="lobby", kind="add", comment="?")
    assert last(sandbox) == ev.GroupRequested(
        **BASE, chat=LOBBY, user=User(EVE, "eve"), kind="add", comment="?", flag=told["flag"]
    )
    assert "eve" not in (await group_now(lobby))["members"]
    assert (
        "already"
        in (await happen(lobby, "group_requested", 403, user=BOB, group="lobby", kind="add"))[
            "error"
        ]
    )


async def test_the_bot_is_invited(sandbox: Sandbox, client: Client) -> None:
    told = await happen(client, "group_requested", user=EVE, group="hall", kind="invite")
    hall = group_chat(ChatId("hall"), "hall")
    assert last(sandbox) == ev.GroupRequested(
        **BASE, chat=hall, user=User(EVE, "eve"), kind="invite", comment="", flag=told["flag"]
    )
    members = (await group_now(client, "hall"))["members"]
    assert {user: m["role"] for user, m in members.items()} == {"eve": "owner"}
    await happen(client, "member_joined", group="hall", user=BOT)
    await happen(client, "group_requested", 403, user=EVE, group="hall", kind="invite")


@pytest.mark.parametrize("group", [{"group": "lobby"}, {}])
async def test_a_reaction(sandbox: Sandbox, lobby: Client, group: dict[str, str]) -> None:
    message = await say(lobby, BOB, "funny", **group)
    chat = LOBBY if group else private_chat(BOB)
    where: dict[str, str] = group or {"user": BOB}
    for added, seen in ((True, {"😀": ["bob"]}), (False, {})):
        await happen(
            lobby,
            "reaction_changed",
            user=BOB,
            message_id=message,
            emoji="😀",
            added=added,
            **group,
        )
        assert last(sandbox) == ev.ReactionChanged(
            **BASE, chat=chat, message=MessageId(message), user=BOB, emoji="😀", added=added
        )
        assert (await listed(lobby, **where))[-1]["reactions"] == seen


@pytest.mark.parametrize("group", [{"group": "lobby"}, {}])
async def test_a_pin(sandbox: Sandbox, lobby: Client, group: dict[str, str]) -> None:
    message = await say(lobby, BOB, "remember", **group)
    chat = LOBBY if group else private_chat(BOB)
    where: dict[str, str] = group or {"user": BOB}
    for pinned in (True, False):
        await happen(lobby, "message_pinned", user=BOB, message_id=message, pinned=pinned, **group)
        assert last(sandbox) == ev.MessagePinned(
            **BASE,
            chat=chat,
            message=MessageId(message),
            sender=BOB,
            operator=BOB,
            pinned=pinned,
        )
        assert (await listed(lobby, **where))[-1]["pinned"] is pinned
        assert list((await chat_now(lobby))["pins"]) == ([message] if pinned else [])


async def test_a_poke(sandbox: Sandbox, lobby: Client) -> None:
    await happen(lobby, "poked", user=ALICE, target=BOB, group="lobby")
    assert last(sandbox) == ev.Poked(**BASE, chat=LOBBY, user=ALICE, target=BOB)
    await happen(lobby, "poked", user=ALICE)
    assert last(sandbox) == ev.Poked(**BASE, chat=private_chat(ALICE), user=ALICE, target=BOT)


async def test_a_lucky_king(sandbox: Sandbox, lobby: Client) -> None:
    await happen(lobby, "lucky_king", user=ALICE, target=BOB, group="lobby")
    assert last(sandbox) == ev.LuckyKing(**BASE, chat=LOBBY, user=ALICE, target=BOB)


@pytest.mark.parametrize("honor", ["talkative", "performer", "emotion"])
async def test_an_honor(sandbox: Sandbox, lobby: Client, honor: Any) -> None:
    await happen(lobby, "honor_changed", user=BOB, honor=honor, group="lobby")
    assert last(sandbox) == ev.HonorChanged(**BASE, chat=LOBBY, user=BOB, honor=honor)
    assert (await group_now(lobby))["honors"] == {honor: ["bob"]}


@pytest.mark.parametrize("group", [{"group": "lobby"}, {}])
async def test_an_interaction(sandbox: Sandbox, lobby: Client, group: dict[str, str]) -> None:
    await happen(lobby, "interaction", user=BOB, kind="click", value="menu-1", **group)
    chat = LOBBY if group else private_chat(BOB)
    assert last(sandbox) == ev.Interaction(
        **BASE, chat=chat, user=User(BOB, "bob"), kind="click", value="menu-1"
    )


async def test_an_edit(sandbox: Sandbox, lobby: Client) -> None:
    message = await say(lobby, BOB, "helo", group="lobby")
    edit = {"message_id": message, "group": "lobby"}
    await happen(lobby, "message_edited", user=BOB, message="hello", **edit)
    edited = last(sandbox)
    assert isinstance(edited, ev.MessageEdited)
    assert (edited.message, edited.editor.id, edited.chat) == (message, BOB, LOBBY)
    shown = (await listed(lobby, group="lobby"))[-1]
    assert shown["message"] == [{"type": "text", "data": {"text": "hello"}}]
    assert shown["edited"] is True
    await happen(lobby, "message_edited", 403, user=ALICE, message="mine", **edit)
    await happen(lobby, "message_edited", 400, user=BOB, message="", **edit)


async def test_a_recall(sandbox: Sandbox, lobby: Client) -> None:
    message = await say(lobby, BOB, "oops", group="lobby")
    first, again = [
        await happen(lobby, "message_recalled", user=ALICE, group="lobby", message_id=message)
        for _ in range(2)
    ]
    assert first == again
    recalled = sandbox.memory.events()[-1]
    assert isinstance(recalled, ev.MessageRecalled)
    assert (recalled.sender, recalled.operator) == (BOB, ALICE)
    for kind, more in (("reaction_changed", {"emoji": "x"}), ("message_pinned", {})):
        body = {"user": BOB, "group": "lobby", "message_id": message, **more}
        assert "no message" in (await happen(lobby, kind, 404, **body))["error"]


async def test_the_account_goes_offline(sandbox: Sandbox, client: Client) -> None:
    await happen(client, "account_changed", online=False, reason="banned")
    assert last(sandbox) == ev.AccountChanged(**BASE, online=False, reason="banned")
    account = (await get(client, "state"))["account"]
    assert (account["online"], account["reason"]) == (False, "banned")
