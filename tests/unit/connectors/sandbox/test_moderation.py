"""What a bot does in its groups beyond members' names and roles."""

import pytest

from connectors.sandbox import Connector
from onebus import action as act
from onebus import event as ev
from onebus import segment as seg
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.event import Role, group_chat, private_chat
from onebus.ids import ChatId, MessageId, UserId

from .calls import get, group_now, happen, listed, post, say
from .conftest import Client, Sandbox

LOBBY, CHAT = ChatId("lobby"), group_chat(ChatId("lobby"), "lobby")
ALICE, BOB, BOT = UserId("alice"), UserId("bob"), UserId("demo")


@pytest.fixture
async def lobby(client: Client) -> Client:
    """A group of which alice is the owner and bob a member."""
    for user in (ALICE, BOB):
        await say(client, user, "x", group="lobby")
    return client


async def promote(client: Client, role: Role) -> None:
    await happen(client, "role_changed", group="lobby", user="demo", role=role)


async def test_an_admin_mutes_everyone(
    sandbox: Sandbox, connector: Connector, lobby: Client
) -> None:
    with pytest.raises(Forbidden, match="not admin"):
        await connector.mute_group(act.MuteGroup(LOBBY, True))
    await promote(lobby, "admin")
    for muted, duration_s in ((True, -1), (False, 0)):
        for _ in range(2):
            await connector.mute_group(act.MuteGroup(LOBBY, muted))
        event = sandbox.memory.events()[-1]
        assert isinstance(event, ev.MemberMuted)
        assert (event.user, event.operator, event.duration_s) == (None, BOT, duration_s)
        assert (await group_now(lobby))["muted"] is muted
    assert sum(isinstance(e, ev.MemberMuted) for e in sandbox.memory.events()) == 2


async def test_a_muted_bot_says_nothing(connector: Connector, lobby: Client) -> None:
    hello = act.SendMessage(CHAT, (seg.Text("hello"),))
    await happen(lobby, "member_muted", group="lobby", user="demo")
    with pytest.raises(Forbidden, match="muted"):
        await connector.send_message(hello)
    await happen(lobby, "member_muted", group="lobby", user="demo", duration_s=0)
    await happen(lobby, "member_muted", group="lobby")
    with pytest.raises(Forbidden, match="everyone"):
        await connector.send_message(hello)
    await promote(lobby, "admin")
    await connector.send_message(hello)


async def test_somebody_anonymous_is_muted(
    sandbox: Sandbox, connector: Connector, lobby: Client
) -> None:
    await say(lobby, "bob", "guess who", group="lobby", anonymous=True)
    message = sandbox.memory.events()[-1]
    assert isinstance(message, ev.MessageReceived)
    assert message.anonymous
    mute = act.MuteMember(LOBBY, None, 60, message.anonymous.flag)
    with pytest.raises(Forbidden):
        await connector.mute_member(mute)
    await promote(lobby, "admin")
    await connector.mute_member(mute)
    muted = sandbox.memory.events()[-1]
    assert isinstance(muted, ev.MemberMuted)
    assert (muted.user, muted.duration_s) == (message.anonymous.id, 60)
    (mask,) = (await group_now(lobby))["masks"]
    assert mask["muted_until"] > sandbox.clock.now_s
    body = {"user": "bob", "message": "x", "group": "lobby", "anonymous": True}
    await post(lobby, "messages", body, 403)
    await say(lobby, "bob", "as myself", group="lobby")
    sandbox.clock.now_s += 60
    await post(lobby, "messages", body)
    for wrong, error in (
        (act.MuteMember(LOBBY, None, 60, "no-flag"), NotFound),
        (act.MuteMember(LOBBY, None, 0, message.anonymous.flag), BadParams),
    ):
        with pytest.raises(error):
            await connector.mute_member(wrong)


async def test_anonymous_messages_are_forbidden_and_allowed(
    connector: Connector, lobby: Client
) -> None:
    with pytest.raises(Forbidden):
        await connector.set_anonymous(act.SetAnonymous(LOBBY, False))
    await promote(lobby, "admin")
    body = {"user": "bob", "message": "x", "group": "lobby", "anonymous": True}
    for allowed, status in ((False, 403), (True, 200)):
        await connector.set_anonymous(act.SetAnonymous(LOBBY, allowed))
        assert (await group_now(lobby))["anonymous"] is allowed
        await post(lobby, "messages", body, status)


async def test_the_bot_writes_anonymously(
    sandbox: Sandbox, connector: Connector, lobby: Client
) -> None:
    wish, text = seg.Anonymous(), seg.Text("guess who")
    sent = await connector.send_message(act.SendMessage(CHAT, (wish, text)))
    event = sandbox.memory.events()[-1]
    assert isinstance(event, ev.MessageSent)
    assert event.sender.id != BOT
    assert event.segments == (text,)
    assert (await listed(lobby, group="lobby"))[-1]["from_bot"] is True
    await connector.recall_message(act.RecallMessage(CHAT, sent.message))
    await post(lobby, "groups", {"group": "lobby", "anonymous": False})
    with pytest.raises(Forbidden, match="anonymously"):
        await connector.send_message(act.SendMessage(CHAT, (wish, text)))
    await connector.send_message(act.SendMessage(CHAT, (seg.Anonymous(ignore=True), text)))
    event = sandbox.memory.events()[-1]
    assert isinstance(event, ev.MessageSent)
    assert event.sender.id == BOT
    alice = private_chat(ALICE)
    with pytest.raises(BadParams):
        await connector.send_message(act.SendMessage(alice, (wish, text)))
    await connector.send_message(act.SendMessage(alice, (seg.Anonymous(ignore=True), text)))


