"""A bot that onebus goes to, as the configuration lists it in `ws_reverse` and `http_reverse`.

An entry is an address, or a map with settings of its own; what it does not set is the account's.
"""

import re
from collections.abc import Collection, Iterable
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import Meta, Struct

WS_SCHEMES = ("ws", "wss")
HTTP_SCHEMES = ("http", "https")

_Interval = Annotated[int, Meta(gt=0)]
_Milliseconds = Annotated[int, Meta(ge=0)]
_EVENT_NAME = re.compile(r"(message|message_sent|notice|request)(\.[a-z_]+)*")


class Endpoint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What both kinds have in common."""

    url: Annotated[str, Meta(description="The bot's address")]
    access_token: Annotated[
        str | None,
        Meta(
            description="Presented to the bot; empty: nothing is. HTTP POST presents this one"
            " only, never the account's"
        ),
    ] = None
    secret: Annotated[
        str | None,
        Meta(description="Key of X-Signature on HTTP POST; a WebSocket carries no signature"),
    ] = None
    message_format: Annotated[
        Literal["string", "array"] | None, Meta(description="How events give a message")
    ] = None
    events: Annotated[
        tuple[str, ...],
        Meta(
            description="Only these, as message or notice.group_increase; none given: all."
            " Meta events come anyway"
        ),
    ] = ()
    enable_heartbeat: Annotated[bool | None, Meta(description="Send heartbeat events")] = None
    heartbeat_interval: Annotated[
        _Interval | None, Meta(description="Between two heartbeats, ms")
    ] = None
    async_as_ok: Annotated[bool | None, Meta(description="As for the account")] = None
    quick_operation_at_sender_default: Annotated[
        bool | None, Meta(description="As for the account")
    ] = None
    report_self_message: Annotated[bool | None, Meta(description="As for the account")] = None
    replay_window: Annotated[_Milliseconds | None, Meta(description="As for the account")] = None

    def problems(self) -> Iterable[tuple[str, str]]:
        """What is wrong beside the address, as (key, text with the fix)."""
        for index, name in enumerate(self.events):
            if not _EVENT_NAME.fullmatch(name):
                yield (
                    f"events[{index}]",
                    "expected message, notice or request, with .detail behind it or not",
                )
        if problem := replay_problem(self.replay_window):
            yield "replay_window", problem


class WsEndpoint(Endpoint, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bot that waits for a WebSocket."""

    use_universal: Annotated[
        bool, Meta(description="One connection for all; false: one each for actions and events")
    ] = True
    reconnect_interval: Annotated[
        _Interval | None, Meta(description="Before connecting again, ms")
    ] = None


class HttpEndpoint(Endpoint, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bot that waits for HTTP POST."""

    timeout: Annotated[
        _Milliseconds | None, Meta(description="How long an answer may take, ms; 0: for ever")
    ] = None


WsEntry: TypeAlias = str | WsEndpoint
HttpEntry: TypeAlias = str | HttpEndpoint


def ws_endpoint(entry: WsEntry) -> WsEndpoint:
    """An entry of `ws_reverse`, an address alone as a map."""
    return WsEndpoint(url=entry) if isinstance(entry, str) else entry


def http_endpoint(entry: HttpEntry) -> HttpEndpoint:
    """An entry of `http_reverse`, an address alone as a map."""
    return HttpEndpoint(url=entry) if isinstance(entry, str) else entry


def replay_problem(window_ms: int | None) -> str:
    """Why a replay window is surely not what was meant, with the fix; empty when it may be."""
    if window_ms and window_ms < 1000:
        return "counts milliseconds, and no event is that young: a minute is 60000"
    return ""


def address_problem(url: str, schemes: Collection[str]) -> str:
    """Why an address cannot be used, with the fix; empty when it can."""
    expected = f"expected {' or '.join(f'{scheme}://host:port/path' for scheme in schemes)}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return expected
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        return expected
    if "@" in parts.netloc:
        return "an address cannot hold a name or password; set access_token or secret"
    return ""


def origin_problem(origin: str) -> str:
    """Why an origin cannot be let in, with the fix; empty when it can."""
    if origin == "*":
        return "every page of the web would be let in; list those that you mean"
    try:
        parts = urlsplit(origin)
    except ValueError:
        parts = urlsplit("")
    bare = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme in HTTP_SCHEMES and parts.hostname and bare == origin == origin.lower():
        return ""
    return "expected what a browser sends as Origin: https://host, no path, no slash at the end"
