"""What an implementation answers → results of actions, and its refusals → errors; pure.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/public.md. Failures have no common
numbers: the standard knows 1400 and 1404, and each implementation its own (traps of go-cqhttp 100
and 404, of NapCat 1200). Those of an onebus are ours.
"""

from collections.abc import Iterable
from typing import Any, get_args

from msgspec import Struct

from connectors.onebot11.decode_message import decode_message, decode_nodes
from connectors.onebot11.fields import Fields, Payload, id_of, number_of
from onebus import action as act
from onebus.errors import (
    ActionError,
    BadParams,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
    UnsupportedAction,
)
from onebus.event import Membership, Role, User
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import Node

OK = 0
ASYNC = 1
UNKNOWN_ACTION = frozenset({404, 1404})

_ERRORS: dict[int, type[ActionError]] = {
    400: BadParams,
    1400: BadParams,
    401: Forbidden,
    403: Forbidden,
    1401: Forbidden,
    1403: Forbidden,
    404: UnsupportedAction,
    1404: UnsupportedAction,
}
_ONEBUS: dict[int, type[ActionError]] = {
    10001: UnsupportedAction,
    10002: NotFound,
    10003: Forbidden,
    10004: RateLimited,
    10005: PlatformUnavailable,
    10006: OutcomeUnknown,
    10007: OutcomeUnknown,
    10008: PlatformUnavailable,
    10009: PlatformUnavailable,
    10010: OutcomeUnknown,
    10011: PlatformUnavailable,
}
"""Retcodes of an onebus (`frontends.onebot_v11.retcode`). No other implementation has these."""

_MAX_TEXT = 300


class Reply(Struct, frozen=True):
    """An answer as it came. `message` is the error's own text, `wording` what it means."""

    retcode: int
    data: Any = None
    status: str = ""
    message: str = ""
    wording: str = ""

    @property
    def done(self) -> bool:
        """Whether it was done, or will be."""
        return self.retcode in (OK, ASYNC) and self.status != "failed"


def decode_reply(fields: Fields) -> Reply:
    """An answer's fields; an implementation says why in `message`, `msg` or `wording`."""
    payload = Payload(fields)
    status = payload.text("status")
    failed = 1200 if status == "failed" else ASYNC if status == "async" else OK
    return Reply(
        payload.number("retcode", failed),
        payload.value("data"),
        status,
        payload.text("message") or payload.text("msg"),
        payload.text("wording"),
    )


def native_answer(reply: Reply) -> act.NativeAnswer:
    """An answer to a call that nothing of ours understands."""
    status = reply.status or ("ok" if reply.done else "failed")
    retcode = reply.retcode if reply.done or reply.retcode else 1200
    return act.NativeAnswer(status, retcode, reply.data, reply.message, reply.wording)


def error_of(action: str, reply: Reply, *, writes: bool) -> ActionError:
    """Why a call failed, for a reply that is not `done`.

    NapCat and LLOneBot time out within QQ and say so only in words: then it may have been done.
    """
    said = (reply.wording or reply.message)[:_MAX_TEXT]
    text = (
        f"{action} was refused by the upstream: {said or 'it does not say why'} ({reply.retcode})"
    )
    if known := _ONEBUS.get(reply.retcode) or _ERRORS.get(reply.retcode):
        return known(text)
    if "timeout" in said.lower() or "超时" in said:
        return OutcomeUnknown(text) if writes else PlatformUnavailable(text)
    return NotFound(text) if _names_nothing(reply) else Forbidden(text)


def _names_nothing(reply: Reply) -> bool:
    """go-cqhttp's `GROUP_NOT_FOUND` and the words that NapCat, LLOneBot and Lagrange use."""
    said = f"{reply.message} {reply.wording}".lower()
    return any(word in said for word in ("not_found", "not found", "不存在", "找不到"))


def sent_id(data: object) -> MessageId | None:
    """The `message_id` of what was sent; None when it was not given, as for a file's upload."""
    found = Payload(data).optional_id("message_id") if isinstance(data, dict) else ""
    return MessageId(found) if found else None


