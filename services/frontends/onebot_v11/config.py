"""The `onebot.v11` block of an account: which transports it has, and how they behave.

Names and defaults are those that OneBot V11 suggests
(https://github.com/botuniverse/onebot-11/tree/master/communication); times are in milliseconds.
"""

from collections.abc import Collection, Iterable
from typing import Annotated, Literal

from msgspec import Meta, Struct

from frontends.onebot_v11.endpoint import (
    HTTP_SCHEMES,
    WS_SCHEMES,
    HttpEntry,
    WsEntry,
    address_problem,
    origin_problem,
    replay_problem,
)

_Milliseconds = Annotated[int, Meta(ge=0)]
_Interval = Annotated[int, Meta(gt=0)]

_OPEN = (
    "no token, but other machines can reach this address: set access_token to a secret of 32"
    " random bytes (openssl rand -hex 32 makes one), or host to 127.0.0.1, or loopback_only: true"
    " where the address is a container's own and only this machine's loopback reaches it"
)


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """What bots get of one account; each account's block overrides `general` key by key.

    `secret` signs what is pushed over HTTP. With `ws_reverse_api_url` or `ws_reverse_event_url`
    the bot gets two connections, one for actions and one for events, and `ws_reverse_url` stands
    for the one that is empty; with `ws_reverse_url` alone it gets one for both.
    """

    use_http: Annotated[bool, Meta(description="Actions by HTTP")] = True
    use_ws: Annotated[bool, Meta(description="Actions and events by WebSocket")] = False
    use_ws_reverse: Annotated[bool, Meta(description="Connect to the bot's ws_reverse_url")] = False
    access_token: Annotated[str, Meta(description="What a bot must present; empty: nothing")] = ""
    secret: Annotated[str, Meta(description="Key of X-Signature on pushed events")] = ""
    post_timeout: Annotated[
        _Milliseconds, Meta(description="How long a push waits for its answer, ms; 0: for ever")
    ] = 5000
    post_message_format: Annotated[
        Literal["string", "array"], Meta(description="How events give a message")
    ] = "string"
    rate_limit_interval: Annotated[
        _Milliseconds, Meta(description="Between two `_rate_limited` calls of the account, ms")
    ] = 500
    async_as_ok: Annotated[
        bool,
        Meta(
            description="Answer `_async` and `_rate_limited` calls with status ok and retcode 0;"
            " Koishi takes the standard's async and 1 for a failure"
        ),
    ] = False
    quick_operation_at_sender_default: Annotated[
        bool,
        Meta(
            description="Whether a quick reply in a group names its sender unless `at_sender` says;"
            " bots written against go-cqhttp and NapCat expect false"
        ),
    ] = True
    report_self_message: Annotated[
        bool,
        Meta(
            description="Send what the account itself writes and edits as events, messages as"
            " `message_sent`, which the standard lacks; ZeroBot, Koishi, Yunzai and sealdice know"
            " it, to nonebot it is an event of no kind"
        ),
    ] = False
    enable_heartbeat: Annotated[bool, Meta(description="Send heartbeat events")] = False
    heartbeat_interval: Annotated[_Interval, Meta(description="Between two heartbeats, ms")] = 15000
    enable_cors: Annotated[bool, Meta(description="Let the pages of cors_origins call")] = False
    cors_origins: Annotated[
        tuple[str, ...], Meta(description="Whose pages may: https://host, as browsers write it")
    ] = ()
    ws_reverse_url: Annotated[str, Meta(description="The bot's address, ws:// or wss://")] = ""
    ws_reverse_api_url: Annotated[str, Meta(description="Its address for actions alone")] = ""
    ws_reverse_event_url: Annotated[str, Meta(description="Its address for events alone")] = ""
    ws_reverse_reconnect_interval: Annotated[
        _Interval, Meta(description="Before connecting again, ms")
    ] = 3000
    replay_window: Annotated[
        _Milliseconds,
        Meta(
            description="How old an event may be to be sent to a bot of `ws_reverse…` or"
            " `http_reverse` that was away, ms; 0: nothing of its absence"
        ),
    ] = 60_000
    ws_reverse: Annotated[
        tuple[WsEntry, ...],
        Meta(description="Bots to connect to, whatever use_ws_reverse says: addresses or maps"),
    ] = ()
    http_reverse: Annotated[
        tuple[HttpEntry, ...],
        Meta(description="Bots that events are pushed to by HTTP POST: addresses or maps"),
    ] = ()

    def problems(self, *, exposed: bool) -> Iterable[tuple[str, str]]:
        """Addresses that cannot work, and a server that anybody could use."""
        yield from self._reverse_problems()
        yield from self._listed("ws_reverse", WS_SCHEMES, self.ws_reverse)
        yield from self._listed("http_reverse", HTTP_SCHEMES, self.http_reverse)
        yield from self._cors_problems()
        if problem := replay_problem(self.replay_window):
            yield "replay_window", problem
        if exposed and not self.access_token and (self.use_http or self.use_ws):
            yield "access_token", _OPEN

    def _reverse_problems(self) -> Iterable[tuple[str, str]]:
        if not self.use_ws_reverse:
            return
        keys = ("ws_reverse_url", "ws_reverse_api_url", "ws_reverse_event_url")
        given = {key: getattr(self, key) for key in keys if getattr(self, key)}
        for key, url in given.items():
            if problem := address_problem(url, WS_SCHEMES):
                yield key, problem
        if not given and not self.ws_reverse:
            yield "use_ws_reverse", "connects to nothing: set ws_reverse_url to the bot's address"
        elif len(given) == 1 and not self.ws_reverse_url:
            yield next(iter(given)), "the other address is missing: set ws_reverse_url too"

    def _listed(
        self, key: str, schemes: Collection[str], entries: Iterable[WsEntry | HttpEntry]
    ) -> Iterable[tuple[str, str]]:
        seen: set[str] = set()
        for index, entry in enumerate(entries):
            item = f"{key}[{index}]"
            if isinstance(entry, str):
                where, url = item, entry
            else:
                where, url = f"{item}.url", entry.url
                yield from ((f"{item}.{inner}", text) for inner, text in entry.problems())
            if problem := address_problem(url, schemes):
                yield where, problem
            elif url in seen:
                yield where, "listed twice, so each event would come twice"
            seen.add(url)

    def _cors_problems(self) -> Iterable[tuple[str, str]]:
        if self.enable_cors and not self.cors_origins:
            yield "enable_cors", "lets nobody in: list the pages' origins in cors_origins"
        for index, origin in enumerate(self.cors_origins):
            if problem := origin_problem(origin):
                yield f"cors_origins[{index}]", problem
