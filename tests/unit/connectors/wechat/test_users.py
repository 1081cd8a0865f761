import json
from collections.abc import Sequence

import pytest
from aiohttp import web
from tests.unit.connectors.wechat.conftest import Replicas

from connectors import wechat
from onebus.action import GetFriends, GetUser, SetRemark
from onebus.errors import BadParams, Forbidden, NotFound, PlatformUnavailable
from onebus.event import User
from onebus.ids import UserId

TAGS = "/cgi-bin/tags/get"


def names(users: Sequence[User]) -> list[tuple[str, str]]:
    return [(user.id, user.name) for user in users]


@pytest.mark.parametrize(
    ("described", "expect"),
    [
        ({"nickname": "Ann", "sex": 2, "remark": "r"}, ("Ann", "female", "r")),
        ({"nickname": "Bob", "sex": 1}, ("Bob", "male", "")),
        (
            {"remark": "the one with the hat"},
            ("the one with the hat", "unknown", "the one with the hat"),
        ),
        ({}, ("oUser", "unknown", "")),
    ],
)
async def test_get_user(
    replicas: Replicas, described: dict[str, object], expect: tuple[str, str, str]
) -> None:
    replicas.api.followers.follow("oUser", **described)
    user = await replicas.connector().get_user(GetUser(UserId("oUser")))
    assert (user.id, (user.name, user.sex, user.remark)) == ("oUser", expect)


async def test_get_user_of_the_account_itself(replicas: Replicas) -> None:
    user = await replicas.connector().get_user(GetUser(UserId("wxtestapp")))
    assert user.name == "Shop"
    assert not replicas.api.calls


async def test_get_user_who_does_not_follow(replicas: Replicas) -> None:
    user = await replicas.connector().get_user(GetUser(UserId("oGone")))
    assert user == User(UserId("oGone"), "oGone")


async def test_get_user_with_an_id_of_no_kind(replicas: Replicas) -> None:
    with pytest.raises(NotFound):
        await replicas.connector().get_user(GetUser(UserId("12345")))


async def test_a_read_that_breaks_is_merely_unavailable(replicas: Replicas) -> None:
    replicas.api.answer_next("/cgi-bin/user/info", 502)
    with pytest.raises(PlatformUnavailable):
        await replicas.connector().get_user(GetUser(UserId("oUser")))


async def test_get_friends_reads_all_pages_and_names(replicas: Replicas) -> None:
    replicas.api.followers.clear()
    replicas.api.page_size = 100
    for number in range(250):
        replicas.api.followers.follow(f"o{number}", remark=f"name {number}")
    friends = await replicas.connector().get_friends(GetFriends())
    assert names(friends) == [(f"o{number}", f"name {number}") for number in range(250)]
    assert replicas.api.calls["/cgi-bin/user/info/batchget"] == 3


async def test_the_names_of_tags_are_asked_for_now_and_then(replicas: Replicas) -> None:
    api, now_s = replicas.api, 1_800_000_000.0
    replicas.clock = lambda: now_s
    api.tags |= {2: "星标组", 127: "Guangdong"}
    api.followers.follow("oUser", tagid_list=[127, 2, 9])
    api.followers.follow("oPlain")
    connector = replicas.connector()
    plain = await connector.get_user(GetUser(UserId("oPlain")))
    assert (plain.labels, api.calls[TAGS]) == ((), 0)
    for _ in range(2):
        user = await connector.get_user(GetUser(UserId("oUser")))
        assert user.labels == ("Guangdong", "星标组")  # nobody knows 9
    friends = {friend.id: friend.labels for friend in await connector.get_friends(GetFriends())}
    assert friends == {"oUser": ("Guangdong", "星标组"), "oPlain": ()}
    assert api.calls[TAGS] == 1
    api.tags[127] = "Guangdong people"
    now_s += 301
    user = await connector.get_user(GetUser(UserId("oUser")))
    assert (user.labels, api.calls[TAGS]) == (("Guangdong people", "星标组"), 2)


async def test_without_the_names_of_tags_a_follower_is_described_all_the_same(
    replicas: Replicas,
) -> None:
    replicas.api.tags[2] = "星标组"
    replicas.api.followers.follow("oUser", nickname="Ann", tagid_list=[2])
    replicas.api.answer_next(TAGS, 48001)
    connector = replicas.connector()
    for _ in range(2):
        assert (await connector.get_user(GetUser(UserId("oUser")))).name == "Ann"
    assert replicas.api.calls[TAGS] == 1


async def test_a_remark_is_noted_and_taken_away(replicas: Replicas) -> None:
    connector = replicas.connector()
    for remark in ("戴帽子的", "x" * 29, ""):
        await connector.set_remark(SetRemark(UserId("oUser"), remark))
        assert (await connector.get_user(GetUser(UserId("oUser")))).remark == remark


async def test_a_remark_that_is_too_long_or_of_nobody(replicas: Replicas) -> None:
    with pytest.raises(BadParams, match="less than 30"):
        await replicas.connector().set_remark(SetRemark(UserId("oUser"), "x" * 30))
    assert not replicas.api.calls
    with pytest.raises(NotFound):
        await replicas.connector().set_remark(SetRemark(UserId("oGone"), "x"))


async def test_get_friends_of_nobody(replicas: Replicas) -> None:
    replicas.api.followers.clear()
    assert await replicas.connector().get_friends(GetFriends()) == ()


async def test_a_long_list_is_named_as_far_as_it_goes(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wechat, "NAMED_FOLLOWERS", 100)
    for number in range(150):
        replicas.api.followers.follow(f"o{number}", nickname="named")
    friends = await replicas.connector().get_friends(GetFriends())
    assert len(friends) == 151
    assert sum(friend.name == "named" for friend in friends) == 99  # the first is oUser
    assert replicas.api.calls["/cgi-bin/user/info/batchget"] == 1


async def test_an_account_without_the_permission_says_so(replicas: Replicas) -> None:
    replicas.api.answer_next("/cgi-bin/user/get", 48001, "api unauthorized")
    with pytest.raises(Forbidden, match="48001"):
        await replicas.connector().get_friends(GetFriends())


async def test_names_with_controls_and_torn_utf8_are_read(replicas: Replicas) -> None:
    """The platform sends nicknames as they are, which no strict JSON reader takes."""

    async def info(_: web.Request) -> web.Response:
        body = json.dumps({"openid": "oUser", "nickname": "A#B~"}).encode()
        return web.Response(body=body.replace(b"#", b"\x01\n").replace(b"~", b"\xe4\xbd"))

    application = web.Application()
    application.router.add_get("/cgi-bin/user/info", info)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        connector = replicas.connector()
        await connector.open()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        user = await replicas.connector(api_base=base).get_user(GetUser(UserId("oUser")))
        assert user.name == "AB\ufffd"
    finally:
        await runner.cleanup()