def user_of(fields: object, wanted: str = "") -> User:
    """`get_login_info`, `get_stranger_info` and entries of lists. Raises Unreadable."""
    payload = Payload(fields)
    sex = payload.text("sex")
    return User(
        UserId(payload.optional_id("user_id") or wanted or payload.id("user_id")),
        payload.text("nickname"),
        sex if sex in ("male", "female") else "unknown",  # type: ignore[arg-type]
        max(payload.number("age"), 0),
        payload.text("remark"),
    )


def group_of(fields: object, wanted: str = "") -> act.Group:
    """`get_group_info` and entries of `get_group_list`. Raises Unreadable."""
    payload = Payload(fields)
    return act.Group(
        ChatId(payload.optional_id("group_id") or wanted or payload.id("group_id")),
        payload.text("group_name"),
        payload.number("member_count"),
        payload.number("max_member_count"),
    )


def member_of(fields: object, wanted: str = "") -> act.Member:
    """`get_group_member_info` and entries of `get_group_member_list`. Raises Unreadable."""
    payload = Payload(fields)
    role = payload.text("role")
    membership = Membership(
        role=role if role in get_args(Role) else "member",  # type: ignore[arg-type]
        card=payload.text("card"),
        title=payload.text("title"),
        level=payload.text("level"),
        area=payload.text("area"),
        joined_at_s=payload.number("join_time"),
        last_sent_at_s=payload.number("last_sent_time"),
        title_expires_at_s=payload.number("title_expire_time"),
        muted_until_s=payload.number("shut_up_timestamp"),
        card_changeable=payload.flag("card_changeable"),
    )
    return act.Member(user_of(fields, wanted), membership)


def listed(data: object) -> Iterable[Fields]:
    """A list's entries; null stands for an empty one. What is no object is passed over."""
    return (entry for entry in data if isinstance(entry, dict)) if isinstance(data, list) else ()


def honors_of(data: object) -> act.Honors:
    """`get_group_honor_info`; kinds that were not asked for are absent or empty."""
    payload = Payload(data)
    kinds: tuple[act.HonorKind, ...] = get_args(act.HonorKind)
    holders = {kind: _holders(payload.value(f"{kind}_list")) for kind in kinds}
    current = payload.inside("current_talkative")
    return act.Honors(
        {kind: found for kind, found in holders.items() if found},
        _holder(current) if current.optional_id("user_id") else None,
    )


def _holders(value: object) -> tuple[act.HonorHolder, ...]:
    entries = map(Payload, listed(value))
    return tuple(_holder(entry) for entry in entries if entry.optional_id("user_id"))


def _holder(entry: Payload) -> act.HonorHolder:
    days = entry.number("day_count")
    return act.HonorHolder(
        user_of(entry.fields), entry.text("avatar"), entry.text("description"), days
    )


def credentials_of(data: object) -> act.Credentials:
    """`get_credentials`; NapCat and go-cqhttp call the token either way."""
    payload = Payload(data)
    token = payload.value("csrf_token")
    token = payload.value("token") if token is None else token
    return act.Credentials(payload.text("cookies"), number_of(token))


def nodes_of(data: object) -> tuple[Node, ...]:
    """`get_forward_msg`: the standard has `message`, go-cqhttp and NapCat `messages`."""
    payload = Payload(data)
    found = payload.value("message")
    return decode_nodes(payload.value("messages") if found is None else found)


def message_of(data: object) -> act.HistoryMessage:
    """`get_msg`. Raises Unreadable."""
    payload = Payload(data)
    sender = payload.inside("sender")
    author = payload.optional_id("user_id") or sender.id("user_id")
    message = payload.value("message")
    return act.HistoryMessage(
        MessageId(payload.id("message_id")),
        user_of({**sender.fields, "user_id": author}),
        payload.number("time") * 1000,
        decode_message(payload.value("raw_message") if message is None else message),
    )


def app_of(data: object) -> str:
    """`get_version_info`: which implementation it is, for people."""
    payload = Payload(data)
    name, version = payload.text("app_name"), id_of(payload.value("app_version"))
    return f"{name or 'an unnamed implementation'} {version}".strip()


def online_of(data: object) -> bool:
    """`get_status`: null is "not known", which is no reason to call it offline."""
    online = data.get("online") if isinstance(data, dict) else None
    return online is None or Payload(data).flag("online")
