"""The people, groups, messages and files of a fake Telegram, and what can happen among them."""

import hashlib
from collections import defaultdict
from typing import Any, NamedTuple

NOW_S = 1_767_225_600
ADMIN_RIGHTS = (
    "can_be_edited",
    "is_anonymous",
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
)


class StoredFile(NamedTuple):
    """A file as Telegram keeps it."""

    kind: str
    name: str
    content_type: str
    body: bytes


def id_of_file(kind: str, body: bytes, name: str = "") -> str:
    """The file_id of a file, another one for each kind."""
    return "AgAC" + hashlib.sha256(kind.encode() + name.encode() + body).hexdigest()[:32]


class World:
    """Everything that the API shows of itself. Times stand still but count on."""

    def __init__(self, bot: int, username: str) -> None:
        self.bot = bot
        self.users: dict[int, dict[str, Any]] = {}
        self.chats: dict[int, dict[str, Any]] = {}
        self.members: dict[tuple[int, int], dict[str, Any]] = {}
        self.messages: dict[tuple[int, int], dict[str, Any]] = {}
        self.sent: list[dict[str, Any]] = []
        self.files: dict[str, StoredFile] = {}
        self.reactions: dict[tuple[int, int], list[Any]] = {}
        self.pinned: dict[int, list[int]] = defaultdict(list)
        self.requests: set[tuple[int, int]] = set()
        self.answered: list[str] = []
        self.now_s = NOW_S
        self.local = False
        """Whether files are named by where they lie on the server's disk, as with --local."""
        self._ids: dict[int, int] = defaultdict(int)
        self._effects: list[tuple[str, dict[str, Any]]] = []
        self.user(bot, "Onebus", username=username, is_bot=True)

    def user(self, number: int, first_name: str, **more: Any) -> dict[str, Any]:
        """A person, with a private chat to the bot."""
        user: dict[str, Any] = {"id": number, "is_bot": False, "first_name": first_name, **more}
        self.users[number] = user
        names = ("first_name", "last_name", "username")
        shown = {key: value for key, value in user.items() if key in names}
        self.chats[number] = {"id": number, "type": "private", **shown}
        return user

    def group(
        self, number: int, title: str, kind: str = "supergroup", **more: Any
    ) -> dict[str, Any]:
        """A group or channel with the bot as a plain member."""
        self.chats[number] = {"id": number, "type": kind, "title": title, **more}
        self.set_member(number, self.bot, "member")
        return self.chats[number]

    def set_member(self, chat: int, user: int, status: str, **more: Any) -> dict[str, Any]:
        """What somebody is in a group."""
        member: dict[str, Any] = {"status": status, "user": self.users[user]}
        if status == "administrator":
            member |= dict.fromkeys(ADMIN_RIGHTS, False)
        if status == "kicked":
            member["until_date"] = 0
        member |= more
        self.members[chat, user] = member
        return member

    def member(self, chat: int, user: int) -> dict[str, Any]:
        """What somebody is in a group; who never was there has left."""
        return self.members.get((chat, user), {"status": "left", "user": self.users[user]})

    def bot_is_admin(self, chat: int) -> bool:
        return bool(self.member(chat, self.bot)["status"] == "administrator")

    def tick(self) -> int:
        self.now_s += 1
        return self.now_s

    def message(self, chat: int, user: int | None, **content: Any) -> dict[str, Any]:
        """A message of somebody, stored under the next number of its chat."""
        self._ids[chat] += 1
        message: dict[str, Any] = {
            "message_id": self._ids[chat],
            "chat": {key: value for key, value in self.chats[chat].items() if key != "permissions"},
            "date": self.tick(),
            **({"from": self.users[user]} if user is not None else {}),
            **content,
        }
        self.messages[chat, message["message_id"]] = message
        return message

    def member_change(
        self, chat: int, user: int, actor: int, status: str, **more: Any
    ) -> tuple[str, dict[str, Any]]:
        """Make somebody something in a group; the kind and body of the update that says so."""
        old = self.member(chat, user)
        new = self.set_member(chat, user, status, **more)
        kind = "my_chat_member" if user == self.bot else "chat_member"
        body = {
            "chat": self.chats[chat],
            "from": self.users[actor],
            "date": self.tick(),
            "old_chat_member": old,
            "new_chat_member": new,
        }
        return kind, body

    def effect(self, kind: str, body: dict[str, Any]) -> None:
        """Something that a call of the bot has made happen; only admins hear of members."""
        if kind != "chat_member" or self.bot_is_admin(body["chat"]["id"]):
            self._effects.append((kind, body))

    def taken_effects(self) -> list[tuple[str, dict[str, Any]]]:
        taken, self._effects = self._effects, []
        return taken

    def keep(self, kind: str, body: bytes, name: str = "", content_type: str = "") -> str:
        """Store a file; its id."""
        file_id = id_of_file(kind, body, name)
        self.files[file_id] = StoredFile(kind, name, content_type, body)
        return file_id

    def file_at(self, path: str) -> StoredFile | None:
        return self.files.get(path.rpartition("/")[2].partition(".")[0])

    def described(self, file_id: str) -> dict[str, Any]:
        """A file as a message shows it."""
        file = self.files[file_id]
        described: dict[str, Any] = {
            "file_id": file_id,
            "file_unique_id": file_id[-16:],
            "file_size": len(file.body),
        }
        if file.kind in ("photo", "video", "animation", "sticker"):
            described |= {"width": 90, "height": 90}
        if file.kind in ("video", "animation", "voice", "audio", "video_note"):
            described["duration"] = 1
        if file.kind == "video_note":
            described["length"] = 90
        if file.kind == "sticker":
            described |= {"type": "regular", "is_animated": False, "is_video": False, "emoji": "😀"}
        if file.kind in ("document", "video", "animation", "audio"):
            described |= {"file_name": file.name, "mime_type": file.content_type}
        if file.kind == "voice":
            described["mime_type"] = file.content_type
        return described

    def media(self, kind: str, file_id: str) -> dict[str, Any]:
        """The field of a message that a file is."""
        described = self.described(file_id)
        if kind == "photo":
            small = {**described, "width": 9, "height": 9, "file_id": f"{file_id}s"}
            return {"photo": [small, described]}
        if kind == "animation":
            return {"animation": described, "document": described}
        return {kind: described}
