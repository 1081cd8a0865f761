"""The actions that bots call."""

from typing import get_args

import pytest

from connectors.sandbox import Connector
from onebus import action as act
from onebus import event as ev
from onebus import segment as seg
from onebus.action import action_name
from onebus.connector import capabilities
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.event import Membership, Role, group_chat, private_chat
from onebus.ids import ChatId, MessageId, UserId

from .conftest import BASE, Client, Sandbox

LOBBY, ALICE, BOB, BOT = ChatId("lobby"), UserId("alice"), UserId("bob"), UserId("demo")
HELLO = (seg.Text("hello"),)


@pytest.fixture
async def lobby(client: Client) -> Client:
    """A group of which alice is the owner and bob a member."""
    for user in (ALICE, BOB):
        body = {"user": user, "message": "x", "group": LOBBY}
        async with client.post(f"{BASE}/api/messages", json=body) as response:
            assert response.status == 200
    return client


async def promote(client: Client, role: Role) -> None:
    where = f"{BASE}/api/groups/{LOBBY}/members"
    async with client.post(where, json={"user": BOT, "role": role}) as response:
        assert response.status == 200


def test_what_it_can_do() -> None:
    """Every action and segment of the model; a new one has to be built here too."""
    can = capabilities(Connector)
    assert set(can) == {
        *(action_name(kind) for kind in act.ACTIONS if kind is not act.CallNative),
        *(f"send:{kind.__struct_config__.tag}" for kind in get_args(seg.Segment)),
    }


async def test_who_it_is(connector: Connector) -> None:
    info = await connector.open()
    assert (info.user, info.id_scope) == (ev.User(BOT, "Sandbox bot"), None)


async def test_sending_is_logged_and_numbered(sandbox: Sandbox, connector: Connector) -> None:
    sent = await connector.send_message(act.SendMessage(private_chat(ALICE), HELLO))
    (stored,) = sandbox.memory.stored()
    assert isinstance(stored.event, ev.MessageSent)
    assert (stored.event.message, stored.sequence) == (sent.message, sent.sequence)
    assert (stored.event.sender.id, stored.event.chat) == (BOT, private_chat(ALICE))


async def test_what_the_bot_names_comes_into_being(connector: Connector) -> None:
    await connector.send_message(act.SendMessage(private_chat(ALICE), HELLO))
    await connector.send_message(act.SendMessage(group_chat(LOBBY), HELLO))
    assert (await connector.get_user(act.GetUser(ALICE))).name == "alice"
    assert await connector.get_friends(act.GetFriends()) == ()
    assert await connector.get_groups(act.GetGroups()) == (act.Group(LOBBY, "lobby", 1, 1000),)


async def test_the_first_person_owns_what_the_bot_made(
    connector: Connector, client: Client
) -> None:
    await connector.send_message(act.SendMessage(group_chat(LOBBY), HELLO))
    await client.post(f"{BASE}/api/messages", json={"user": ALICE, "message": "x", "group": LOBBY})
    members = await connector.get_members(act.GetMembers(LOBBY))
    assert [(m.user.id, m.membership.role) for m in members] == [(BOT, "member"), (ALICE, "owner")]


@pytest.mark.parametrize(
    ("chat", "segments"),
    [
        (private_chat(ALICE), ()),
        (private_chat(BOT), HELLO),
        (private_chat(UserId("a\nb")), HELLO),
        (group_chat(ChatId("")), HELLO),
        (private_chat(ALICE), (seg.Image("base64://AA"),)),
    ],
)
async def test_what_cannot_be_sent(
    sandbox: Sandbox, connector: Connector, chat: ev.Chat, segments: seg.Segments
) -> None:
    with pytest.raises(BadParams):
        await connector.send_message(act.SendMessage(chat, segments))
    assert sandbox.memory.events() == []


async def test_the_bot_takes_back_its_own(sandbox: Sandbox, connector: Connector) -> None:
    chat = private_chat(ALICE)
    sent = await connector.send_message(act.SendMessage(chat, HELLO))
    for _ in range(2):
        await connector.recall_message(act.RecallMessage(chat, sent.message))
    _, recalled = sandbox.memory.events()
    assert isinstance(recalled, ev.MessageRecalled)
    assert (recalled.message, recalled.operator) == (sent.message, BOT)


async def test_the_bot_takes_back_others_only_as_admin(
    sandbox: Sandbox, connector: Connector, lobby: Client
) -> None:
    of_bob = sandbox.memory.events()[1]
    assert isinstance(of_bob, ev.MessageReceived)
    wanted = act.RecallMessage(group_chat(LOBBY), of_bob.message)
    with pytest.raises(Forbidden):
        await connector.recall_message(wanted)
    await promote(lobby, "admin")
    await connector.recall_message(wanted)
    with pytest.raises(NotFound):
        await connector.recall_message(act.RecallMessage(group_chat(LOBBY), MessageId("m0")))


