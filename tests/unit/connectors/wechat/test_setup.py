"""Configuration, opening an account, and what it can do."""

from typing import Any

import pytest
from tests.fakes.wechat_push import AES_KEY
from tests.unit.connectors.wechat.conftest import Replicas

from connectors.wechat import Config, Connector
from onebus.connector import capabilities
from onebus.errors import AuthFailed, Misconfigured, NotReady

TOKEN = "/cgi-bin/stable_token"


def test_capabilities() -> None:
    actions = ("send_message", "get_user", "get_friends", "set_remark", "get_media")
    shown = ("send:text", "send:link", "send:image", "send:voice", "send:video")
    limits = ("limit:image:10485760", "limit:voice:2097152", "limit:video:10485760")
    assert capabilities(Connector) == (*actions, *shown, *limits)


async def test_open_says_who_we_are(replicas: Replicas) -> None:
    info = await replicas.connector().open()
    assert (info.user.id, info.user.name, info.id_scope) == ("wxtestapp", "Shop", None)
    assert (await replicas.connector(nickname="").open()).user.name == "wxtestapp"


@pytest.mark.parametrize(
    ("errcode", "errmsg", "says"),
    [
        (40013, "invalid appid", "app_id is wrong"),
        (40125, "invalid appsecret", "app_secret is wrong"),
        (40164, "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7", "add 203.0.113.7 to"),
    ],
)
async def test_open_says_what_a_human_must_do(
    replicas: Replicas, errcode: int, errmsg: str, says: str
) -> None:
    replicas.api.answer_next(TOKEN, errcode, errmsg)
    with pytest.raises(AuthFailed, match=says):
        await replicas.connector().open()


async def test_open_with_a_wrong_secret(replicas: Replicas) -> None:
    with pytest.raises(AuthFailed, match="app_secret is wrong") as caught:
        await replicas.connector(app_secret="wrong-canary").open()
    assert "wrong-canary" not in str(caught.value)


@pytest.mark.parametrize("script", [-1, 45009, 502, 404, 200])
async def test_open_tries_again_when_the_platform_is_away(replicas: Replicas, script: int) -> None:
    replicas.api.answer_next(TOKEN, script)
    with pytest.raises(NotReady):
        await replicas.connector().open()


async def test_open_without_a_network(replicas: Replicas) -> None:
    with pytest.raises(NotReady, match="no connection"):
        await replicas.connector(api_base="http://127.0.0.1:1").open()


async def test_open_without_nats(replicas: Replicas) -> None:
    replicas.memory.bus.available = False
    with pytest.raises(NotReady, match="switched off"):
        await replicas.connector().open()


async def test_open_with_an_answer_that_says_nothing(replicas: Replicas) -> None:
    replicas.api.answer_next(TOKEN, 0)
    with pytest.raises(NotReady, match="neither a token nor an error"):
        await replicas.connector().open()


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"token": ""}, "token"),
        ({"token": " "}, "token"),
        ({"app_id": ""}, "app_id"),
        ({"app_secret": ""}, "app_secret"),
        ({"encoding_aes_key": "short"}, "encoding_aes_key"),
        ({"passive_window_s": 5.0}, "passive_window_s"),
        ({"passive_window_s": 0}, "passive_window_s"),
        ({"request_timeout_s": 0}, "request_timeout_s"),
        ({"api_base": "api.weixin.qq.com"}, "api_base"),
        ({"api_base": "https:///path"}, "api_base"),
        ({"api_base": "https://user:secret@api.weixin.qq.com"}, "api_base"),
        ({"api_base": "https://api.weixin.qq.com?x=1"}, "api_base"),
    ],
)
async def test_s12_a_bad_configuration_is_refused(
    replicas: Replicas, changed: dict[str, Any], key: str
) -> None:
    config: Config = replicas.config(**changed)
    assert [found for found, _ in config.problems(exposed=True)] == [key]
    with pytest.raises(Misconfigured, match=rf"wechat\.my_mp: {key} "):
        replicas.connector(**changed)


def test_a_good_configuration_has_no_problems() -> None:
    config = Config("wx1", "secret", "token", encoding_aes_key=AES_KEY)
    assert list(config.problems(exposed=True)) == []
