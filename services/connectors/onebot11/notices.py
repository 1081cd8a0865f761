"""Notices and requests of OneBot V11 → events, one small function per type; pure.

Source: https://github.com/botuniverse/onebot-11/blob/master/event/notice.md and `request.md`; the
names that only implementations have are named where they are read. Each function raises Unreadable
for what lacks what the event needs: such a notice then goes to bots as it came.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias, TypedDict

from connectors.onebot11.decode_message import decode_message
from connectors.onebot11.fields import Payload, Unreadable
from onebus import event as ev
from onebus.event import Chat, Event, User, group_chat, private_chat
from onebus.ids import Account, ChatId, MessageId, UserId


class Base(TypedDict):
    """What every event has."""

    account: Account
    time_ms: int
    id: str


Build: TypeAlias = Callable[[Payload, Base], Iterable[Event]]


def _group(payload: Payload) -> Chat:
    return group_chat(ChatId(payload.id("group_id")), payload.text("group_name"))


def _user(payload: Payload, name: str = "user_id") -> UserId:
    return UserId(payload.id(name))


def _peer(payload: Payload) -> Chat:
    """The private chat that a notice is about: with whoever of its users is not the account."""
    me = payload.optional_id("self_id")
    names = ("user_id", "target_id", "sender_id", "operator_id")
    users = (payload.optional_id(name) for name in names)
    peer = next((user for user in users if user not in ("", me)), "")
    if not peer:
        raise Unreadable("it does not say in whose chat")
    return private_chat(UserId(peer))


def _place(payload: Payload) -> Chat:
    return _group(payload) if payload.optional_id("group_id") else _peer(payload)


def _group_upload(payload: Payload, base: Base) -> Iterable[Event]:
    yield ev.FileUploaded(
        **base, chat=_group(payload), user=_user(payload), file=_uploaded(payload.inside("file"))
    )


def _offline_file(payload: Payload, base: Base) -> Iterable[Event]:
    """go-cqhttp's and Lagrange's: a file that came privately."""
    file = _uploaded(payload.inside("file"))
    yield ev.FileUploaded(**base, chat=_peer(payload), user=_user(payload), file=file)


def _uploaded(file: Payload) -> ev.UploadedFile:
    name = file.text("name")
    if not name:
        raise Unreadable("the file has no name")
    size = max(file.number("size"), 0)
    return ev.UploadedFile(file.text("id") or file.text("url"), name, size, file.number("busid"))


def _group_admin(payload: Payload, base: Base) -> Iterable[Event]:
    became: ev.Role = "admin" if payload.word("sub_type", "set", "unset") == "set" else "member"
    yield ev.RoleChanged(**base, chat=_group(payload), user=_user(payload), role=became)


def _group_decrease(payload: Payload, base: Base) -> Iterable[Event]:
    kind = payload.word("sub_type", "leave", "kick", "kick_me")
    user, operator = _user(payload), payload.optional_id("operator_id")
    if kind == "leave":
        operator = user
    elif operator in ("", user):
        raise Unreadable("it does not say who kicked")
    yield ev.MemberLeft(**base, chat=_group(payload), user=User(user), operator=UserId(operator))


def _group_increase(payload: Payload, base: Base) -> Iterable[Event]:
    how = payload.word("sub_type", "approve", "invite")
    yield ev.MemberJoined(
        **base,
        chat=_group(payload),
        user=User(_user(payload)),
        operator=UserId(payload.optional_id("operator_id")),
        how="invite" if how == "invite" else "approve",
    )


def _group_ban(payload: Payload, base: Base) -> Iterable[Event]:
    """User 0 is everyone, whose ban go-cqhttp and NapCat give the duration -1."""
    lifted = payload.word("sub_type", "ban", "lift_ban") == "lift_ban"
    user, duration_s = payload.optional_id("user_id"), payload.number("duration")
    yield ev.MemberMuted(
        **base,
        chat=_group(payload),
        user=UserId(user) if user else None,
        operator=UserId(payload.optional_id("operator_id")),
        duration_s=0 if lifted else duration_s or -1,
    )


def _friend_add(payload: Payload, base: Base) -> Iterable[Event]:
    yield ev.FriendAdded(**base, user=User(_user(payload)))


def _friend_delete(payload: Payload, base: Base) -> Iterable[Event]:
    """onebus's own."""
    yield ev.FriendRemoved(**base, user=User(_user(payload)))


def _group_recall(payload: Payload, base: Base) -> Iterable[Event]:
    user = _user(payload)
    yield ev.MessageRecalled(
        **base | {"id": ""},
        chat=_group(payload),
        message=MessageId(payload.id("message_id")),
        sender=user,
        operator=UserId(payload.optional_id("operator_id") or user),
    )


def _friend_recall(payload: Payload, base: Base) -> Iterable[Event]:
    user = _user(payload)
    yield ev.MessageRecalled(
        **base | {"id": ""},
        chat=_peer(payload),
        message=MessageId(payload.id("message_id")),
        sender=user,
        operator=user,
    )


def _group_card(payload: Payload, base: Base) -> Iterable[Event]:
    """go-cqhttp's, NapCat's and LLOneBot's."""
    yield ev.CardChanged(
        **base,
        chat=_group(payload),
        user=_user(payload),
        card=payload.text("card_new"),
        old_card=payload.text("card_old"),
    )


