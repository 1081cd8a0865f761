"""Friends, likes and requests, as bots deal with them."""

import pytest

from connectors.sandbox import Connector
from onebus import action as act
from onebus import event as ev
from onebus.errors import BadParams, Forbidden, NotFound, RateLimited
from onebus.event import User, private_chat
from onebus.ids import ChatId, UserId

from .calls import get, group_now, happen, person_now, say
from .conftest import Client, Sandbox

ALICE, BOB, EVE, BOT = UserId("alice"), UserId("bob"), UserId("eve"), UserId("demo")
LOBBY = ChatId("lobby")


async def test_friends_are_who_wrote_privately(connector: Connector, client: Client) -> None:
    await say(client, "alice", "hi")
    await say(client, "bob", "hi", group="lobby")
    assert await connector.get_friends(act.GetFriends()) == (User(ALICE, "alice"),)
    await happen(client, "friend_removed", user="alice")
    assert await connector.get_friends(act.GetFriends()) == ()


async def asked(client: Client, kind: str, /, **body: str) -> str:
    return str((await happen(client, kind, **body))["flag"])


async def answers(client: Client) -> list[tuple[str | None, str, str]]:
    requests = (await get(client, "state"))["requests"]
    return [(r["answer"], r["remark"], r["reason"]) for r in requests]


async def test_a_friend_request_is_accepted(
    sandbox: Sandbox, connector: Connector, client: Client
) -> None:
    flag = await asked(client, "friend_requested", user="eve")
    for _ in range(2):
        await connector.answer_friend_request(act.AnswerFriendRequest(flag, True, "from school"))
    friend = User(EVE, "eve", remark="from school")
    assert await connector.get_friends(act.GetFriends()) == (friend,)
    _, added = sandbox.memory.events()
    assert isinstance(added, ev.FriendAdded)
    assert added.user == friend
    assert await answers(client) == [("approved", "from school", "")]
    assert (await person_now(client, "eve"))["remark"] == "from school"


async def test_a_friend_request_is_refused(
    sandbox: Sandbox, connector: Connector, client: Client
) -> None:
    flag = await asked(client, "friend_requested", user="eve")
    await connector.answer_friend_request(act.AnswerFriendRequest(flag, False))
    assert await connector.get_friends(act.GetFriends()) == ()
    assert await answers(client) == [("refused", "", "")]
    assert len(sandbox.memory.events()) == 1
    with pytest.raises(Forbidden, match="refused already"):
        await connector.answer_friend_request(act.AnswerFriendRequest(flag, True))


async def test_somebody_is_let_into_a_group(
    sandbox: Sandbox, connector: Connector, client: Client
) -> None:
    await say(client, "alice", "x", group="lobby")
    flag = await asked(client, "group_requested", user="eve", group="lobby", kind="add")
    with pytest.raises(BadParams, match="of the kind add, not invite"):
        await connector.answer_group_request(act.AnswerGroupRequest(flag, True, "", "invite"))
    for _ in range(2):
        await connector.answer_group_request(act.AnswerGroupRequest(flag, True))
    assert "eve" in (await group_now(client))["members"]
    assert len(sandbox.memory.events()) == 3
    joined = sandbox.memory.events()[-1]
    assert isinstance(joined, ev.MemberJoined)
    assert (joined.user.id, joined.operator, joined.how) == (EVE, BOT, "approve")
    assert await answers(client) == [("approved", "", "")]


async def test_somebody_is_not_let_into_a_group(
    sandbox: Sandbox, connector: Connector, client: Client
) -> None:
    await say(client, "alice", "x", group="lobby")
    flag = await asked(client, "group_requested", user="eve", group="lobby", kind="add")
    await connector.answer_group_request(act.AnswerGroupRequest(flag, False, "full"))
    assert "eve" not in (await group_now(client))["members"]
    assert len(sandbox.memory.events()) == 2
    assert await answers(client) == [("refused", "", "full")]


async def test_the_bot_follows_an_invitation(
    sandbox: Sandbox, connector: Connector, client: Client
) -> None:
    flag = await asked(client, "group_requested", user="eve", group="hall", kind="invite")
    assert await connector.get_groups(act.GetGroups()) == ()
    with pytest.raises(Forbidden, match="not in the group"):
        await connector.get_group(act.GetGroup(ChatId("hall")))
    await connector.answer_group_request(act.AnswerGroupRequest(flag, True, "", "invite"))
    joined = sandbox.memory.events()[-1]
    assert isinstance(joined, ev.MemberJoined)
    assert (joined.user.id, joined.operator, joined.how) == (BOT, EVE, "invite")
    (group,) = await connector.get_groups(act.GetGroups())
    assert (group.id, group.members) == ("hall", 2)


async def test_flags_that_nobody_gave(connector: Connector) -> None:
    with pytest.raises(NotFound):
        await connector.answer_friend_request(act.AnswerFriendRequest("f0", True))
    with pytest.raises(NotFound):
        await connector.answer_group_request(act.AnswerGroupRequest("f0", True))


async def test_a_remark(connector: Connector, client: Client) -> None:
    await say(client, "alice", "hi")
    await connector.set_remark(act.SetRemark(ALICE, "pal"))
    (friend,) = await connector.get_friends(act.GetFriends())
    assert (friend.id, friend.remark) == (ALICE, "pal")
    with pytest.raises(NotFound):
        await connector.set_remark(act.SetRemark(UserId("nobody"), "pal"))


async def test_likes_have_a_limit_a_day(
    sandbox: Sandbox, connector: Connector, client: Client
) -> None:
    await say(client, "alice", "hi")
    await connector.like_user(act.LikeUser(ALICE, 6))
    with pytest.raises(RateLimited) as limited:
        await connector.like_user(act.LikeUser(ALICE, 5))
    wait_s = limited.value.retry_after_s or 0
    assert 0 < wait_s <= 24 * 3600
    await connector.like_user(act.LikeUser(ALICE, 4))
    sandbox.clock.now_s += wait_s
    await connector.like_user(act.LikeUser(ALICE, 10))
    assert (await person_now(client, "alice"))["likes"] == 20


@pytest.mark.parametrize("times", [0, -1, 11])
async def test_likes_that_cannot_be(connector: Connector, client: Client, times: int) -> None:
    await say(client, "alice", "hi")
    with pytest.raises(BadParams):
        await connector.like_user(act.LikeUser(ALICE, times))
    with pytest.raises(NotFound):
        await connector.like_user(act.LikeUser(UserId("nobody")))


async def test_the_bot_pokes(sandbox: Sandbox, connector: Connector, client: Client) -> None:
    await say(client, "alice", "x", group="lobby")
    group = ev.group_chat(LOBBY)
    for chat in (group, private_chat(ALICE)):
        await connector.poke_user(act.PokeUser(chat, ALICE))
        poked = sandbox.memory.events()[-1]
        assert isinstance(poked, ev.Poked)
        assert (poked.chat.key, poked.user, poked.target) == (chat.key, BOT, ALICE)
    await say(client, "bob", "hi")
    with pytest.raises(NotFound, match="not in the group"):
        await connector.poke_user(act.PokeUser(group, BOB))
    with pytest.raises(BadParams):
        await connector.poke_user(act.PokeUser(private_chat(ALICE), BOB))
    with pytest.raises(NotFound):
        await connector.poke_user(act.PokeUser(private_chat(EVE), EVE))
