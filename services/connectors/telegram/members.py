"""Who comes, goes, is muted, promoted or asks to come in → events. Pure.

Source: https://core.telegram.org/bots/api#chatmemberupdated and #chatjoinrequest.
"""

from collections.abc import Iterator
from typing import Any

from connectors.telegram.chats import decode_chat, decode_user
from connectors.telegram.wire import ChatJoinRequest, ChatMember, ChatMemberUpdated
from onebus import event as ev
from onebus.event import Event, Membership, Role
from onebus.ids import UserId

FOREVER_S = 366 * 86_400
"""What Telegram takes for ever; a mute without an end is told as this long."""

_ROLES: dict[str, Role] = {"creator": "owner", "administrator": "admin"}


def role_of(member: ChatMember) -> Role:
    """What a member may do, in the words of all platforms."""
    return _ROLES.get(member.status, "member")


def is_in(member: ChatMember) -> bool:
    """Whether they are in the chat at all."""
    if member.status == "restricted":
        return member.is_member
    return member.status in ("creator", "administrator", "member")


def muted_until_s(member: ChatMember) -> int | None:
    """Until when they may not write, 0 for ever; None when they may."""
    if member.status == "restricted" and not member.can_send_messages:
        return member.until_date
    return None


def decode_membership(member: ChatMember) -> Membership:
    """What somebody is in a group; a mute without an end has the largest time there is."""
    until_s = muted_until_s(member)
    return Membership(
        role_of(member),
        title=member.title,
        muted_until_s=(until_s or 2**31 - 1) if until_s is not None else 0,
    )


def decode_member_update(update: ChatMemberUpdated, head: dict[str, Any]) -> Iterator[Event]:
    """What changed between the old state and the new one; one event for each thing.

    `head` has what the update gives all its events. In a private chat the other side has blocked
    the bot, or does no longer.
    """
    old, new = update.old_chat_member, update.new_chat_member
    head = {**head, "time_ms": update.date * 1000}
    if update.chat.type == "private":
        if is_in(old) != is_in(new):
            kind = ev.FriendAdded if is_in(new) else ev.FriendRemoved
            yield kind(**head, user=decode_user(update.sender))
        return
    head["chat"] = decode_chat(update.chat)
    if is_in(old) != is_in(new):
        yield _came_or_went(update, head)
    if is_in(new):
        yield from _changes(update, head)


def _came_or_went(update: ChatMemberUpdated, head: dict[str, Any]) -> Event:
    new, sender = update.new_chat_member, UserId(str(update.sender.id))
    user = decode_user(new.user)
    if not is_in(new):
        return ev.MemberLeft(**head, user=user, operator=sender)
    invited = sender != user.id and not update.via_join_request
    return ev.MemberJoined(
        **head, user=user, operator=sender, how="invite" if invited else "approve"
    )


def _changes(update: ChatMemberUpdated, head: dict[str, Any]) -> Iterator[Event]:
    old, new = update.old_chat_member, update.new_chat_member
    user, operator = UserId(str(new.user.id)), UserId(str(update.sender.id))
    if role_of(old) != role_of(new):
        yield ev.RoleChanged(**head, user=user, role=role_of(new))
    if old.title != new.title:
        yield ev.TitleChanged(**head, user=user, title=new.title)
    until_s = muted_until_s(new)
    if until_s == muted_until_s(old):
        return
    duration_s = 0
    if until_s is not None:
        duration_s = max(until_s - update.date, 1) if until_s else FOREVER_S
    yield ev.MemberMuted(**head, user=user, operator=operator, duration_s=duration_s)


def decode_join_request(request: ChatJoinRequest, head: dict[str, Any]) -> Event:
    """Somebody asks to join. The flag is all that an answer needs."""
    user = decode_user(request.sender)
    chat = decode_chat(request.chat)
    return ev.GroupRequested(
        **head,
        time_ms=request.date * 1000,
        chat=chat,
        user=user,
        kind="add",
        comment=request.bio,
        flag=f"{chat.id}:{user.id}",
    )
