"""The methods of a fake Bot API: what each refuses, and what it does to the world.

Source: https://core.telegram.org/bots/api#available-methods, the method that each function names.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes.telegram_checks import Params, Refused, bad, chat_of
from tests.fakes.telegram_groups import GROUP_METHODS
from tests.fakes.telegram_world import World

MAX_TEXT_UNITS = 4096
MAX_CAPTION_UNITS = 1024
MAX_PHOTO_BYTES = 10 << 20
MAX_FILE_BYTES = 50 << 20
MAX_DOWNLOAD_BYTES = 20 << 20
EMOJI = "👍👎❤🔥🥰👏😁🤔🤯😱🤬😢🎉🤩🤮💩🙏👌🕊🤡"


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def message_of(world: World, params: Params, what: str) -> dict[str, Any]:
    found = world.messages.get((chat_of(world, params), int(params["message_id"])))
    if found is None:
        raise bad(f"message to {what} not found")
    return found


def checked(text: str, entities: Any, limit: int, what: str) -> dict[str, Any]:
    """A text with its entities, which must lie inside of it."""
    if units(text) > limit:
        raise bad(f"{what} is too long")
    for entity in entities or []:
        inside = 0 <= entity["offset"] < entity["offset"] + entity["length"] <= units(text)
        if not inside:
            raise bad(f"entity beginning at UTF-16 offset {entity['offset']} ends after the text")
        if entity["type"] == "text_mention" and not isinstance(entity["user"]["id"], int):
            raise bad("can't parse entities")
    name = "entities" if what == "message" else "caption_entities"
    words = {"text" if what == "message" else "caption": text}
    return words | ({name: entities} if entities else {})


def caption(params: Params) -> dict[str, Any]:
    if not params.get("caption"):
        return {}
    above = {"show_caption_above_media": True} if params.get("show_caption_above_media") else {}
    given = checked(
        params["caption"], params.get("caption_entities"), MAX_CAPTION_UNITS, "message caption"
    )
    return given | above


def sent(world: World, params: Params, content: dict[str, Any]) -> dict[str, Any]:
    """A message of the bot."""
    chat = chat_of(world, params)
    reply = params.get("reply_parameters")
    if reply:
        answered = world.messages.get((chat, int(reply["message_id"])))
        if answered is None and not reply.get("allow_sending_without_reply"):
            raise bad("message to be replied not found")
        if answered:
            content = {**content, "reply_to_message": answered}
    if thread := params.get("message_thread_id"):
        content = {**content, "message_thread_id": int(thread), "is_topic_message": True}
    channel = world.chats[chat]["type"] == "channel"
    author = {"sender_chat": world.chats[chat]} if channel else {}
    message = world.message(chat, None if channel else world.bot, **author, **content)
    world.sent.append(message)
    return message


def send_message(world: World, params: Params) -> Any:
    chat_of(world, params)
    if not params.get("text", "").strip():
        raise bad("message text is empty")
    content = checked(params["text"], params.get("entities"), MAX_TEXT_UNITS, "message")
    return sent(world, params, content)


def file_of(world: World, params: Params, kind: str, given: Any) -> str:
    """A file_id of this kind, an uploaded part, or `attach://` and the name of one."""
    if isinstance(given, str) and given.startswith("attach://"):
        given = params.get(given.removeprefix("attach://"))
    if isinstance(given, tuple):
        name, content_type, body = given
        if not body:
            raise bad("file must be non-empty")
        if len(body) > (MAX_PHOTO_BYTES if kind == "photo" else MAX_FILE_BYTES):
            raise Refused(413, "Request Entity Too Large")
        if kind == "photo" and not body.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF")):
            raise bad("IMAGE_PROCESS_FAILED")
        return world.keep(kind, body, name, content_type)
    if not isinstance(given, str) or given not in world.files:
        raise bad("wrong file identifier/HTTP URL specified")
    if world.files[given].kind != kind:
        raise bad(f"can't use file of type {world.files[given].kind} as {kind}")
    return given


def sender_of(kind: str, *, captioned: bool = True) -> Callable[[World, Params], Any]:
    def send(world: World, params: Params) -> Any:
        chat_of(world, params)
        if not params.get(kind):
            raise bad(f"there is no {kind} in the request")
        file_id = file_of(world, params, kind, params[kind])
        words = caption(params) if captioned else {}
        return sent(world, params, world.media(kind, file_id) | words)

    return send


def send_media_group(world: World, params: Params) -> Any:
    media = params.get("media") or []
    if not 2 <= len(media) <= 10:
        raise bad("media group must have 2 to 10 items")
    kinds = {entry["type"] for entry in media}
    if not (kinds <= {"photo", "video"} or kinds in ({"document"}, {"audio"})):
        raise bad("can't mix types in an album")
    contents = [
        world.media(entry["type"], file_of(world, params, entry["type"], entry["media"]))
        | caption(entry)
        for entry in media
    ]
    group = str(len(world.messages) + 13_000_000_000)
    return [sent(world, params, content | {"media_group_id": group}) for content in contents]


def send_location(world: World, params: Params) -> Any:
    where = {key: float(params[key]) for key in ("latitude", "longitude")}
    return sent(world, params, {"location": where})


def send_venue(world: World, params: Params) -> Any:
    where = {key: float(params[key]) for key in ("latitude", "longitude")}
    if not params.get("title") or not params.get("address"):
        raise bad("title and address are required")
    venue = {"location": where, "title": params["title"], "address": params["address"]}
    return sent(world, params, {"venue": venue, "location": where})


def send_dice(world: World, params: Params) -> Any:
    return sent(world, params, {"dice": {"emoji": "🎲", "value": 4}})


def edit(world: World, params: Params, field: str) -> Any:
    message = message_of(world, params, "edit")
    if message.get("from", {}).get("id") != world.bot:
        raise bad("message can't be edited")
    if field == "text" and "text" not in message:
        raise bad("there is no text in the message to edit")
    if message.get(field) == params[field]:
        raise bad("message is not modified: specified new message content is the same")
    message[field] = params[field]
    message["edit_date"] = world.tick()
    return message


def delete_message(world: World, params: Params) -> Any:
    message = message_of(world, params, "delete")
    own = message.get("from", {}).get("id") == world.bot
    if not own and not world.bot_is_admin(message["chat"]["id"]):
        raise bad("message can't be deleted")
    del world.messages[message["chat"]["id"], message["message_id"]]
    return True


def delete_messages(world: World, params: Params) -> Any:
    if not 1 <= len(params["message_ids"]) <= 100:
        raise bad("too many message identifiers specified")
    for number in params["message_ids"]:
        world.messages.pop((chat_of(world, params), int(number)), None)
    return True


def pin(world: World, params: Params) -> Any:
    message = message_of(world, params, "pin")
    world.pinned[message["chat"]["id"]].append(message["message_id"])
    return True


def unpin(world: World, params: Params) -> Any:
    message = message_of(world, params, "unpin")
    if message["message_id"] not in world.pinned[message["chat"]["id"]]:
        raise bad("CHAT_NOT_MODIFIED")
    world.pinned[message["chat"]["id"]].remove(message["message_id"])
    return True


def react(world: World, params: Params) -> Any:
    message = message_of(world, params, "react")
    reaction = params.get("reaction") or []
    for one in reaction:
        if one["type"] == "emoji" and one["emoji"] not in EMOJI:
            raise bad("REACTION_INVALID")
    world.reactions[message["chat"]["id"], message["message_id"]] = reaction
    return True


def get_chat(world: World, params: Params) -> Any:
    chat = int(params["chat_id"])
    if chat not in world.chats:
        raise bad("chat not found")
    more = {"accent_color_id": 1, "max_reaction_count": 11, "accepted_gift_types": _GIFTS}
    return world.chats[chat] | more


_GIFTS = {
    "unlimited_gifts": True,
    "limited_gifts": True,
    "unique_gifts": True,
    "premium_subscription": True,
    "gifts_from_channels": True,
}


def get_chat_member(world: World, params: Params) -> Any:
    chat, user = chat_of(world, params), int(params["user_id"])
    if user not in world.users:
        raise bad("invalid user_id specified")
    return world.member(chat, user)


def list_admins(world: World, params: Params) -> Any:
    chat = chat_of(world, params)
    if world.chats[chat]["type"] == "private":
        raise bad("there are no administrators in the private chat")
    there = ("creator", "administrator")
    found = (one for key, one in world.members.items() if key[0] == chat)
    mine = world.bot
    return [
        one
        for one in found
        if one["status"] in there and (not one["user"]["is_bot"] or one["user"]["id"] == mine)
    ]


def count_members(world: World, params: Params) -> Any:
    chat = chat_of(world, params)
    there = ("creator", "administrator", "member", "restricted")
    return sum(key[0] == chat and one["status"] in there for key, one in world.members.items())


def get_file(world: World, params: Params) -> Any:
    file = world.files.get(params["file_id"])
    if file is None:
        raise bad("invalid file_id")
    if len(file.body) > MAX_DOWNLOAD_BYTES:
        raise bad("file is too big")
    suffix = {"photo": "jpg", "voice": "oga", "video": "mp4", "sticker": "webp"}.get(
        file.kind, "bin"
    )
    path = f"{file.kind}s/{params['file_id']}.{suffix}"
    root = "/var/lib/telegram-bot-api/" if world.local else ""
    return world.described(params["file_id"]) | {"file_path": root + path}


def answer_callback(world: World, params: Params) -> Any:
    world.answered.append(params["callback_query_id"])
    return True


METHODS: Mapping[str, Callable[[World, Params], Any]] = {
    **GROUP_METHODS,
    "getMe": lambda world, _: world.users[world.bot] | {"can_read_all_group_messages": True},
    "sendMessage": send_message,
    "sendPhoto": sender_of("photo"),
    "sendAnimation": sender_of("animation"),
    "sendVideo": sender_of("video"),
    "sendVideoNote": sender_of("video_note", captioned=False),
    "sendVoice": sender_of("voice"),
    "sendAudio": sender_of("audio"),
    "sendDocument": sender_of("document"),
    "sendSticker": sender_of("sticker", captioned=False),
    "sendMediaGroup": send_media_group,
    "sendLocation": send_location,
    "sendVenue": send_venue,
    "sendDice": send_dice,
    "editMessageText": lambda world, params: edit(world, params, "text"),
    "editMessageCaption": lambda world, params: edit(world, params, "caption"),
    "deleteMessage": delete_message,
    "deleteMessages": delete_messages,
    "pinChatMessage": pin,
    "unpinChatMessage": unpin,
    "setMessageReaction": react,
    "getChat": get_chat,
    "getChatMember": get_chat_member,
    "getChatAdministrators": list_admins,
    "getChatMemberCount": count_members,
    "getFile": get_file,
    "answerCallbackQuery": answer_callback,
}
