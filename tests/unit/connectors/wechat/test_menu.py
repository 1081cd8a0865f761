"""The menu that an account shall have, and the one that the platform has."""

import logging
from typing import Any

import msgspec
import pytest
from tests.unit.connectors.wechat.conftest import Replicas

from connectors.wechat.menu import Button
from onebus.errors import Misconfigured, NotReady

GET, CREATE = "/cgi-bin/menu/get", "/cgi-bin/menu/create"
BUTTONS: list[dict[str, Any]] = [
    {"name": "今日歌曲", "type": "click", "key": "SONG"},
    {
        "name": "菜单",
        "sub_button": [
            {"name": "搜索", "type": "view", "url": "https://a.example/?q=1&b=2"},
            {
                "name": "wxa",
                "type": "miniprogram",
                "url": "https://b.example",
                "appid": "wx286b93c14bbf93aa",
                "pagepath": "pages/lunar/index",
            },
        ],
    },
]


def menu(buttons: list[dict[str, Any]]) -> tuple[Button, ...]:
    return msgspec.convert(buttons, tuple[Button, ...])


async def test_without_the_key_the_menu_is_left_alone(replicas: Replicas) -> None:
    await replicas.connector().open()
    assert not replicas.api.calls[GET]
    assert not replicas.api.calls[CREATE]


async def test_the_menu_is_made_once(replicas: Replicas) -> None:
    """Replicas that open the account one after another do not write what is there."""
    for _ in range(3):
        await replicas.connector(menu=menu(BUTTONS)).open()
    assert replicas.api.menu == {"button": BUTTONS}
    assert (replicas.api.calls[GET], replicas.api.calls[CREATE]) == (3, 1)


async def test_another_menu_is_replaced(replicas: Replicas) -> None:
    for changed in (BUTTONS, BUTTONS[:1], [BUTTONS[0] | {"key": "OTHER"}]):
        await replicas.connector(menu=menu(changed)).open()
        assert replicas.api.menu == {"button": changed}
    assert replicas.api.calls[CREATE] == 3


@pytest.mark.parametrize("path", [GET, CREATE])
async def test_while_the_platform_is_away_the_account_is_not_ready(
    replicas: Replicas, path: str
) -> None:
    connector = replicas.connector(menu=menu(BUTTONS))
    replicas.api.answer_next(path, 502)
    with pytest.raises(NotReady, match="the menu could not be set"):
        await connector.open()
    await connector.open()
    assert replicas.api.menu == {"button": BUTTONS}


@pytest.mark.parametrize("path", [GET, CREATE])
@pytest.mark.parametrize("errcode", [48001, 45009, 40018])
async def test_an_account_that_may_have_no_menu_serves_all_the_same(
    replicas: Replicas, caplog: pytest.LogCaptureFixture, path: str, errcode: int
) -> None:
    replicas.api.answer_next(path, errcode)
    with caplog.at_level(logging.WARNING):
        await replicas.connector(menu=menu(BUTTONS)).open()
    (record,) = caplog.records
    assert "goes on without the configured menu" in record.getMessage()
    assert str(errcode) in record.getMessage()


def test_a_menu_that_the_platform_would_refuse_is_refused(replicas: Replicas) -> None:
    with pytest.raises(Misconfigured, match=r"wechat\.my_mp: menu button 1: click needs key"):
        replicas.connector(menu=menu([{"name": "a", "type": "click"}]))
