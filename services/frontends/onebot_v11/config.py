"""The `onebot.v11` block of an account: which transports it has, and how they behave.

Names and defaults are those that OneBot V11 suggests
(https://github.com/botuniverse/onebot-11/tree/master/communication); times are in milliseconds.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

_Milliseconds = Annotated[int, Meta(ge=0)]
_Interval = Annotated[int, Meta(gt=0)]

_NOT_YET = "not available yet; leave it out"
_OPEN = (
    "no token, but other machines can reach this address: set access_token to a secret of 32"
    " random bytes (openssl rand -hex 32 makes one), or host to 127.0.0.1, or loopback_only: true"
    " where the address is a container's own and only this machine's loopback reaches it"
)


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """What bots get of one account; each account's block overrides `general` key by key.

    `secret` signs what is pushed over HTTP. `ws_reverse_api_url` and `ws_reverse_event_url` take
    the place of `ws_reverse_url` where a bot wants two connections. `ws_reverse` and
    `http_reverse` list further targets.
    """

    use_http: Annotated[bool, Meta(description="Actions by HTTP")] = True
    use_ws: Annotated[bool, Meta(description="Actions and events by WebSocket")] = False
    use_ws_reverse: Annotated[bool, Meta(description="Connect to the bot; not available yet")] = (
        False
    )
    access_token: Annotated[str, Meta(description="What a bot must present; empty: nothing")] = ""
    secret: Annotated[str, Meta(description="Key of X-Signature on pushed events")] = ""
    post_timeout: Annotated[
        _Milliseconds, Meta(description="How long a push waits for its answer, ms; 0: for ever")
    ] = 5000
    post_message_format: Annotated[
        Literal["string", "array"], Meta(description="How events give a message")
    ] = "string"
    enable_heartbeat: Annotated[bool, Meta(description="Send heartbeat events")] = False
    heartbeat_interval: Annotated[_Interval, Meta(description="Between two heartbeats, ms")] = 15000
    enable_cors: Annotated[bool, Meta(description="Let web pages call; not available yet")] = False
    ws_reverse_url: Annotated[str, Meta(description="The bot's address, ws:// or wss://")] = ""
    ws_reverse_api_url: Annotated[str, Meta(description="Its address for actions alone")] = ""
    ws_reverse_event_url: Annotated[str, Meta(description="Its address for events alone")] = ""
    ws_reverse_reconnect_interval: Annotated[
        _Interval, Meta(description="Before connecting again, ms")
    ] = 3000
    ws_reverse: Annotated[
        tuple[str | dict[str, Any], ...],
        Meta(description="Further bots to connect to; not available yet"),
    ] = ()
    http_reverse: Annotated[
        tuple[str | dict[str, Any], ...],
        Meta(description="Where events are pushed by HTTP; not available yet"),
    ] = ()

    def problems(self, *, exposed: bool) -> Iterable[tuple[str, str]]:
        """Transports that are still to come, and a server that anybody could use."""
        for key in ("use_ws_reverse", "ws_reverse", "http_reverse", "enable_cors"):
            if getattr(self, key):
                yield key, _NOT_YET
        if exposed and not self.access_token and (self.use_http or self.use_ws):
            yield "access_token", _OPEN
