"""What a bot can do in a group, and learn of it.

Source: https://core.telegram.org/bots/api#available-methods, the method that each function names.
"""

from typing import Any

from connectors.telegram import wire
from connectors.telegram.api import BotApi
from connectors.telegram.chats import Place, decode_user, encode_place, encode_user
from connectors.telegram.known import Known
from connectors.telegram.members import decode_membership, is_in, role_of
from onebus import action as act
from onebus.errors import BadParams, NotFound, UnsupportedAction
from onebus.ids import ChatId, UserId

MIN_MUTE_S = 31
"""A mute of less than 30 s is for ever; the clocks of two machines differ, too."""
MAX_TITLE = 16
MAX_MUTE_S = 366 * 86_400 - 60
MOST_MEMBERS = {"group": 200, "supergroup": 200_000}

_SENDING = (
    "can_send_messages",
    "can_send_audios",
    "can_send_documents",
    "can_send_photos",
    "can_send_videos",
    "can_send_video_notes",
    "can_send_voice_notes",
    "can_send_polls",
    "can_send_other_messages",
    "can_add_web_page_previews",
)
_OTHER = (
    "can_react_to_messages",
    "can_edit_tag",
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_manage_topics",
)
_ADMIN_RIGHTS = (
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_manage_topics",
    "can_manage_tags",
)
"""What an admin gets that a bot makes, of what the bot itself may do."""


class Groups:
    """The groups of one account. Every method raises ActionError."""

    def __init__(self, api: BotApi, known: Known) -> None:
        self._api = api
        self._known = known

    async def info(self, group: ChatId) -> act.Group:
        """getChat and getChatMemberCount; of a topic, its group."""
        chat = encode_place(group).chat
        found = await self._api.read("getChat", wire.Chat, chat_id=chat)
        members = await self._api.read("getChatMemberCount", int, chat_id=chat)
        most = max(MOST_MEMBERS.get(found.type, members), members)
        return act.Group(group, found.title, members, most)

    async def member(self, action: act.GetMember) -> act.Member:
        """getChatMember; who has left is no member."""
        member = await self._api.read(
            "getChatMember",
            wire.ChatMember,
            chat_id=encode_place(action.group).chat,
            user_id=encode_user(action.user),
        )
        if not is_in(member):
            raise NotFound("Telegram: they are not in this group")
        return act.Member(decode_user(member.user), decode_membership(member))

    async def kick(self, action: act.KickMember) -> None:
        """banChatMember; without `reject_future` unbanChatMember, so that they may come again."""
        place = encode_place(action.group)
        who = {"chat_id": place.chat, "user_id": encode_user(action.user)}
        await self._api.change("banChatMember", **who)
        if not action.reject_future:
            await self._api.change("unbanChatMember", **who, only_if_banned=True)

    async def mute(self, action: act.MuteMember, now_s: int) -> None:
        """restrictChatMember; what is too short for Telegram lasts MIN_MUTE_S."""
        if action.user is None:
            raise UnsupportedAction("Telegram has no anonymous members")
        place = encode_place(action.group)
        who = {"chat_id": place.chat, "user_id": encode_user(action.user)}
        if action.duration_s <= 0:
            allowed = dict.fromkeys((*_SENDING, *_OTHER), True)
            await self._api.change("restrictChatMember", **who, permissions=allowed)
            return
        lasts_s = min(max(action.duration_s, MIN_MUTE_S), MAX_MUTE_S)
        await self._api.change(
            "restrictChatMember",
            **who,
            permissions=dict.fromkeys(_SENDING, False),
            until_date=now_s + lasts_s,
        )

    async def mute_all(self, action: act.MuteGroup) -> None:
        """setChatPermissions; a topic is closed or opened: closeForumTopic, reopenForumTopic."""
        place = encode_place(action.group)
        if place.thread is not None:
            method = "closeForumTopic" if action.muted else "reopenForumTopic"
            await self._api.change(method, **place.params())
            return
        chat = await self._api.read("getChat", wire.Chat, chat_id=place.chat)
        others = {key: on for key, on in chat.permissions.items() if key not in _SENDING}
        permissions = others | dict.fromkeys(_SENDING, not action.muted)
        await self._api.change("setChatPermissions", chat_id=place.chat, permissions=permissions)

    async def set_role(self, action: act.SetRole) -> None:
        """promoteChatMember: to an admin with what the bot may do itself, or back."""
        if action.role == "owner":
            raise UnsupportedAction("Telegram: only the owner can give a group away")
        place = encode_place(action.group)
        rights = dict.fromkeys(_ADMIN_RIGHTS, False)
        if action.role == "admin":
            rights = await self._own_rights(place)
        await self._api.change(
            "promoteChatMember", chat_id=place.chat, user_id=encode_user(action.user), **rights
        )

    async def set_title(self, action: act.SetTitle) -> None:
        """setChatAdministratorCustomTitle for an admin, setChatMemberTag for anybody else."""
        if len(action.title) > MAX_TITLE:
            raise BadParams(f"Telegram: a title has at most {MAX_TITLE} characters")
        place = encode_place(action.group)
        who = {"chat_id": place.chat, "user_id": encode_user(action.user)}
        member = await self._api.read("getChatMember", wire.ChatMember, **who)
        if role_of(member) == "member":
            await self._api.change("setChatMemberTag", **who, tag=action.title)
        else:
            await self._api.change(
                "setChatAdministratorCustomTitle", **who, custom_title=action.title
            )

    async def rename(self, action: act.RenameGroup) -> None:
        """setChatTitle; of a topic, editForumTopic."""
        place = encode_place(action.group)
        if place.thread is not None:
            await self._api.change("editForumTopic", **place.params(), name=action.name)
        else:
            await self._api.change("setChatTitle", chat_id=place.chat, title=action.name)

    async def leave(self, action: act.LeaveGroup) -> None:
        """leaveChat; a bot is nowhere the owner, so there is nothing to dissolve."""
        place = encode_place(action.group)
        if place.thread is not None:
            raise BadParams("Telegram: nobody leaves a topic, only its group")
        await self._api.change("leaveChat", chat_id=place.chat)

    async def answer(self, action: act.AnswerGroupRequest) -> None:
        """approveChatJoinRequest or declineChatJoinRequest; a bot is added without being asked."""
        group, _, user = action.flag.rpartition(":")
        if action.kind == "invite":
            raise UnsupportedAction("Telegram: a bot is added without being asked")
        method = "approveChatJoinRequest" if action.approve else "declineChatJoinRequest"
        chat = encode_place(ChatId(group)).chat
        await self._api.change(method, chat_id=chat, user_id=encode_user(UserId(user)))

    async def _own_rights(self, place: Place) -> dict[str, bool]:
        me = await self._known.me()
        fields = await self._api.read(
            "getChatMember", dict[str, Any], chat_id=place.chat, user_id=me.id
        )
        return {right: fields.get(right) is True for right in _ADMIN_RIGHTS}