async def test_the_bot_leaves(sandbox: Sandbox, connector: Connector, lobby: Client) -> None:
    with pytest.raises(Forbidden, match="not owner"):
        await connector.leave_group(act.LeaveGroup(LOBBY, dismiss=True))
    await connector.leave_group(act.LeaveGroup(LOBBY))
    left = sandbox.memory.events()[-1]
    assert isinstance(left, ev.MemberLeft)
    assert (left.user.id, left.operator) == (BOT, BOT)
    assert await connector.get_groups(act.GetGroups()) == ()
    assert (await group_now(lobby))["members"].keys() == {"alice", "bob"}
    for call in (
        connector.leave_group(act.LeaveGroup(LOBBY)),
        connector.send_message(act.SendMessage(CHAT, (seg.Text("x"),))),
        connector.get_members(act.GetMembers(LOBBY)),
        connector.set_card(act.SetCard(LOBBY, BOT, "Butler")),
        connector.mute_group(act.MuteGroup(LOBBY, True)),
        connector.kick_member(act.KickMember(LOBBY, BOB)),
    ):
        with pytest.raises(Forbidden, match="not in the group"):
            await call


async def test_the_owner_dissolves_the_group(
    sandbox: Sandbox, connector: Connector, lobby: Client
) -> None:
    await promote(lobby, "owner")
    with pytest.raises(Forbidden, match="dissolve"):
        await connector.leave_group(act.LeaveGroup(LOBBY))
    await connector.leave_group(act.LeaveGroup(LOBBY, dismiss=True))
    left = sandbox.memory.events()[-1]
    assert isinstance(left, ev.MemberLeft)
    assert (left.user.id, left.operator) == (BOT, BOT)
    assert (await get(lobby, "state"))["groups"] == []
    with pytest.raises(NotFound):
        await connector.get_group(act.GetGroup(LOBBY))
    with pytest.raises(NotFound):
        await connector.leave_group(act.LeaveGroup(LOBBY, dismiss=True))


async def test_who_is_kicked_for_good(connector: Connector, lobby: Client) -> None:
    await promote(lobby, "admin")
    await connector.kick_member(act.KickMember(LOBBY, BOB, reject_future=True))
    assert (await group_now(lobby))["refused"] == ["bob"]
    body = {"user": "bob", "message": "x", "group": "lobby"}
    assert "for good" in (await post(lobby, "messages", body, 403))["error"]
    asked = {"group": "lobby", "user": "bob", "kind": "add"}
    await happen(lobby, "group_requested", 403, **asked)
    await happen(lobby, "member_joined", group="lobby", user="bob", operator="alice")
    await post(lobby, "messages", body)


async def test_a_title_for_a_while(sandbox: Sandbox, connector: Connector, lobby: Client) -> None:
    await promote(lobby, "owner")
    await connector.set_title(act.SetTitle(LOBBY, BOB, "Sir", 60))
    member = act.GetMember(LOBBY, BOB)
    there = (await connector.get_member(member)).membership
    assert (there.title, there.title_expires_at_s) == ("Sir", int(sandbox.clock.now_s) + 60)
    sandbox.clock.now_s += 60
    assert (await connector.get_member(member)).membership.title == ""
    with pytest.raises(BadParams):
        await connector.set_title(act.SetTitle(LOBBY, BOB, "Sir", 0))


async def test_whose_card_the_bot_may_change(connector: Connector, lobby: Client) -> None:
    await promote(lobby, "admin")
    members = await connector.get_members(act.GetMembers(LOBBY))
    changeable = {m.user.id: m.membership.card_changeable for m in members}
    assert changeable == {BOT: True, ALICE: False, BOB: True}


async def test_pins(sandbox: Sandbox, connector: Connector, lobby: Client) -> None:
    message = MessageId(await say(lobby, "bob", "remember", group="lobby"))
    with pytest.raises(Forbidden, match="not admin"):
        await connector.pin_message(act.PinMessage(CHAT, message))
    await promote(lobby, "admin")
    for pinned in (True, False):
        await connector.pin_message(act.PinMessage(CHAT, message, pinned))
        event = sandbox.memory.events()[-1]
        assert isinstance(event, ev.MessagePinned)
        assert (event.sender, event.operator, event.pinned) == (BOB, BOT, pinned)
        assert (await listed(lobby, group="lobby"))[-1]["pinned"] is pinned
    with pytest.raises(NotFound):
        await connector.pin_message(act.PinMessage(CHAT, MessageId("m0")))
    of_alice = MessageId(await say(lobby, "alice", "mine"))
    await connector.pin_message(act.PinMessage(private_chat(ALICE), of_alice))


async def test_honors(sandbox: Sandbox, connector: Connector, lobby: Client) -> None:
    for user in ("alice", "bob"):
        await happen(lobby, "honor_changed", group="lobby", user=user, honor="talkative")
    await happen(lobby, "honor_changed", group="lobby", user="demo", honor="emotion")
    sandbox.clock.now_s += 2 * 24 * 3600
    honors = await connector.get_honors(act.GetHonors(LOBBY, "all"))
    held = {kind: [h.user.id for h in holders] for kind, holders in honors.holders.items()}
    assert held == {
        "talkative": [BOB, ALICE],
        "performer": [],
        "legend": [],
        "strong_newbie": [],
        "emotion": [BOT],
    }
    assert honors.current_talkative
    assert (honors.current_talkative.user.id, honors.current_talkative.days) == (BOB, 3)
    only = await connector.get_honors(act.GetHonors(LOBBY, "emotion"))
    assert (set(only.holders), only.current_talkative) == ({"emotion"}, None)
