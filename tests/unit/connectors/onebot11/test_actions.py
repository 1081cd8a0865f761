"""Every action: what the upstream is asked, and what is made of its answer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes.onebot11_upstream import SELF, Failed, FakeUpstream, upstream
from tests.unit.connectors.onebot11.running import At, running

from connectors.onebot11 import Connector
from onebus import action as act
from onebus.action import action_name
from onebus.connector import capabilities
from onebus.errors import BadParams, NotFound, PlatformUnavailable, UnsupportedAction
from onebus.event import Chat, Membership, MessageSent, User, group_chat, private_chat
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import File, Forward, Image, Node, Text

GROUP, ANN, SAID = ChatId("30003"), UserId("20002"), MessageId("-12")
HALL, PRIVATE = group_chat(GROUP), private_chat(ANN)
HERE = {"group_id": 30003}
WHO = {"group_id": 30003, "user_id": 20002}


@pytest.fixture
async def there() -> AsyncIterator[FakeUpstream]:
    async with upstream() as made:
        yield made


@pytest.fixture
async def at(there: FakeUpstream) -> AsyncIterator[At]:
    async with running(url=f"ws://{there.base}") as made:
        yield made


DONE: list[tuple[act.Action[None], str, dict[str, Any]]] = [
    (act.RecallMessage(HALL, SAID), "delete_msg", {"message_id": -12}),
    (act.MarkRead(HALL, SAID), "mark_msg_as_read", {"message_id": -12}),
    (act.MarkRead(PRIVATE), "mark_msg_as_read", {"user_id": 20002}),
    (
        act.React(HALL, SAID, "76"),
        "set_msg_emoji_like",
        {"message_id": -12, "emoji_id": "76", "set": True},
    ),
    (act.PinMessage(HALL, SAID), "set_essence_msg", {"message_id": -12}),
    (act.PinMessage(HALL, SAID, False), "delete_essence_msg", {"message_id": -12}),
    (act.PokeUser(HALL, ANN), "group_poke", WHO),
    (act.PokeUser(PRIVATE, ANN), "friend_poke", {"user_id": 20002, "target_id": 20002}),
    (act.KickMember(GROUP, ANN, True), "set_group_kick", {**WHO, "reject_add_request": True}),
    (act.MuteMember(GROUP, ANN, 60), "set_group_ban", {**WHO, "duration": 60}),
    (
        act.MuteMember(GROUP, None, 60, "flag"),
        "set_group_anonymous_ban",
        {**HERE, "flag": "flag", "anonymous_flag": "flag", "duration": 60},
    ),
    (act.MuteGroup(GROUP, True), "set_group_whole_ban", {**HERE, "enable": True}),
    (act.SetRole(GROUP, ANN, "admin"), "set_group_admin", {**WHO, "enable": True}),
    (act.SetRole(GROUP, ANN, "member"), "set_group_admin", {**WHO, "enable": False}),
    (act.SetAnonymous(GROUP, False), "set_group_anonymous", {**HERE, "enable": False}),
    (act.SetCard(GROUP, ANN, "x"), "set_group_card", {**WHO, "card": "x"}),
    (
        act.SetTitle(GROUP, ANN, "Sir"),
        "set_group_special_title",
        {**WHO, "special_title": "Sir", "duration": -1},
    ),
    (act.RenameGroup(GROUP, "Hall"), "set_group_name", {**HERE, "group_name": "Hall"}),
    (act.LeaveGroup(GROUP, True), "set_group_leave", {**HERE, "is_dismiss": True}),
    (
        act.AnswerFriendRequest("f", True, "pal"),
        "set_friend_add_request",
        {"flag": "f", "approve": True, "remark": "pal"},
    ),
    (
        act.AnswerGroupRequest("f", False, "full", "invite"),
        "set_group_add_request",
        {"flag": "f", "sub_type": "invite", "type": "invite", "approve": False, "reason": "full"},
    ),
    (act.SetRemark(ANN, "pal"), "set_friend_remark", {"user_id": 20002, "remark": "pal"}),
    (act.LikeUser(ANN, 3), "send_like", {"user_id": 20002, "times": 3}),
    (act.Restart(100), "set_restart", {"delay": 100}),
    (act.ClearCache(), "clean_cache", {}),
]

_ANN = {"user_id": 20002, "nickname": "Ann", "sex": "female", "age": 18}
_MEMBER = {**_ANN, **HERE, "card": "c", "level": 5, "role": "admin", "title": "Sir"}
_MEMBER |= {"join_time": 1, "last_sent_time": 2, "card_changeable": True, "shut_up_timestamp": 9}
_USER = User(ANN, "Ann", "female", 18)
_THERE = Membership("admin", "c", "Sir", "5", "", 1, 2, 0, 9, True)
_NODE = {"type": "node", "data": {"user_id": "20002", "nickname": "Ann", "content": "x"}}
_WRITTEN = Node(user=ANN, name="Ann", content=(Text("x"),))
_HOLDER = {"user_id": "20002", "nickname": "Ann", "avatar": "a", "description": "d"}
_HONOR = act.HonorHolder(User(ANN, "Ann"), "a", "d")

_FILE = {"file": "/root/a", "url": "https://example.test/a", "file_name": "b", "file_size": "3"}
_KINDS: list[tuple[Any, str, str, dict[str, str]]] = [
    ("image", "", "get_image", {}),
    ("voice", "", "get_record", {}),
    ("voice", "mp3", "get_record", {"out_format": "mp3"}),
    ("video", "", "get_file", {"file_id": "a"}),
    ("file", "", "get_file", {"file_id": "a"}),
]

READ: list[tuple[act.Action[Any], str, dict[str, Any], Any, Any]] = [
    (
        act.GetMessage(HALL, SAID),
        "get_msg",
        {"message_id": -12},
        {"message_id": -12, "time": 5, "sender": _ANN, "message": "x"},
        act.HistoryMessage(SAID, _USER, 5000, (Text("x"),)),
    ),
    *(
        (act.GetForward("f"), "get_forward_msg", {"id": "f", "message_id": "f"}, data, (node,))
        for data, node in (
            ({"message": [_NODE]}, _WRITTEN),
            (
                {"messages": [{"sender": _ANN, "time": 5, "content": "x"}]},
                Node(user=ANN, name="Ann", time_s=5, content=(Text("x"),)),
            ),
            (
                {"messages": [{"user_id": 20002, "sender": _ANN, "message": "x"}]},
                _WRITTEN,
            ),
            ({"message": [{"type": "node", "data": {"id": "7"}}]}, Node(MessageId("7"))),
        )
    ),
    (
        act.GetUser(ANN, True),
        "get_stranger_info",
        {"user_id": 20002, "no_cache": True},
        _ANN,
        _USER,
    ),
    (act.GetFriends(), "get_friend_list", {}, [_ANN, "?"], (_USER,)),
    (act.GetFriends(), "get_friend_list", {}, None, ()),
    (
        act.GetGroup(GROUP),
        "get_group_info",
        {**HERE, "no_cache": False},
        {"group_id": "30003", "group_name": "Hall", "member_count": 2, "max_member_count": 200},
        act.Group(GROUP, "Hall", 2, 200),
    ),
    (
        act.GetGroups(),
        "get_group_list",
        {},
        [{**HERE, "group_name": "Hall"}],
        (act.Group(GROUP, "Hall"),),
    ),
    (
        act.GetMember(GROUP, ANN),
        "get_group_member_info",
        {**WHO, "no_cache": False},
        _MEMBER,
        act.Member(_USER, _THERE),
    ),
    (
        act.GetMembers(GROUP),
        "get_group_member_list",
        HERE,
        [_MEMBER],
        (act.Member(_USER, _THERE),),
    ),
    (
        act.GetHonors(GROUP, "all"),
        "get_group_honor_info",
        {**HERE, "type": "all"},
        {"current_talkative": {**_HOLDER, "day_count": 3}, "emotion_list": [_HOLDER, {}]},
        act.Honors({"emotion": (_HONOR,)}, act.HonorHolder(User(ANN, "Ann"), "a", "d", 3)),
    ),
    *(
        (
            act.GetCredentials("qun.qq.com"),
            "get_credentials",
            {"domain": "qun.qq.com"},
            {"cookies": "c", name: "7"},
            act.Credentials("c", 7),
        )
        for name in ("csrf_token", "token")
    ),
    *(
        (
            act.GetMedia(kind, "a", form),
            name,
            {"file": "a", **params},
            _FILE,
            act.MediaFile("a", "https://example.test/a", name="b", size_bytes=3),
        )
        for kind, form, name, params in _KINDS
    ),
]


@pytest.mark.parametrize(("action", "name", "params"), DONE, ids=lambda value: str(value)[:24])
async def test_what_it_does(
    at: At, there: FakeUpstream, action: act.Action[None], name: str, params: dict[str, Any]
) -> None:
    there.answers[name] = None
    assert await getattr(at.connector, action_name(action))(action) is None
    assert there.called[-1] == (name, params)


@pytest.mark.parametrize(
    ("action", "name", "params", "answer", "expect"), READ, ids=lambda value: str(value)[:24]
)
async def test_what_it_reads(
    at: At,
    there: FakeUpstream,
    action: act.Action[Any],
    name: str,
    params: dict[str, Any],
    answer: Any,
    expect: Any,
) -> None:
    there.answers[name] = answer
    assert await getattr(at.connector, action_name(action))(action) == expect
    assert there.called[-1] == (name, params)


def test_every_action_is_tried() -> None:
    rows: list[Any] = [*DONE, *READ]
    tried = {action_name(row[0]) for row in rows} | {"send_message", "call_native"}
    assert tried == {name for name in capabilities(Connector) if ":" not in name}
    assert capabilities(Connector)[-1] == "speaks:onebot.v11"


async def test_what_it_sends_is_logged(at: At, there: FakeUpstream) -> None:
    sent = await at.connector.send_message(act.SendMessage(HALL, (Text("hi"),)))
    assert sent == act.Sent(MessageId("901"), 1)
    (event,) = await at.events(1)
    assert isinstance(event, MessageSent)
    assert (event.chat, event.sender.id, event.segments) == (HALL, str(SELF), (Text("hi"),))
    assert there.called[-1][1]["group_id"] == 30003


async def test_its_echo_is_the_same_entry(at: At, there: FakeUpstream) -> None:
    """NapCat with `reportSelfMessage` tells it, before or after it answers."""
    echo = {"post_type": "message_sent", "message_type": "group", "sub_type": "normal"}
    await there.emit(**echo, **HERE, user_id=SELF, message_id=901, message="hi", sender={})
    await at.events(1)
    sent = await at.connector.send_message(act.SendMessage(HALL, (Text("hi"),)))
    assert sent == act.Sent(MessageId("901"), 1)
    assert len(at.kit.memory.events()) == 1


@pytest.mark.parametrize("chat", [HALL, PRIVATE], ids=["group", "private"])
async def test_a_forward_is_an_action_of_its_own(at: At, there: FakeUpstream, chat: Chat) -> None:
    name = f"send_{chat.kind}_forward_msg"
    there.answers[name] = {"message_id": 7, "res_id": "res"}
    nodes = (Node(message=SAID), _WRITTEN)
    sent = await at.connector.send_message(act.SendMessage(chat, (Forward(nodes=nodes),)))
    assert sent.message == "7"
    assert [node["type"] for node in there.called[-1][1]["messages"]] == ["node", "node"]
    (event,) = await at.events(1)
    assert isinstance(event, MessageSent)
    assert event.segments == (Forward("res", nodes),)


async def test_who_lacks_that_action_has_the_standard_s(at: At, there: FakeUpstream) -> None:
    nodes = (_WRITTEN,)
    await at.connector.send_message(act.SendMessage(HALL, (Forward(nodes=nodes),)))
    assert [name for name, _ in there.called[-2:]] == ["send_group_forward_msg", "send_group_msg"]
    assert there.called[-1][1]["message"][0]["type"] == "node"


async def test_lagrange_reacts_by_another_name(there: FakeUpstream) -> None:
    there.answers["get_version_info"] = {"app_name": "Lagrange.OneBot", "app_version": "0.1"}
    there.answers["set_group_reaction"] = None
    async with running(url=f"ws://{there.base}") as at:
        await at.connector.react(act.React(HALL, SAID, "76", False))
    params = {**HERE, "message_id": -12, "code": "76", "is_add": False}
    assert there.called[-1] == ("set_group_reaction", params)


async def test_all_parts_are_taken_back(at: At, there: FakeUpstream) -> None:
    await at.connector.recall_message(act.RecallMessage(HALL, SAID, (SAID, MessageId("13"))))
    assert await there.calls("delete_msg", 2) == [{"message_id": -12}, {"message_id": 13}]


async def test_what_cannot_be_asked_is_not_asked(at: At, there: FakeUpstream) -> None:
    before = len(there.called)
    for action in (
        act.SendMessage(private_chat(UserId("alice")), (Text("x"),)),
        act.SendMessage(private_chat(UserId("1" * 19)), (Text("x"),)),
    ):
        with pytest.raises(BadParams):
            await at.connector.send_message(action)
    with pytest.raises(UnsupportedAction, match="another owner"):
        await at.connector.set_role(act.SetRole(GROUP, ANN, "owner"))
    assert len(there.called) == before


async def test_an_answer_that_makes_no_sense_is_said(at: At, there: FakeUpstream) -> None:
    there.answers["get_msg"] = {}
    with pytest.raises(PlatformUnavailable, match="makes no sense"):
        await at.connector.get_message(act.GetMessage(HALL, SAID))


async def test_a_version_that_is_not_told_is_no_obstacle(there: FakeUpstream) -> None:
    def fail(_: Any) -> Any:
        raise Failed(1404)

    there.answers["get_version_info"] = fail
    async with running(url=f"ws://{there.base}") as at:
        there.answers["set_msg_emoji_like"] = None
        await at.connector.react(act.React(HALL, SAID, "76"))


async def test_a_forward_among_others_is_a_message_of_its_own(at: At, there: FakeUpstream) -> None:
    there.answers["send_group_forward_msg"] = {"message_id": 950, "res_id": "res"}
    parts = (Text("a"), Forward(nodes=(_WRITTEN,)), Text("b"), Forward("known"))
    sent = await at.connector.send_message(act.SendMessage(HALL, parts))
    assert sent.message == "901"
    events = await at.events(3)
    ids = ("901", "950", "902")
    assert [(e.message, e.parts) for e in events] == [(one, ids) for one in ids]  # type: ignore[union-attr]
    assert there.called[-1][1]["message"][-1] == {"type": "forward", "data": {"id": "known"}}


async def one_chunk(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def test_files_of_the_store_go_as_base64_and_addresses_as_they_are(
    at: At, there: FakeUpstream
) -> None:
    stored = await at.kit.media.put(one_chunk(b"\x89PNG\r\n\x1a\n"), name="a.png")
    url = "https://example.test/b.png"
    nodes = (Node(user=ANN, content=(Image(stored.file),)),)
    segments = (Image(stored.file), Image(url), Image("c.jpg"))
    await at.connector.send_message(act.SendMessage(HALL, segments))
    files = [part["data"]["file"] for part in there.called[-1][1]["message"]]
    assert files == ["base64://iVBORw0KGgo=", url, "c.jpg"]
    (event,) = await at.events(1)
    assert event.segments == segments  # type: ignore[union-attr]
    there.answers["send_group_forward_msg"] = {"message_id": 950}
    await at.connector.send_message(act.SendMessage(HALL, (Forward(nodes=nodes),)))
    (node,) = there.called[-1][1]["messages"]
    assert node["data"]["content"][0]["data"]["file"] == "base64://iVBORw0KGgo="


async def test_a_file_that_is_gone_or_too_large_is_not_sent(at: At, there: FakeUpstream) -> None:
    before = len(there.called)
    with pytest.raises(NotFound):
        await at.connector.send_message(act.SendMessage(HALL, (Image("media:none"),)))
    assert len(there.called) == before
    assert set(Connector.media_limits.values()) == {16 << 20}


@pytest.mark.parametrize(
    ("app", "folder", "name"),
    [
        ("NapCat.Onebot", "", "send_group_msg"),
        ("NapCat.Onebot", "/f", "upload_group_file"),
        ("go-cqhttp", "", "upload_group_file"),
        ("Lagrange.OneBot", "", "upload_group_file"),
    ],
)
async def test_a_file_is_a_segment_or_an_upload(
    there: FakeUpstream, app: str, folder: str, name: str
) -> None:
    there.answers["get_version_info"] = {"app_name": app}
    there.answers["upload_group_file"] = None
    file = File("https://example.test/a.txt", name="a.txt", folder=folder)
    async with running(url=f"ws://{there.base}") as at:
        sent = await at.connector.send_message(act.SendMessage(HALL, (file,)))
    assert sent.sequence == 1
    (params,) = await there.calls(name)
    if name == "upload_group_file":
        assert (params["file"], params["name"]) == (file.file, "a.txt")
        assert params.get("folder", "") == folder
        assert sent.message.startswith("upload-")


async def test_bytes_that_the_upstream_gives_are_kept(at: At, there: FakeUpstream) -> None:
    there.answers["get_image"] = {
        "file": "/root/a.jpg",
        "base64": "aGVsbG9oZWxsbw==",
        "file_name": "a",
    }
    found = await at.connector.get_media(act.GetMedia("image", "a.jpg"))
    media = await at.kit.media.stored(found.file)
    assert await media.read(100) == b"hellohello"
    there.answers["get_image"] = {"file": "/root/a.jpg"}
    with pytest.raises(NotFound, match="own disk"):
        await at.connector.get_media(act.GetMedia("image", "a.jpg"))
    there.answers["get_image"] = {"base64": "!"}
    with pytest.raises(PlatformUnavailable, match="base64"):
        await at.connector.get_media(act.GetMedia("image", "a.jpg"))
