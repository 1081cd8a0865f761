"""The account's menu: what the configuration may say, and whether the platform has it. Pure.

Source: https://developers.weixin.qq.com/doc/service/en/api/custommenu/api_createcustommenu.html
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct, to_builtins

MAX_BUTTONS = 3
MAX_SUB_BUTTONS = 5
MAX_NAME_BYTES = 16
MAX_SUB_NAME_BYTES = 60
MAX_KEY_BYTES = 128
MAX_URL_BYTES = 1024

_URL = re.compile(r"https?://\S+")
_LIMITS: Mapping[str, int] = {"key": MAX_KEY_BYTES, "url": MAX_URL_BYTES}
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "click": ("key",),
    "view": ("url",),
    "scancode_push": ("key",),
    "scancode_waitmsg": ("key",),
    "pic_sysphoto": ("key",),
    "pic_photo_or_album": ("key",),
    "pic_weixin": ("key",),
    "location_select": ("key",),
    "media_id": ("media_id",),
    "view_limited": ("media_id",),
    "article_id": ("article_id",),
    "article_view_limited": ("article_id",),
    "miniprogram": ("url", "appid", "pagepath"),
}
"""What each type of button must say."""


class SubButton(Struct, frozen=True, omit_defaults=True):
    """A button that does something, as the platform's page describes it."""

    name: str
    type: str = ""
    key: str = ""
    url: str = ""
    media_id: str = ""
    article_id: str = ""
    appid: str = ""
    pagepath: str = ""


class Button(SubButton, frozen=True):
    """A button of the bar: it does something, or opens the list of those in `sub_button`."""

    sub_button: tuple[SubButton, ...] = ()


Menu: TypeAlias = tuple[Button, ...]
"""One to three buttons; the platform calls the list `button`."""


def menu_body(menu: Menu) -> dict[str, Any]:
    """The body of `menu/create`."""
    return {"button": to_builtins(menu)}


def problems(menu: Menu) -> Iterable[str]:
    """What the platform would refuse, each naming the button by its place; no menu is fine."""
    if len(menu) > MAX_BUTTONS:
        yield f"must have at most {MAX_BUTTONS} buttons"
    for number, button in enumerate(menu, 1):
        where = f"button {number}"
        yield from _named(button, where, MAX_NAME_BYTES)
        if not button.sub_button:
            yield from _does(button, where)
            continue
        if button.type:
            yield f"{where} has sub_button, so it can have no type"
        if len(button.sub_button) > MAX_SUB_BUTTONS:
            yield f"{where} must have at most {MAX_SUB_BUTTONS} in its sub_button"
        for place, below in enumerate(button.sub_button, 1):
            yield from _named(below, f"{where}.{place}", MAX_SUB_NAME_BYTES)
            yield from _does(below, f"{where}.{place}")


def _named(button: SubButton, where: str, most: int) -> Iterable[str]:
    if not 0 < len(button.name.encode()) <= most:
        yield f"{where}: the name must have 1 to {most} bytes of UTF-8"


def _does(button: SubButton, where: str) -> Iterable[str]:
    """What is wrong with what a button does."""
    if button.type not in _NEEDS:
        yield f"{where}: type must be one of {', '.join(_NEEDS)}"
        return
    for name in _NEEDS[button.type]:
        value: str = getattr(button, name)
        if not value:
            yield f"{where}: {button.type} needs {name}"
        if len(value.encode()) > _LIMITS.get(name, MAX_URL_BYTES):
            yield f"{where}: {name} is longer than {_LIMITS.get(name, MAX_URL_BYTES)} bytes"
    if button.url and not _URL.fullmatch(button.url):
        yield f"{where}: url must begin with http:// or https://"
