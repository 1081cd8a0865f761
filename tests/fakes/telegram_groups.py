"""What a fake Bot API does to groups and their members."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes.telegram_checks import Params, bad, chat_of, need_admin
from tests.fakes.telegram_world import World


def member_setter(status: str) -> Callable[[World, Params], Any]:
    def change(world: World, params: Params) -> Any:
        chat, user = need_admin(world, params), int(params["user_id"])
        if user not in world.users:
            raise bad("PARTICIPANT_ID_INVALID")
        if world.member(chat, user)["status"] == "creator":
            raise bad("can't remove chat owner")
        world.effect(*world.member_change(chat, user, world.bot, status))
        return True

    return change


def unban(world: World, params: Params) -> Any:
    chat, user = need_admin(world, params), int(params["user_id"])
    if world.member(chat, user)["status"] == "kicked" or not params.get("only_if_banned"):
        world.effect(*world.member_change(chat, user, world.bot, "left"))
    return True


def restrict(world: World, params: Params) -> Any:
    chat, user = need_admin(world, params), int(params["user_id"])
    if world.member(chat, user)["status"] in ("creator", "administrator"):
        raise bad("can't restrict an administrator")
    if params["permissions"].get("can_send_messages"):
        world.effect(*world.member_change(chat, user, world.bot, "member"))
        return True
    rights = dict.fromkeys(RESTRICTED, False) | {"is_member": True}
    until = {"until_date": params.get("until_date", 0)}
    world.effect(*world.member_change(chat, user, world.bot, "restricted", **rights, **until))
    return True


RESTRICTED = (
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
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_manage_topics",
    "can_edit_tag",
    "can_react_to_messages",
)


def promote(world: World, params: Params) -> Any:
    chat, user = need_admin(world, params), int(params["user_id"])
    rights = {key: value for key, value in params.items() if key.startswith("can_")}
    mine = world.member(chat, world.bot)
    if any(on and not mine.get(key) for key, on in rights.items()):
        raise bad("RIGHT_FORBIDDEN")
    if any(rights.values()):
        world.effect(*world.member_change(chat, user, world.bot, "administrator", **rights))
    else:
        world.effect(*world.member_change(chat, user, world.bot, "member"))
    return True


def set_tag(world: World, params: Params) -> Any:
    chat, user = need_admin(world, params), int(params["user_id"])
    if world.member(chat, user)["status"] not in ("member", "restricted"):
        raise bad("user is not a regular member")
    if not world.member(chat, world.bot).get("can_manage_tags"):
        raise bad("not enough rights to edit tags")
    world.effect(*world.member_change(chat, user, world.bot, "member", tag=params["tag"]))
    return True


def custom_title(world: World, params: Params) -> Any:
    chat, user = need_admin(world, params), int(params["user_id"])
    if world.member(chat, user)["status"] != "administrator":
        raise bad("user is not an administrator")
    member = {k: v for k, v in world.member(chat, user).items() if k.startswith("can_")}
    title = params["custom_title"]
    world.effect(
        *world.member_change(chat, user, world.bot, "administrator", **member, custom_title=title)
    )
    return True


def chat_setter(field: str, parameter: str) -> Callable[[World, Params], Any]:
    def change(world: World, params: Params) -> Any:
        world.chats[need_admin(world, params)][field] = params[parameter]
        return True

    return change


def leave(world: World, params: Params) -> Any:
    chat = chat_of(world, params)
    world.effect(*world.member_change(chat, world.bot, world.bot, "left"))
    return True


def join_answer(status: str) -> Callable[[World, Params], Any]:
    def change(world: World, params: Params) -> Any:
        chat, user = need_admin(world, params), int(params["user_id"])
        if (chat, user) not in world.requests:
            raise bad("HIDE_REQUESTER_MISSING")
        world.requests.discard((chat, user))
        if status == "member":
            kind, body = world.member_change(chat, user, world.bot, status)
            world.effect(kind, body | {"via_join_request": True})
        return True

    return change


def topic(world: World, params: Params) -> Any:
    need_admin(world, params)
    if not params.get("message_thread_id"):
        raise bad("message thread not found")
    return True


GROUP_METHODS: Mapping[str, Callable[[World, Params], Any]] = {
    "banChatMember": member_setter("kicked"),
    "unbanChatMember": unban,
    "restrictChatMember": restrict,
    "promoteChatMember": promote,
    "setChatAdministratorCustomTitle": custom_title,
    "setChatMemberTag": set_tag,
    "setChatTitle": chat_setter("title", "title"),
    "setChatPermissions": chat_setter("permissions", "permissions"),
    "leaveChat": leave,
    "approveChatJoinRequest": join_answer("member"),
    "declineChatJoinRequest": join_answer("left"),
    "editForumTopic": topic,
    "closeForumTopic": topic,
    "reopenForumTopic": topic,
}
