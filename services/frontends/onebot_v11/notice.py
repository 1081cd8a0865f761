"""Notices and requests of the log → OneBot V11, one small function per event.

Source: https://github.com/botuniverse/onebot-11/blob/master/event/notice.md and `request.md`. What
the standard lacks carries the names that go-cqhttp, NapCat and LLOneBot share, where there are any.
A notice about a message is None when that message has no number a bot could know it by.
"""

from collections.abc import Callable
from typing import Any

from frontends.onebot_v11.native import to_onebot_native
from frontends.onebot_v11.references import message_key
from frontends.onebot_v11.view import Fields, View, content, place
from onebus import event as ev
from onebus.event import Event, User
from onebus.ids import UserId


def _notice(kind: str, **fields: Any) -> Fields:
    return {"post_type": "notice", "notice_type": kind, **fields}


def _user(user: User | UserId | None, view: View) -> int:
    """A user's number; 0 where the platform does not say who it was."""
    native = user.id if isinstance(user, User) else user
    return view.numbers.users[native] if native else 0


def _about(event: Any, view: View) -> int | None:
    """The number of the message that an event is about."""
    return view.numbers.messages.get(message_key(event.chat, event.message))


def _edited(event: ev.MessageEdited, view: View) -> Fields | None:
    """Not in the standard, nor in any implementation: named like the recall notices."""
    if (message_id := _about(event, view)) is None:
        return None
    kind = "group_msg_edit" if event.chat.kind == "group" else "friend_msg_edit"
    who = _user(event.editor, view)
    fields = _notice(kind, **place(event.chat, view), user_id=who, message_id=message_id)
    return fields | content(event.segments, event.chat, view)


def _recalled(event: ev.MessageRecalled, view: View) -> Fields | None:
    """Source: event/notice.md, "群消息撤回" and "好友消息撤回"."""
    if (message_id := _about(event, view)) is None:
        return None
    who = _user(event.sender, view)
    if event.chat.kind == "private":
        # Not in the standard: whose chat it is, where the account's own id does not say it.
        own = event.sender == view.self_user
        where = {"target_id": view.numbers.users[UserId(event.chat.id)]} if own else {}
        return _notice("friend_recall", user_id=who, **where, message_id=message_id)
    operator = _user(event.operator, view) or who
    return _notice(
        "group_recall",
        **place(event.chat, view),
        user_id=who,
        operator_id=operator,
        message_id=message_id,
    )


def _joined(event: ev.MemberJoined, view: View) -> Fields:
    """Source: event/notice.md, "群成员增加"."""
    who = _user(event.user, view)
    return _notice(
        "group_increase",
        sub_type=event.how,
        **place(event.chat, view),
        operator_id=_user(event.operator, view) or who,
        user_id=who,
    )


def _left(event: ev.MemberLeft, view: View) -> Fields:
    """Source: event/notice.md, "群成员减少"."""
    who = _user(event.user, view)
    kicked = event.operator not in ("", event.user.id)
    by_force = "kick_me" if event.user.id == view.self_user else "kick"
    return _notice(
        "group_decrease",
        sub_type=by_force if kicked else "leave",
        **place(event.chat, view),
        operator_id=_user(event.operator, view) or who,
        user_id=who,
    )


def _muted(event: ev.MemberMuted, view: View) -> Fields:
    """Source: event/notice.md, "群禁言"; `user_id` 0 for everyone, as in go-cqhttp."""
    return _notice(
        "group_ban",
        sub_type="ban" if event.duration_s else "lift_ban",
        **place(event.chat, view),
        operator_id=_user(event.operator, view),
        user_id=_user(event.user, view),
        duration=event.duration_s,
    )


def _role(event: ev.RoleChanged, view: View) -> Fields:
    """Source: event/notice.md, "群管理员变动"."""
    return _notice(
        "group_admin",
        sub_type="unset" if event.role == "member" else "set",
        **place(event.chat, view),
        user_id=_user(event.user, view),
    )


def _card(event: ev.CardChanged, view: View) -> Fields:
    """Not in the standard; go-cqhttp, NapCat and LLOneBot agree."""
    return _notice(
        "group_card",
        **place(event.chat, view),
        user_id=_user(event.user, view),
        card_new=event.card,
        card_old=event.old_card,
    )


def _title(event: ev.TitleChanged, view: View) -> Fields:
    """Not in the standard; go-cqhttp, NapCat and LLOneBot agree."""
    who = _user(event.user, view)
    return _notice(
        "notify", sub_type="title", **place(event.chat, view), user_id=who, title=event.title
    )


def _renamed(event: ev.GroupRenamed, view: View) -> Fields:
    """Not in the standard; NapCat's."""
    return _notice(
        "notify",
        sub_type="group_name",
        **place(event.chat, view),
        user_id=_user(event.operator, view),
        name_new=event.name,
    )