def _essence(payload: Payload, base: Base) -> Iterable[Event]:
    """go-cqhttp's, NapCat's and LLOneBot's; onebus has it in private chats too."""
    pinned = payload.word("sub_type", "add", "delete") == "add"
    yield ev.MessagePinned(
        **base,
        chat=_place(payload),
        message=MessageId(payload.id("message_id")),
        sender=UserId(payload.optional_id("sender_id")),
        operator=UserId(payload.optional_id("operator_id")),
        pinned=pinned,
    )


def _emoji_like(payload: Payload, base: Base) -> Iterable[Event]:
    """NapCat's and LLOneBot's: one event for each emoji."""
    chat, user = _place(payload), _user(payload)
    message, added = MessageId(payload.id("message_id")), payload.flag("is_add", True)
    likes = payload.value("likes")
    for number, like in enumerate(likes if isinstance(likes, list) else ()):
        yield ev.ReactionChanged(
            **base | {"id": f"{base['id']}.{number}" if number else base["id"]},
            chat=chat,
            message=message,
            user=user,
            emoji=Payload(like).id("emoji_id"),
            added=added,
        )


def _reaction(payload: Payload, base: Base) -> Iterable[Event]:
    """Lagrange's."""
    yield ev.ReactionChanged(
        **base,
        chat=_group(payload),
        message=MessageId(payload.id("message_id")),
        user=_user(payload, "operator_id"),
        emoji=payload.id("code"),
        added=payload.word("sub_type", "add", "remove") == "add",
    )


def _edit(payload: Payload, base: Base) -> Iterable[Event]:
    """onebus's own."""
    yield ev.MessageEdited(
        **base,
        chat=_place(payload),
        message=MessageId(payload.id("message_id")),
        editor=User(_user(payload)),
        segments=decode_message(payload.value("message")),
    )


def _interaction(payload: Payload, base: Base) -> Iterable[Event]:
    """onebus's own."""
    kind = payload.word("sub_type", "click", "view", "scan")
    yield ev.Interaction(
        **base,
        chat=_place(payload),
        user=User(_user(payload)),
        kind=kind,  # type: ignore[arg-type]
        value=payload.text("value"),
    )


def _notify(payload: Payload, base: Base) -> Iterable[Event]:
    return NOTIFY[payload.word("sub_type", *NOTIFY)](payload, base)


def _poke(payload: Payload, base: Base) -> Iterable[Event]:
    """Privately `sender_id` says who; NapCat's `user_id` is there the other side."""
    chat = _place(payload)
    sender = payload.optional_id("sender_id") if chat.kind == "private" else ""
    user = UserId(sender) if sender else _user(payload)
    yield ev.Poked(**base, chat=chat, user=user, target=_user(payload, "target_id"))


def _lucky_king(payload: Payload, base: Base) -> Iterable[Event]:
    target = _user(payload, "target_id")
    yield ev.LuckyKing(**base, chat=_group(payload), user=_user(payload), target=target)


def _honor(payload: Payload, base: Base) -> Iterable[Event]:
    honor = payload.word("honor_type", "talkative", "performer", "emotion")
    yield ev.HonorChanged(
        **base,
        chat=_group(payload),
        user=_user(payload),
        honor=honor,  # type: ignore[arg-type]
    )


def _title(payload: Payload, base: Base) -> Iterable[Event]:
    """go-cqhttp's, NapCat's and LLOneBot's."""
    title = payload.text("title")
    yield ev.TitleChanged(**base, chat=_group(payload), user=_user(payload), title=title)


def _group_name(payload: Payload, base: Base) -> Iterable[Event]:
    """NapCat's."""
    name = payload.id("name_new")
    operator = UserId(payload.optional_id("user_id"))
    yield ev.GroupRenamed(**base, chat=_group(payload), operator=operator, name=name)


def _friend_request(payload: Payload, base: Base) -> Iterable[Event]:
    yield ev.FriendRequested(
        **base,
        user=User(_user(payload)),
        comment=payload.text("comment"),
        flag=payload.id("flag"),
    )


def _group_request(payload: Payload, base: Base) -> Iterable[Event]:
    kind = payload.word("sub_type", "add", "invite")
    yield ev.GroupRequested(
        **base,
        chat=_group(payload),
        user=User(_user(payload)),
        kind="invite" if kind == "invite" else "add",
        comment=payload.text("comment"),
        flag=payload.id("flag"),
    )


NOTIFY: dict[str, Build] = {
    "poke": _poke,
    "lucky_king": _lucky_king,
    "honor": _honor,
    "title": _title,
    "group_name": _group_name,
}
NOTICES: dict[str, Build] = {
    "group_upload": _group_upload,
    "offline_file": _offline_file,
    "group_admin": _group_admin,
    "group_decrease": _group_decrease,
    "group_increase": _group_increase,
    "group_ban": _group_ban,
    "friend_add": _friend_add,
    "friend_delete": _friend_delete,
    "group_recall": _group_recall,
    "friend_recall": _friend_recall,
    "group_card": _group_card,
    "essence": _essence,
    "group_msg_emoji_like": _emoji_like,
    "friend_msg_emoji_like": _emoji_like,
    "reaction": _reaction,
    "group_msg_edit": _edit,
    "friend_msg_edit": _edit,
    "interaction": _interaction,
    "notify": _notify,
}
REQUESTS: dict[str, Build] = {"friend": _friend_request, "group": _group_request}
