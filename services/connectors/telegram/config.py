"""What a Telegram account needs in its configuration."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta, Struct

_BASE_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]{20,}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_MODES = Literal["poll", "webhook"]


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """`telegram.{account_id}`: a bot of @BotFather, and how its updates come."""

    token: Annotated[str, Meta(description="The bot's token, from @BotFather")]
    mode: Annotated[_MODES, Meta(description="Ask for updates, or be called with them")] = "poll"
    webhook_secret: Annotated[
        str, Meta(description="What Telegram's calls carry; required with `mode: webhook`")
    ] = ""
    webhook_url: Annotated[
        str, Meta(description="Where Telegram calls; empty: below the top-level `public_url`")
    ] = ""
    base_url: Annotated[str, Meta(description="Where the Bot API is: Telegram's, or your own")] = (
        "https://api.telegram.org"
    )
    poll_timeout_s: Annotated[int, Meta(description="How long one poll waits for updates")] = 30
    album_window_s: Annotated[
        float, Meta(description="How long the pictures of an album are waited for, when polling")
    ] = 1.0
    messages_per_s: Annotated[int, Meta(description="How fast messages go out, in all")] = 30
    group_messages_per_min: Annotated[
        int, Meta(description="How fast messages go out into one group")
    ] = 20
    request_timeout_s: Annotated[float, Meta(description="How long any other call may take")] = 10.0

    @property
    def bot_id(self) -> int:
        """The bot's user id, which its token begins with."""
        return int(self.token.partition(":")[0])

    def problems(self, *, exposed: bool) -> Iterable[tuple[str, str]]:  # noqa: ARG002
        """What is wrong beyond types: key and text. A bind beyond loopback changes nothing here."""
        if not _TOKEN.fullmatch(self.token):
            yield "token", "is no token: it looks like 123456:ABC-DEF…; ask @BotFather for it"
        if self.mode == "webhook" and not self.webhook_secret:
            yield "webhook_secret", "is empty: anybody could call; set 1 to 256 of A-Z a-z 0-9 _ -"
        if self.webhook_secret and not _SECRET.fullmatch(self.webhook_secret):
            yield "webhook_secret", "must be 1 to 256 of A-Z a-z 0-9 _ -"
        if self.webhook_url and not _BASE_URL.fullmatch(self.webhook_url):
            yield "webhook_url", "must be https://host/path (or http://, with a server of your own)"
        if not _BASE_URL.fullmatch(self.base_url):
            yield "base_url", "must be https://host (or http://host), without a query"
        if not 0 <= self.poll_timeout_s <= 50:
            yield "poll_timeout_s", "must lie between 0 and 50"
        if not 0 <= self.album_window_s <= 10:
            yield "album_window_s", "must lie between 0 and 10"
        for key in ("messages_per_s", "group_messages_per_min", "request_timeout_s"):
            if getattr(self, key) <= 0:
                yield key, "must be more than 0"
