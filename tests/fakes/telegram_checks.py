"""What every method of a fake Bot API checks first."""

from typing import Any

from tests.fakes.telegram_world import World

Params = dict[str, Any]


class Refused(Exception):
    """An answer with ok false."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def bad(text: str) -> Refused:
    return Refused(400, f"Bad Request: {text}")


def chat_of(world: World, params: Params) -> int:
    chat = params.get("chat_id")
    if chat in (None, ""):
        raise bad("chat_id is empty")
    if int(chat) not in world.chats:
        raise bad("chat not found")
    if world.member(int(chat), world.bot)["status"] in ("left", "kicked") and int(chat) < 0:
        raise Refused(403, "Forbidden: bot is not a member of the supergroup chat")
    return int(chat)


def need_admin(world: World, params: Params) -> int:
    chat = chat_of(world, params)
    if world.chats[chat]["type"] == "private":
        raise bad("method is available only for groups")
    if not world.bot_is_admin(chat):
        raise bad("not enough rights to restrict/unrestrict chat member")
    return chat
