"""What the platform's API answers, and what its error codes mean. Pure.

Source: https://developers.weixin.qq.com/doc/offiaccount/Getting_Started/Global_Return_Code.html
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from connectors.wechat.menu import Menu
from onebus.errors import (
    ActionError,
    AuthFailed,
    BadParams,
    Forbidden,
    NotFound,
    NotReady,
    PlatformUnavailable,
    RateLimited,
    SetupError,
)
from onebus.event import Sex, User
from onebus.ids import UserId

NO_MENU = 46003
TOKEN_REJECTED = frozenset({40001, 40014, 42001})

_IP = re.compile(r"(?<![\w:.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_SEXES: dict[int, Sex] = {1: "male", 2: "female"}


class Answer(Struct):
    """What every answer may carry; no `errcode` means success."""

    errcode: int = 0
    errmsg: str = ""


class TokenAnswer(Answer):
    """Of `stable_token`."""

    access_token: str = ""
    expires_in: float = 7200


class UserAnswer(Answer):
    """Of `user/info`. Since 2021-12-27 nickname and sex are empty for most accounts."""

    openid: str = ""
    nickname: str = ""
    sex: int = 0
    remark: str = ""
    tagid_list: tuple[int, ...] = ()


class OpenIds(Struct, frozen=True):
    """A list of followers."""

    openid: tuple[str, ...] = ()


class FollowersAnswer(Answer):
    """Of `user/get`: a page; `next_openid` asks for the one after it."""

    data: OpenIds = OpenIds()
    next_openid: str = ""


class UploadAnswer(Answer):
    """Of `media/upload`; a thumbnail's id has a name of its own."""

    media_id: str = ""
    thumb_media_id: str = ""


class TemplateAnswer(Answer):
    """Of `message/template/send`."""

    msgid: int = 0


class Buttons(Struct, frozen=True):
    """A menu."""

    button: Menu = ()


class MenuAnswer(Answer):
    """Of `menu/get`: the menu that the API made, if there is one."""

    menu: Buttons = Buttons()


class Tag(Struct, frozen=True):
    """A tag that the account has given to followers."""

    id: int
    name: str = ""


class TagsAnswer(Answer):
    """Of `tags/get`."""

    tags: tuple[Tag, ...] = ()


class MediaAnswer(Answer):
    """Of `media/get` where it is no file: films are at an address."""

    video_url: str = ""


class BatchAnswer(Answer):
    """Of `user/info/batchget`."""

    user_info_list: list[UserAnswer] = []


def decode_user(answer: UserAnswer, openid: str, labels: tuple[str, ...] = ()) -> User:
    """A follower; without nickname and remark the id is the only name there is.

    `labels`: the names of the follower's tags.
    """
    name = answer.nickname or answer.remark or openid
    sex = _SEXES.get(answer.sex, "unknown")
    return User(UserId(openid), name, sex, remark=answer.remark, labels=labels)


_NO_FILE = (BadParams, "WeChat does not take such a file")
_NO_TEMPLATE = (BadParams, "the account has no such template; see the platform's page of templates")
_WRONG: Mapping[int, tuple[type[ActionError], str]] = {
    40003: (NotFound, "no follower of this account has this id"),
    40004: _NO_FILE,
    40005: _NO_FILE,
    40006: _NO_FILE,
    40007: (NotFound, "WeChat keeps a file for three days"),
    40036: _NO_TEMPLATE,
    40037: _NO_TEMPLATE,
    43004: (Forbidden, "this goes to followers only"),
    43101: (Forbidden, "the user has not agreed to such messages, or refuses them"),
    45001: _NO_FILE,
    45002: (BadParams, "the text is too long"),
    47003: (BadParams, "what is filled in does not fit the template"),
}
"""What is wrong with the call itself."""


def action_error(errcode: int, errmsg: str) -> ActionError:
    """An error code of an action → our error. `errmsg` is fit to be shown already."""
    said = f"WeChat error {errcode}: {errmsg}"
    if errcode in _WRONG:
        kind, why = _WRONG[errcode]
        return kind(f"{said}; {why}")
    match errcode:
        case -1:
            return PlatformUnavailable(f"{said}; the platform is busy")
        case 45015:
            return Forbidden(
                f"{said}; WeChat allows a message only within 48 hours after the user wrote, "
                "and within a minute after they followed, scanned or used the menu"
            )
        case 45047:
            return RateLimited(
                f"{said}; WeChat allows 5 messages after each message of the user "
                "(3 after a follow, scan or menu click): wait until they write again"
            )
        case 45009 | 45011:
            return RateLimited(f"{said}; the account's quota for this call is used up")
        case 48001:
            return Forbidden(
                f"{said}; this account may not use the call. If it is not verified, set "
                "customer_service: false, so that only passive replies are tried"
            )
    return Forbidden(said)


def setup_error(errcode: int, errmsg: str) -> SetupError:
    """An error code of the token call → why the account cannot be opened, and what to do."""
    said = f"WeChat error {errcode}: {errmsg}"
    match errcode:
        case -1 | 45009 | 45011:
            return NotReady(said)
        case 40013 | 41002:
            return AuthFailed(f"{said}; app_id is wrong: compare it with the platform's page")
        case 40001 | 40125 | 41004:
            return AuthFailed(
                f"{said}; app_secret is wrong or was reset: copy it anew from the platform's page"
            )
        case 40164:
            found = _IP.search(errmsg)
            address = found[0] if found else "this machine's public IP address"
            return AuthFailed(f"{said}; add {address} to the IP allow-list of the account")
    return AuthFailed(said)


def in_action(error: SetupError) -> ActionError:
    """A token could not be had in the middle of an action → the action's error."""
    if isinstance(error, NotReady):
        return PlatformUnavailable(str(error))
    return Forbidden(str(error))
