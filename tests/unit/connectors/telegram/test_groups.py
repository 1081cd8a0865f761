"""What a bot does in groups, and reads of them."""

import pytest
from tests.unit.connectors.telegram.conftest import ADMINED, ALICE, BOB, GROUP, Replicas

from onebus import action as act
from onebus.errors import BadParams, Forbidden, NotFound, UnsupportedAction
from onebus.ids import ChatId, UserId

COURT, TEA = ChatId(str(ADMINED)), ChatId(str(GROUP))
TOPIC = ChatId(f"{ADMINED}:3")
WHO = UserId(str(BOB))


async def test_kick_and_ban(replicas: Replicas) -> None:
    connector, world = replicas.connector(), replicas.api.world
    await connector.kick_member(act.KickMember(COURT, WHO))
    assert world.member(ADMINED, BOB)["status"] == "left"
    await connector.kick_member(act.KickMember(COURT, WHO, reject_future=True))
    assert world.member(ADMINED, BOB)["status"] == "kicked"
    with pytest.raises(Forbidden, match="not enough rights"):
        await connector.kick_member(act.KickMember(TEA, WHO))
    with pytest.raises(Forbidden, match="can't remove chat owner"):
        await connector.kick_member(act.KickMember(COURT, UserId(str(ALICE))))
    with pytest.raises(NotFound):
        await connector.kick_member(act.KickMember(COURT, UserId("4711")))


@pytest.mark.parametrize(("asked_s", "lasts_s"), [(3600, 3600), (1, 31), (10**9, 366 * 86400 - 60)])
async def test_a_mute_lasts_as_long_as_telegram_can(
    replicas: Replicas, asked_s: int, lasts_s: int
) -> None:
    connector, world = replicas.connector(), replicas.api.world
    await connector.mute_member(act.MuteMember(COURT, WHO, asked_s))
    muted = world.member(ADMINED, BOB)
    assert (muted["status"], muted["can_send_messages"]) == ("restricted", False)
    assert muted["until_date"] == int(replicas.now_s()) + lasts_s
    found = await connector.get_member(act.GetMember(COURT, WHO))
    assert found.membership.muted_until_s == muted["until_date"]
    await connector.mute_member(act.MuteMember(COURT, WHO, 0))
    assert world.member(ADMINED, BOB)["status"] == "member"
    with pytest.raises(UnsupportedAction):
        await connector.mute_member(act.MuteMember(COURT, None, 60, anonymous_flag="x"))


async def test_everybody_muted_and_a_topic_closed(replicas: Replicas) -> None:
    connector, world = replicas.connector(), replicas.api.world
    world.chats[ADMINED]["permissions"] = {"can_send_messages": True, "can_invite_users": True}
    await connector.mute_group(act.MuteGroup(COURT, muted=True))
    permissions = world.chats[ADMINED]["permissions"]
    assert (permissions["can_send_messages"], permissions["can_invite_users"]) == (False, True)
    await connector.mute_group(act.MuteGroup(COURT, muted=False))
    assert world.chats[ADMINED]["permissions"]["can_send_photos"]
    await connector.mute_group(act.MuteGroup(TOPIC, muted=True))
    await connector.mute_group(act.MuteGroup(TOPIC, muted=False))
    where = {"chat_id": ADMINED, "message_thread_id": 3}
    assert replicas.api.of("closeForumTopic") == replicas.api.of("reopenForumTopic") == [where]


async def test_an_admin_gets_the_rights_that_the_bot_has(replicas: Replicas) -> None:
    connector, world = replicas.connector(), replicas.api.world
    await connector.set_role(act.SetRole(COURT, WHO, "admin"))
    made = world.member(ADMINED, BOB)
    assert (made["status"], made["can_pin_messages"]) == ("administrator", True)
    assert not made["can_manage_video_chats"]
    found = await connector.get_member(act.GetMember(COURT, WHO))
    assert found.membership.role == "admin"
    await connector.set_title(act.SetTitle(COURT, WHO, "Hatter"))
    assert world.member(ADMINED, BOB)["custom_title"] == "Hatter"
    await connector.set_role(act.SetRole(COURT, WHO, "member"))
    assert world.member(ADMINED, BOB)["status"] == "member"
    await connector.set_title(act.SetTitle(COURT, WHO, "guest"))
    assert world.member(ADMINED, BOB)["tag"] == "guest"
    with pytest.raises(BadParams):
        await connector.set_title(act.SetTitle(COURT, WHO, "x" * 17))
    with pytest.raises(UnsupportedAction):
        await connector.set_role(act.SetRole(COURT, WHO, "owner"))


async def test_names(replicas: Replicas) -> None:
    connector, world = replicas.connector(), replicas.api.world
    await connector.rename_group(act.RenameGroup(COURT, "Trial"))
    assert world.chats[ADMINED]["title"] == "Trial"
    await connector.rename_group(act.RenameGroup(TOPIC, "Tarts"))
    assert replicas.api.of("editForumTopic")[0]["name"] == "Tarts"


async def test_what_is_read(replicas: Replicas) -> None:
    connector = replicas.connector()
    assert await connector.get_group(act.GetGroup(TEA)) == act.Group(TEA, "Tea party", 3, 200_000)
    alice = await connector.get_user(act.GetUser(UserId(str(ALICE))))
    assert alice.name == "Alice"
    owner = await connector.get_member(act.GetMember(TEA, UserId(str(ALICE))))
    assert owner.membership.role == "owner"
    myself = await connector.get_member(act.GetMember(TEA, UserId(str(replicas.api.world.bot))))
    assert myself.user.name == "Onebus"
    replicas.api.world.set_member(GROUP, BOB, "left")
    with pytest.raises(NotFound, match="not in this group"):
        await connector.get_member(act.GetMember(TEA, WHO))
    with pytest.raises(NotFound):
        await connector.get_user(act.GetUser(UserId("4711")))
    with pytest.raises(BadParams):
        await connector.get_user(act.GetUser(UserId("@alice")))


async def test_requests_to_join(replicas: Replicas) -> None:
    connector, world = replicas.connector(), replicas.api.world
    flag = f"{ADMINED}:{BOB}"
    world.set_member(ADMINED, BOB, "left")
    world.requests.add((ADMINED, BOB))
    await connector.answer_group_request(act.AnswerGroupRequest(flag, approve=True))
    assert world.member(ADMINED, BOB)["status"] == "member"
    world.requests.add((ADMINED, BOB))
    await connector.answer_group_request(act.AnswerGroupRequest(flag, approve=False))
    assert (ADMINED, BOB) not in world.requests
    with pytest.raises(NotFound):
        await connector.answer_group_request(act.AnswerGroupRequest(flag, approve=True))
    for wrong in ("", "x", "1:y", ":"):
        with pytest.raises(BadParams):
            await connector.answer_group_request(act.AnswerGroupRequest(wrong, approve=True))
    with pytest.raises(UnsupportedAction):
        await connector.answer_group_request(
            act.AnswerGroupRequest(flag, approve=True, kind="invite")
        )


async def test_leaving(replicas: Replicas) -> None:
    connector, world = replicas.connector(), replicas.api.world
    with pytest.raises(BadParams):
        await connector.leave_group(act.LeaveGroup(TOPIC))
    await connector.leave_group(act.LeaveGroup(TEA, dismiss=True))
    assert world.member(GROUP, world.bot)["status"] == "left"