async def test_reading_about_people(connector: Connector, lobby: Client) -> None:
    assert (await connector.get_user(act.GetUser(ALICE))).name == "alice"
    member = await connector.get_member(act.GetMember(LOBBY, BOT))
    assert (member.user.name, member.membership.role) == ("Sandbox bot", "member")
    assert (await connector.get_group(act.GetGroup(LOBBY))).members == 3


async def test_what_is_not_there(connector: Connector, lobby: Client) -> None:
    nobody, nowhere = UserId("nobody"), ChatId("nowhere")
    for call in (
        connector.get_user(act.GetUser(nobody)),
        connector.get_group(act.GetGroup(nowhere)),
        connector.get_members(act.GetMembers(nowhere)),
        connector.get_member(act.GetMember(LOBBY, nobody)),
        connector.kick_member(act.KickMember(LOBBY, nobody)),
        connector.rename_group(act.RenameGroup(nowhere, "x")),
    ):
        with pytest.raises(NotFound):
            await call


async def test_a_plain_member_changes_nobody(
    sandbox: Sandbox, connector: Connector, lobby: Client
) -> None:
    before = sandbox.memory.events()
    for call in (
        connector.kick_member(act.KickMember(LOBBY, BOB)),
        connector.mute_member(act.MuteMember(LOBBY, BOB, 60)),
        connector.set_card(act.SetCard(LOBBY, BOB, "B")),
        connector.set_role(act.SetRole(LOBBY, BOB, "admin")),
        connector.set_title(act.SetTitle(LOBBY, BOB, "Sir")),
        connector.rename_group(act.RenameGroup(LOBBY, "Hall")),
    ):
        with pytest.raises(Forbidden):
            await call
    assert sandbox.memory.events() == before


async def member(connector: Connector, user: UserId) -> Membership:
    return (await connector.get_member(act.GetMember(LOBBY, user))).membership


async def test_an_admin_acts_on_members(
    sandbox: Sandbox, connector: Connector, lobby: Client
) -> None:
    await promote(lobby, "admin")
    with pytest.raises(Forbidden):
        await connector.kick_member(act.KickMember(LOBBY, ALICE))
    await connector.mute_member(act.MuteMember(LOBBY, BOB, 60))
    muted = sandbox.memory.events()[-1]
    assert isinstance(muted, ev.MemberMuted)
    assert (muted.user, muted.operator, muted.duration_s) == (BOB, BOT, 60)
    await connector.mute_member(act.MuteMember(LOBBY, BOB, 0))
    lifted = sandbox.memory.events()[-1]
    assert isinstance(lifted, ev.MemberMuted)
    assert lifted.duration_s == 0
    await connector.set_card(act.SetCard(LOBBY, BOB, "Bobby"))
    assert (await member(connector, BOB)).card == "Bobby"
    await connector.rename_group(act.RenameGroup(LOBBY, "Hall"))
    assert (await connector.get_group(act.GetGroup(LOBBY))).name == "Hall"
    await connector.kick_member(act.KickMember(LOBBY, BOB))
    kicked = sandbox.memory.events()[-1]
    assert isinstance(kicked, ev.MemberLeft)
    assert (kicked.user.id, kicked.operator) == (BOB, BOT)


async def test_an_owner_gives_roles_and_titles(
    sandbox: Sandbox, connector: Connector, lobby: Client
) -> None:
    await promote(lobby, "owner")
    assert (await member(connector, ALICE)).role == "admin"
    await connector.set_role(act.SetRole(LOBBY, BOB, "admin"))
    await connector.set_title(act.SetTitle(LOBBY, BOB, "Sir"))
    bob = await member(connector, BOB)
    assert (bob.role, bob.title, bob.card_changeable) == ("admin", "Sir", True)
    role, title = sandbox.memory.events()[-2:]
    assert isinstance(role, ev.RoleChanged)
    assert isinstance(title, ev.TitleChanged)
    with pytest.raises(Forbidden):
        await connector.set_role(act.SetRole(LOBBY, BOT, "member"))


async def test_the_bots_own_card(connector: Connector, lobby: Client) -> None:
    await connector.set_card(act.SetCard(LOBBY, BOT, "Butler"))
    assert (await member(connector, BOT)).card == "Butler"


@pytest.mark.parametrize("duration_s", [-1, 30 * 24 * 3600 + 1])
async def test_mutes_that_cannot_be(connector: Connector, lobby: Client, duration_s: int) -> None:
    with pytest.raises(BadParams):
        await connector.mute_member(act.MuteMember(LOBBY, BOB, duration_s))
