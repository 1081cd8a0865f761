"""wechatpy's client against our fake API: the fake is what an independent author expects."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.wechat_api import FakeWeChat
from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatClientException


class Client(WeChatClient):  # type: ignore[misc]
    """wechatpy's client with the fake's address in the two places where it has the real one's."""

    def __init__(self, fake: FakeWeChat, secret: str = "") -> None:
        self.API_BASE_URL = f"{fake.base}/cgi-bin/"
        super().__init__(fake.app_id, secret or fake.secret, timeout=5)

    def fetch_access_token(self) -> Any:
        query = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
        return self._fetch_access_token(url=f"{self.API_BASE_URL}token", params=query)


async def call(fake: FakeWeChat, use: Callable[[Client], Any], secret: str = "") -> Any:
    """Use the blocking client in a thread, and close its connections."""
    client = Client(fake, secret)
    try:
        return await asyncio.to_thread(use, client)
    finally:
        client._http.close()


async def test_wechatpy_sends_text_and_cards(api: FakeWeChat) -> None:
    openid = "o" * 28
    api.followers.follow(openid)
    article = {"title": "T", "description": "D", "url": "https://a.example", "image": "https://b"}
    await call(api, lambda client: client.message.send_text(openid, "你好"))
    await call(api, lambda client: client.message.send_articles(openid, [article]))
    text, card = api.sent
    assert text == {"touser": openid, "msgtype": "text", "text": {"content": "你好"}}
    assert card["news"]["articles"][0]["picurl"] == "https://b"


async def test_wechatpy_uploads_and_downloads(api: FakeWeChat, tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"\xff\xd8\xff picture")

    def use(client: Client) -> Any:
        with picture.open("rb") as file:
            media_id = client.media.upload("image", file)["media_id"]
        client.message.send_image("oUser", media_id)
        return client.media.download(media_id).content

    assert await call(api, use) == picture.read_bytes()
    assert api.sent[0]["msgtype"] == "image"


async def test_wechatpy_reads_users(api: FakeWeChat) -> None:
    api.page_size = 1
    api.followers.follow("oTwo", nickname="Two", sex=1)
    assert (await call(api, lambda client: client.user.get("oTwo")))["nickname"] == "Two"
    assert await call(api, lambda client: list(client.user.iter_followers())) == ["oUser", "oTwo"]
    batch = await call(api, lambda client: client.user.get_batch(["oUser", "oTwo"]))
    assert [user["openid"] for user in batch] == ["oUser", "oTwo"]


async def test_wechatpy_does_templates_menus_tags_and_remarks(api: FakeWeChat) -> None:
    api.templates["T1"] = {"thing1"}
    api.tags[2] = "星标组"
    menu = {
        "button": [{"name": "菜单", "sub_button": [{"type": "click", "name": "a", "key": "k"}]}]
    }

    def use(client: Client) -> Any:
        sent = client.message.send_template("oUser", "T1", {"thing1": {"value": "x"}})
        client.menu.create(menu)
        client.user.update_remark("oUser", "pal")
        return sent["msgid"], client.menu.get()["menu"]["button"], client.tag.get()

    msgid, (button,), (tag,) = await call(api, use)
    assert (msgid, tag["id"], tag["name"]) == (200228332, 2, "星标组")
    assert button["sub_button"] == [{"type": "click", "name": "a", "key": "k", "sub_button": []}]
    assert api.templated[0]["touser"] == "oUser"
    assert api.followers["oUser"]["remark"] == "pal"


async def test_wechatpy_renews_a_rejected_token(api: FakeWeChat) -> None:
    def twice(client: Client) -> Any:
        client.user.get("oUser")
        api.expire_tokens()
        return client.user.get("oUser")

    assert (await call(api, twice))["openid"] == "oUser"
    assert api.calls["/cgi-bin/token"] == 2


@pytest.mark.parametrize(
    ("errcode", "use", "secret"),
    [
        (40125, lambda client: client.user.get("oUser"), "wrong"),
        (40003, lambda client: client.user.get("nobody"), ""),
        (40003, lambda client: client.message.send_text("o" * 28, "x"), ""),
        (40032, lambda client: client.user.get_batch(["o"] * 101), ""),
        (43004, lambda client: client.message.send_template("nobody", "T1", {}), ""),
        (40037, lambda client: client.message.send_template("oUser", "T1", {}), ""),
        (40016, lambda client: client.menu.create({"button": []}), ""),
        (40018, lambda client: client.menu.create({"button": [{"name": "x" * 17}]}), ""),
    ],
)
async def test_wechatpy_understands_the_errors(
    api: FakeWeChat, errcode: int, use: Callable[[Client], Any], secret: str
) -> None:
    with pytest.raises(WeChatClientException) as caught:
        await call(api, use, secret)
    assert caught.value.errcode == errcode