def _uploaded(event: ev.FileUploaded, view: View) -> Fields:
    """Source: event/notice.md, "群文件上传"; privately it is go-cqhttp's `offline_file`."""
    who = _user(event.user, view)
    file: Fields = {"name": event.file.name, "size": event.file.size_bytes}
    url = view.links.url("file", event.file.id) if view.links else ""
    if event.chat.kind == "private":
        return _notice("offline_file", user_id=who, file={**file, "url": url, "id": event.file.id})
    file = {"id": event.file.id, **file, "busid": event.file.bus_id}
    if url:  # go-cqhttp's and Lagrange's
        file["url"] = url
    return _notice("group_upload", **place(event.chat, view), user_id=who, file=file)


def _friend_added(event: ev.FriendAdded, view: View) -> Fields:
    """Source: event/notice.md, "好友添加"."""
    return _notice("friend_add", user_id=_user(event.user, view))


def _friend_removed(event: ev.FriendRemoved, view: View) -> Fields:
    """Not in the standard: named like `friend_add`."""
    return _notice("friend_delete", user_id=_user(event.user, view))


def _friend_requested(event: ev.FriendRequested, view: View) -> Fields:
    """Source: event/request.md, "加好友请求"."""
    return {
        "post_type": "request",
        "request_type": "friend",
        "user_id": _user(event.user, view),
        "comment": event.comment,
        "flag": event.flag,
    }


def _group_requested(event: ev.GroupRequested, view: View) -> Fields:
    """Source: event/request.md, "加群请求／邀请"."""
    return {
        "post_type": "request",
        "request_type": "group",
        "sub_type": event.kind,
        **place(event.chat, view),
        "user_id": _user(event.user, view),
        "comment": event.comment,
        "flag": event.flag,
    }


def _reaction(event: ev.ReactionChanged, view: View) -> Fields | None:
    """Not in the standard; NapCat's and LLOneBot's, who have it in groups alone."""
    if (message_id := _about(event, view)) is None:
        return None
    group = event.chat.kind == "group"
    return _notice(
        "group_msg_emoji_like" if group else "friend_msg_emoji_like",
        **place(event.chat, view),
        user_id=_user(event.user, view),
        message_id=message_id,
        likes=[{"emoji_id": event.emoji, "count": 1}],
        is_add=event.added,
    )


def _pinned(event: ev.MessagePinned, view: View) -> Fields | None:
    """Not in the standard; go-cqhttp, NapCat and LLOneBot agree."""
    if (message_id := _about(event, view)) is None:
        return None
    return _notice(
        "essence",
        sub_type="add" if event.pinned else "delete",
        **place(event.chat, view),
        sender_id=_user(event.sender, view),
        operator_id=_user(event.operator, view),
        message_id=message_id,
    )


def _poked(event: ev.Poked, view: View) -> Fields:
    """Source: event/notice.md, "群内戳一戳"; `sender_id` is what go-cqhttp adds privately."""
    who = _user(event.user, view)
    whom = _user(event.target, view)
    extra = {} if event.chat.kind == "group" else {"sender_id": who}
    where = place(event.chat, view)
    return _notice("notify", sub_type="poke", **where, user_id=who, target_id=whom, **extra)


def _lucky_king(event: ev.LuckyKing, view: View) -> Fields:
    """Source: event/notice.md, "群红包运气王"."""
    return _notice(
        "notify",
        sub_type="lucky_king",
        **place(event.chat, view),
        user_id=_user(event.user, view),
        target_id=_user(event.target, view),
    )


def _honor(event: ev.HonorChanged, view: View) -> Fields:
    """Source: event/notice.md, "群成员荣誉变更"."""
    return _notice(
        "notify",
        sub_type="honor",
        **place(event.chat, view),
        honor_type=event.honor,
        user_id=_user(event.user, view),
    )


def _interaction(event: ev.Interaction, view: View) -> Fields:
    """Not in the standard, nor in any implementation."""
    return _notice(
        "interaction",
        sub_type=event.kind,
        **place(event.chat, view),
        user_id=_user(event.user, view),
        value=event.value,
    )


NOTICES: dict[type[Event], Callable[[Any, View], Fields | None]] = {
    ev.MessageEdited: _edited,
    ev.MessageRecalled: _recalled,
    ev.MemberJoined: _joined,
    ev.MemberLeft: _left,
    ev.MemberMuted: _muted,
    ev.RoleChanged: _role,
    ev.CardChanged: _card,
    ev.TitleChanged: _title,
    ev.GroupRenamed: _renamed,
    ev.FileUploaded: _uploaded,
    ev.FriendAdded: _friend_added,
    ev.FriendRemoved: _friend_removed,
    ev.FriendRequested: _friend_requested,
    ev.GroupRequested: _group_requested,
    ev.ReactionChanged: _reaction,
    ev.MessagePinned: _pinned,
    ev.Poked: _poked,
    ev.LuckyKing: _lucky_king,
    ev.HonorChanged: _honor,
    ev.Interaction: _interaction,
    ev.NativeEvent: to_onebot_native,
}
"""How each kind of event reads; message events and what bots never see are not here."""
