"""What a WeChat account needs in its configuration."""

import base64
import binascii
import re
from collections.abc import Iterable

from msgspec import Struct

from connectors.wechat import menu as menus

AES_KEY_CHARS = 43

_BASE_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """`wechat.{account_id}`: the values of the platform's page "Basic configuration".

    `encoding_aes_key`: when set, the platform must be in safe (or compatible) mode; a message that
    is not encrypted is refused. `customer_service`: whether the account may use the
    customer-service API; without it only replies within `passive_window_s` of a message go out.
    The platform gives up after 5 s, so the window must be shorter. `menu`: the buttons of the
    account's menu, in the platform's own words; without any the menu is left alone.
    """

    app_id: str
    app_secret: str
    token: str
    encoding_aes_key: str = ""
    nickname: str = ""
    customer_service: bool = True
    passive_window_s: float = 4.5
    request_timeout_s: float = 10
    api_base: str = "https://api.weixin.qq.com"
    menu: menus.Menu = ()

    def problems(self, *, exposed: bool) -> Iterable[tuple[str, str]]:  # noqa: ARG002
        """What is wrong beyond types: key and text. A bind beyond loopback changes nothing here."""
        for key in ("app_id", "app_secret", "token"):
            if not getattr(self, key).strip():
                yield key, "is empty; copy it from the platform's page 'Basic configuration'"
        if self.encoding_aes_key and aes_key(self.encoding_aes_key) is None:
            yield "encoding_aes_key", f"must be the {AES_KEY_CHARS} characters A-Z a-z 0-9"
        if not 0 < self.passive_window_s < 5:
            yield "passive_window_s", "must lie between 0 and 5: the platform waits 5 s"
        if self.request_timeout_s <= 0:
            yield "request_timeout_s", "must be more than 0"
        if not _BASE_URL.fullmatch(self.api_base):
            yield "api_base", "must be https://host (or http://host), without a query"
        for text in menus.problems(self.menu):
            yield "menu", text


def aes_key(encoding_aes_key: str) -> bytes | None:
    """EncodingAESKey → the 32 bytes of the key; None when it is none.

    Source: https://developers.weixin.qq.com/doc/service/guide/dev/push/encryption.html
    """
    if len(encoding_aes_key) != AES_KEY_CHARS:
        return None
    try:
        return base64.b64decode(encoding_aes_key + "=", validate=True)
    except (binascii.Error, ValueError):
        return None
