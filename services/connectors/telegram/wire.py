"""What the Bot API sends, as far as the connector reads it; unknown fields are ignored.

Source: https://core.telegram.org/bots/api#available-types. What has no Struct here stays the
dictionary that it came as, so that a kind of content from a later version is kept whole.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Raw, Struct, field

Fields: TypeAlias = Mapping[str, Any]


class User(Struct, frozen=True):
    """https://core.telegram.org/bots/api#user; `can_read_all_group_messages` is getMe's alone."""

    id: int
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    username: str = ""
    can_read_all_group_messages: bool = True

    @property
    def name(self) -> str:
        """What people call them."""
        return f"{self.first_name} {self.last_name}".strip()


class Chat(Struct, frozen=True):
    """https://core.telegram.org/bots/api#chat and, for `permissions`, #chatfullinfo."""

    id: int
    type: str
    title: str = ""
    username: str = ""
    first_name: str = ""
    last_name: str = ""
    is_forum: bool = False
    permissions: dict[str, bool] = {}


class Entity(Struct, frozen=True):
    """https://core.telegram.org/bots/api#messageentity; offset and length in UTF-16 units."""

    type: str
    offset: int
    length: int
    url: str = ""
    user: User | None = None
    custom_emoji_id: str = ""


class FileInfo(Struct, frozen=True):
    """What all media share; https://core.telegram.org/bots/api#document and its neighbours."""

    file_id: str
    file_size: int | None = None
    file_name: str = ""
    mime_type: str = ""
    title: str = ""
    performer: str = ""
    emoji: str = ""
    is_animated: bool = False
    is_video: bool = False


class Location(Struct, frozen=True):
    """https://core.telegram.org/bots/api#location"""

    latitude: float
    longitude: float


class Venue(Struct, frozen=True):
    """https://core.telegram.org/bots/api#venue"""

    location: Location
    title: str = ""
    address: str = ""


class Contact(Struct, frozen=True):
    """https://core.telegram.org/bots/api#contact"""

    user_id: int | None = None


class Dice(Struct, frozen=True):
    """https://core.telegram.org/bots/api#dice"""

    emoji: str
    value: int


class ForumTopic(Struct, frozen=True):
    """https://core.telegram.org/bots/api#forumtopiccreated and #forumtopicedited"""

    name: str = ""


class Message(Struct, frozen=True):
    """https://core.telegram.org/bots/api#message"""

    message_id: int
    date: int
    chat: Chat
    sender: User | None = field(default=None, name="from")
    sender_chat: Chat | None = None
    author_signature: str = ""
    sender_tag: str = ""
    message_thread_id: int | None = None
    is_topic_message: bool = False
    reply_to_message: dict[str, Any] | None = None
    edit_date: int | None = None
    media_group_id: str = ""
    text: str = ""
    entities: tuple[Entity, ...] = ()
    caption: str = ""
    caption_entities: tuple[Entity, ...] = ()
    show_caption_above_media: bool = False
    photo: tuple[FileInfo, ...] = ()
    animation: FileInfo | None = None
    audio: FileInfo | None = None
    document: FileInfo | None = None
    sticker: FileInfo | None = None
    video: FileInfo | None = None
    video_note: FileInfo | None = None
    voice: FileInfo | None = None
    location: Location | None = None
    venue: Venue | None = None
    contact: Contact | None = None
    dice: Dice | None = None
    new_chat_members: tuple[User, ...] = ()
    left_chat_member: User | None = None
    new_chat_title: str = ""
    pinned_message: dict[str, Any] | None = None
    forum_topic_created: ForumTopic | None = None
    forum_topic_edited: ForumTopic | None = None


class ChatMember(Struct, frozen=True):
    """https://core.telegram.org/bots/api#chatmember, all six kinds; the rights are not here."""

    status: str
    user: User
    custom_title: str = ""
    tag: str = ""
    is_anonymous: bool = False
    is_member: bool = False
    can_send_messages: bool = True
    until_date: int = 0

    @property
    def title(self) -> str:
        """What stands beside their name: an admin's title, or a member's tag."""
        return self.custom_title or self.tag


class ChatMemberUpdated(Struct, frozen=True):
    """https://core.telegram.org/bots/api#chatmemberupdated"""

    chat: Chat
    sender: User = field(name="from")
    date: int
    old_chat_member: ChatMember
    new_chat_member: ChatMember
    via_join_request: bool = False


class ChatJoinRequest(Struct, frozen=True):
    """https://core.telegram.org/bots/api#chatjoinrequest"""

    chat: Chat
    sender: User = field(name="from")
    date: int
    bio: str = ""


class Reaction(Struct, frozen=True):
    """https://core.telegram.org/bots/api#reactiontype"""

    type: str
    emoji: str = ""
    custom_emoji_id: str = ""


class MessageReaction(Struct, frozen=True):
    """https://core.telegram.org/bots/api#messagereactionupdated"""

    chat: Chat
    message_id: int
    date: int
    user: User | None = None
    actor_chat: Chat | None = None
    old_reaction: tuple[Reaction, ...] = ()
    new_reaction: tuple[Reaction, ...] = ()


class CallbackQuery(Struct, frozen=True):
    """https://core.telegram.org/bots/api#callbackquery"""

    id: str
    sender: User = field(name="from")
    message: dict[str, Any] | None = None
    data: str = ""
    game_short_name: str = ""


class PollAnswer(Struct, frozen=True):
    """https://core.telegram.org/bots/api#pollanswer"""

    poll_id: str
    user: User | None = None
    voter_chat: Chat | None = None
    option_ids: tuple[int, ...] = ()


class File(Struct, frozen=True):
    """https://core.telegram.org/bots/api#file"""

    file_id: str
    file_size: int | None = None
    file_path: str = ""


class WebhookInfo(Struct, frozen=True):
    """https://core.telegram.org/bots/api#webhookinfo"""

    url: str = ""


class Parameters(Struct, frozen=True):
    """https://core.telegram.org/bots/api#responseparameters"""

    migrate_to_chat_id: int | None = None
    retry_after: float | None = None


class Envelope(Struct, frozen=True):
    """Around each answer. https://core.telegram.org/bots/api#making-requests"""

    ok: bool
    result: Raw = Raw(b"null")
    error_code: int = 0
    description: str = ""
    parameters: Parameters = Parameters()
