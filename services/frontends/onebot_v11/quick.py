"""Quick operations: what a bot may say in answer to an event, as ordinary actions.

Source: the tables "快速操作" in https://github.com/botuniverse/onebot-11/blob/master/event/message.md
and `request.md`. The event may be stripped down to its ids, as aiocqhttp does.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from frontends.onebot_v11.cq import escape_value
from frontends.onebot_v11.params import given, read_bool, read_optional_id
from frontends.onebot_v11.retcode import Answer

if TYPE_CHECKING:
    from frontends.onebot_v11.session import Session

Params: TypeAlias = Mapping[str, Any]
Operation: TypeAlias = tuple[str, dict[str, Any]]
Run: TypeAlias = Callable[[str, Params], Awaitable[Answer]]


class Failure(Struct, frozen=True):
    """An action of a quick operation that failed; the others were tried all the same."""

    action: str
    answer: Answer


def operations(context: Params, operation: Params, *, at_sender_default: bool) -> list[Operation]:
    """The actions that a quick operation stands for, with their parameters, in order.

    Raises BadParams, for a field that is neither true nor false, before anything is done; other
    parameters are checked by their actions. A context of another kind has no operations.
    """
    if context.get("post_type") in ("notice", "meta_event"):
        return []
    if _has(context, "request_type") or context.get("post_type") == "request":
        return list(_request(context, operation))
    if _is_group(context):
        return list(_group_message(context, operation, at_sender_default))
    return list(_reply("send_private_msg", _pick(context, "user_id"), operation, ""))


async def run_quick(
    session: "Session", context: Params, operation: Params, run: Run | None = None
) -> list[Failure]:
    """Carry a quick operation out, one action after the other; returns those that failed.

    `run` runs one action; without it that is as if the bot had called it. Raises BadParams as
    `operations` does.
    """
    run = run or partial(session.execute, as_text=False)
    default = session.config.quick_operation_at_sender_default
    failures = []
    for name, params in operations(context, operation, at_sender_default=default):
        answer = await run(name, params)
        if answer.status == "failed":
            failures.append(Failure(name, answer))
    return failures


def _group_message(
    context: Params, operation: Params, at_sender_default: bool
) -> Iterator[Operation]:
    """Source: event/message.md, "群消息": reply, delete, kick and ban, each by itself."""
    flags = {name: read_bool(operation, name, default=False) for name in ("delete", "kick", "ban")}
    anonymous = _is_anonymous(context)
    at_sender = read_bool(operation, "at_sender", at_sender_default) and not anonymous
    member = _pick(context, "group_id", "user_id")
    sender = _user(context) if at_sender else ""
    yield from _reply("send_group_msg", _pick(context, "group_id"), operation, sender)
    if flags["delete"]:
        yield "delete_msg", _pick(context, "message_id")
    if flags["kick"] and not anonymous:
        yield "set_group_kick", member
    if flags["ban"]:
        duration = {"duration": operation.get("ban_duration")}
        if anonymous:
            names = ("group_id", "anonymous", "anonymous_flag", "flag")
            yield "set_group_anonymous_ban", _pick(context, *names) | duration
        else:
            yield "set_group_ban", member | duration


def _reply(
    action: str, where: dict[str, Any], operation: Params, sender: str
) -> Iterator[Operation]:
    """A reply, unless it is empty; `sender`: whom to name at its start."""
    auto_escape = read_bool(operation, "auto_escape", default=False)
    message = operation.get("reply")
    if message is None or message in ("", [], {}):
        return
    if sender:
        message, auto_escape = _with_mention(sender, message, auto_escape)
    yield action, where | {"message": message, "auto_escape": auto_escape}


def _with_mention(sender: str, message: Any, auto_escape: bool) -> tuple[Any, bool]:
    """The mention goes first, with nothing between; what is plain text stays plain text."""
    mention = {"type": "at", "data": {"qq": sender}}
    match message:
        case str() if auto_escape:
            return [mention, {"type": "text", "data": {"text": message}}], False
        case str():
            return f"[CQ:at,qq={escape_value(sender)}]{message}", False
        case list():
            return [mention, *message], False
        case dict():
            return [mention, message], False
    return message, auto_escape  # no message: the action says so


def _request(context: Params, operation: Params) -> Iterator[Operation]:
    """Source: event/request.md. Neither approved nor refused: left as it is."""
    if not _has(operation, "approve"):
        return
    answer = {"flag": context.get("flag"), "approve": read_bool(operation, "approve")}
    if context.get("request_type") == "group" or _is_group(context):
        kind = {"sub_type": context.get(given(context, "sub_type", "type"))}
        yield "set_group_add_request", answer | kind | _pick(operation, "reason")
    else:
        yield "set_friend_add_request", answer | _pick(operation, "remark")


def _is_group(context: Params) -> bool:
    """A private message may name the group that its sender was met in."""
    kind = context.get("message_type")
    return kind == "group" if kind else read_optional_id(context, "group_id") is not None


def _is_anonymous(context: Params) -> bool:
    return context.get("sub_type") == "anonymous" or bool(context.get("anonymous"))


def _user(context: Params) -> str:
    """`sender` may have been stripped; `user_id` is always there."""
    user = read_optional_id(context, "user_id")
    return "" if user is None else str(user)


def _pick(source: Params, *names: str) -> dict[str, Any]:
    return {name: source[name] for name in names if name in source}


def _has(source: Params, name: str) -> bool:
    return source.get(name) not in (None, "")
