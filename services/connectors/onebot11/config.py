"""What is configured of an account behind an OneBot V11 implementation."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta, Struct

_URL = re.compile(r"(ws|wss|http|https)://[^\s/?#@]+(/[^\s?#]*)?")
_OPEN = (
    "no token, but other machines can connect as the upstream: set access_token here and there to"
    " a secret of 32 random bytes (openssl rand -hex 32 makes one)"
)


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """`onebot11.{account_id}`: one login at NapCat, Lagrange, LLOneBot, go-cqhttp, or an onebus."""

    url: Annotated[
        str,
        Meta(
            description="Where the upstream is: `ws://…`, its WebSocket server; `http://…`, its"
            " HTTP API, with its events posted here; empty: it connects to us"
        ),
    ] = ""
    access_token: Annotated[
        str, Meta(description="The upstream's access token; what it presents when it connects")
    ] = ""
    secret: Annotated[
        str, Meta(description="Key of `X-Signature` on what the upstream posts; required with HTTP")
    ] = ""
    self_id: Annotated[
        str, Meta(description="The account's own number; empty: whoever is logged in there")
    ] = ""
    pass_through: Annotated[
        bool, Meta(description="Hand actions through that OneBot V11 does not have")
    ] = True
    call_timeout: Annotated[
        float, Meta(gt=0, description="How long the upstream may take over a call, s")
    ] = 20.0
    silence: Annotated[
        float,
        Meta(ge=1, description="A WebSocket on which nothing was heard for so long is dead, s"),
    ] = 60.0
    post_window: Annotated[
        float, Meta(gt=0, description="How old or new an event that is posted here may be, s")
    ] = 300.0

    @property
    def transport(self) -> Literal["ws", "ws_reverse", "http"]:
        """How the upstream is reached; the address says it."""
        if not self.url:
            return "ws_reverse"
        return "ws" if self.url.startswith("ws") else "http"

    def problems(self, *, exposed: bool) -> Iterable[tuple[str, str]]:
        """What is wrong beyond types: key and text."""
        if self.url and not _URL.fullmatch(self.url):
            yield "url", "must be ws://host:port/path or http://host:port, without a query"
        if self.transport == "http" and not self.secret:
            yield "secret", "is empty: what is posted here is believed by its signature alone"
        if self.transport == "ws_reverse" and exposed and not self.access_token:
            yield "access_token", _OPEN
        if self.self_id and not self.self_id.isdecimal():
            yield "self_id", 'must be the account\'s number, such as "10001"'
