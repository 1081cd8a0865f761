"""What becomes of one post: an answer, or none, and whether the bot may have taken it. Pure."""

from typing import Any

from msgspec import Struct

from frontends.onebot_v11.reach import Trouble
from onebus.codec import CodecError, decode

MAX_ANSWER_BYTES = 1 << 20
CUT = Trouble("the way to it was cut", "is its network up?")


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


class Cut(Exception):
    """Whether the bot took it is unknown, because the network between us was away."""

    trouble = CUT


def operation(body: bytes) -> dict[str, Any] | None:
    """The quick operation in an answer, None for an empty one. Raises CodecError."""
    if len(body) > MAX_ANSWER_BYTES:
        raise CodecError("it is larger than 1 MiB")
    if not body.strip():
        return None
    read = decode(body, object)
    if not isinstance(read, dict):
        raise CodecError("it is no JSON object")
    return read


def refused(status: int) -> Trouble:
    """What an answer that is no 2xx means, and what most likely helps."""
    fixes = {
        401: "compare secret with the bot's",
        403: "compare secret with the bot's",
        404: "compare the address: nonebot2 takes events at /onebot/v11/http, aiocqhttp at /",
    }
    hint = "redirects are not followed" if 300 <= status < 400 else "the bot's log may say why"
    return Trouble(f"the bot answered HTTP {status}", fixes.get(status, hint))
