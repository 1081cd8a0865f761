"""What is configured of a sandbox account."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from connectors.sandbox.state import MAX_ID

_OPEN = (
    "no token, but other machines can reach the sandbox's page: set access_token to a secret of 32"
    " random bytes (openssl rand -hex 32 makes one), or host to 127.0.0.1, or loopback_only: true"
    " where the address is a container's own and only this machine's loopback reaches it"
)


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """A sandbox account."""

    nickname: Annotated[
        str, Meta(min_length=1, max_length=MAX_ID, description="What the bot is called")
    ] = "Sandbox bot"
    access_token: Annotated[
        str, Meta(description="What the page and its REST ask for; empty: nothing")
    ] = ""

    def problems(self, *, exposed: bool) -> Iterable[tuple[str, str]]:
        """A page that anybody could use, where other machines reach it."""
        if exposed and not self.access_token:
            yield "access_token", _OPEN
        if not self.nickname.isprintable() or self.nickname != self.nickname.strip():
            yield "nickname", "must be printable, without space at either end"
