"""What becomes of one post: an answer, or none, and whether the bot may have taken it."""

from msgspec import Struct

from frontends.onebot_v11.reach import Trouble


class Reply(Struct, frozen=True):
    """What the bot answered; `retry_after_s` as it asked for, or 0."""

    status: int
    body: bytes
    retry_after_s: float = 0


class NotTaken(Exception):
    """The bot certainly has not taken it: no connection, or it said so."""

    def __init__(self, trouble: Trouble, retry_after_s: float = 0) -> None:
        self.trouble = trouble
        self.retry_after_s = retry_after_s


class NoAnswer(Exception):
    """Whether the bot took it is unknown."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
