"""What the sandbox keeps beside its groups: people, requests, chats and the account; pure.

Every change takes a document and gives the changed one.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from onebus.errors import Forbidden, RateLimited
from onebus.event import Chat, Sex, User
from onebus.ids import ChatId, MessageId, UserId

MAX_LIKES_A_DAY = 10
DAY_S = 24 * 3600
MAX_PINS = 100
MAX_REACTED = 1_000
"""Messages of a chat whose reactions are remembered."""
MAX_EMOJI = 50
"""Different reactions on one message."""
MAX_REACTING = 200
"""Users with the same reaction on one message."""
MAX_FILES = 200

RequestKind: TypeAlias = Literal["friend", "add", "invite"]
Answer: TypeAlias = Literal["approved", "refused"]


class Person(Struct, frozen=True, omit_defaults=True):
    """Somebody on the sandbox, as the bot knows them.

    `friend` is None for who neither wrote privately nor was ever asked: writing makes a friend of
    them, but not of one who was a friend before. `likes_today` counts on the day `liked_day`.
    """

    id: UserId
    name: str
    sex: Sex = "unknown"
    age: int = 0
    remark: str = ""
    friend: bool | None = None
    likes: int = 0
    likes_today: int = 0
    liked_day: int = 0

    @property
    def user(self) -> User:
        """The person as the bus has them."""
        return User(self.id, self.name, self.sex, self.age, self.remark)


class Request(Struct, frozen=True, omit_defaults=True):
    """Somebody asked to be a friend, to join (`add`), or for the bot to join (`invite`)."""

    flag: str
    kind: RequestKind
    user: UserId
    comment: str
    asked_at_s: int
    group: ChatId | None = None
    answer: Answer | None = None
    remark: str = ""
    reason: str = ""


class Pin(Struct, frozen=True):
    """Who pinned a message, and when."""

    operator: UserId
    at_s: int


class StoredFile(Struct, frozen=True):
    """A file of a chat, of which the sandbox keeps the address alone."""

    id: str
    name: str
    url: str
    size_bytes: int
    user: UserId


class Board(Struct, frozen=True, omit_defaults=True):
    """What a chat has besides its messages.

    `read`: up to which message the bot has read.
    """

    chat: Chat
    pins: dict[MessageId, Pin] = {}
    reactions: dict[MessageId, dict[str, tuple[UserId, ...]]] = {}
    files: tuple[StoredFile, ...] = ()
    read: MessageId | None = None


class Status(Struct, frozen=True, omit_defaults=True):
    """What became of the account itself."""

    online: bool = True
    reason: str = ""
    restarts: int = 0
    caches_cleared: int = 0


PersonChange = Callable[[Person], Person]
BoardChange = Callable[[Board], Board]


def described(name: str = "", sex: Sex | None = None, age: int | None = None) -> PersonChange:
    """The person is called so, and is so; what is not given stays."""
    return lambda person: replace(
        person,
        name=name or person.name,
        sex=person.sex if sex is None else sex,
        age=person.age if age is None else age,
    )


def met(person: Person) -> Person:
    """Who writes privately for the first time becomes a friend."""
    return replace(person, friend=True) if person.friend is None else person


def with_friend(friend: bool, remark: str = "") -> PersonChange:
    """The person is a friend, called so by the bot, or is none any more."""
    return lambda person: replace(person, friend=friend, remark=remark)


def with_remark(remark: str) -> PersonChange:
    """The person is called so by the bot."""
    return lambda person: replace(person, remark=remark)


def with_likes(times: int, now_s: int) -> PersonChange:
    """The bot praised the person so many times. Raises RateLimited."""
    day, into_day_s = divmod(now_s, DAY_S)

    def change(person: Person) -> Person:
        today = times + (person.likes_today if person.liked_day == day else 0)
        if today > MAX_LIKES_A_DAY:
            raise RateLimited(
                f"{person.id} can be liked {MAX_LIKES_A_DAY} times a day",
                retry_after_s=DAY_S - into_day_s,
            )
        return replace(person, likes=person.likes + times, likes_today=today, liked_day=day)

    return change


def answered(request: Request, approve: bool, remark: str, reason: str) -> Request:
    """The request with its answer; the same answer again changes nothing. Raises Forbidden."""
    answer: Answer = "approved" if approve else "refused"
    if request.answer == answer:
        return request
    if request.answer:
        raise Forbidden(f"the request {request.flag} was {request.answer} already")
    remark, reason = (remark, "") if approve else ("", reason)
    return replace(request, answer=answer, remark=remark, reason=reason)


def with_pin(message: MessageId, pin: Pin | None) -> BoardChange:
    """The message is pinned, or not any more. Raises Forbidden."""

    def change(board: Board) -> Board:
        pins = {known: other for known, other in board.pins.items() if known != message}
        if pin:
            pins[message] = board.pins.get(message, pin)
        if len(pins) > MAX_PINS:
            raise Forbidden(f"a chat has at most {MAX_PINS} pinned messages")
        return replace(board, pins=pins)

    return change


def with_reaction(message: MessageId, emoji: str, user: UserId, added: bool) -> BoardChange:
    """The user's reaction is on the message, or off it. Raises Forbidden."""

    def change(board: Board) -> Board:
        of_message = dict(board.reactions.get(message, {}))
        users = tuple(other for other in of_message.pop(emoji, ()) if other != user)
        if added:
            users = (*users, user)
        if users:
            of_message[emoji] = users
        if len(of_message) > MAX_EMOJI or len(users) > MAX_REACTING:
            raise Forbidden("this message has all the reactions that there is room for")
        reactions = {known: r for known, r in board.reactions.items() if known != message}
        if of_message:
            reactions[message] = of_message
        return replace(board, reactions=dict(list(reactions.items())[-MAX_REACTED:]))

    return change


def with_file(file: StoredFile) -> BoardChange:
    """The file is in the chat; the oldest is forgotten when there are too many."""

    def change(board: Board) -> Board:
        rest = (other for other in board.files if other.id != file.id)
        return replace(board, files=(*rest, file)[-MAX_FILES:])

    return change


def with_read(message: MessageId) -> BoardChange:
    """The bot has read up to this message."""
    return lambda board: replace(board, read=message)
