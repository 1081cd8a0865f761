"""Which bots onebus goes to for an account, from its configuration.

Source: OneBot V11, communication/ws-reverse.md and http-post.md. The standard's default of two
connections works with neither nonebot nor Koishi, so one address alone gets one, `Universal`.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct, structs

from frontends.onebot_v11.config import Config
from frontends.onebot_v11.endpoint import Endpoint, WsEndpoint, http_endpoint, ws_endpoint
from onebus.ids import Account
from onebus.metrics import Way
from onebus.subjects import account_key

_TRANSPORTS = {
    "Universal": "ws-reverse",
    "API": "ws-reverse-api",
    "Event": "ws-reverse-event",
    "Post": "http-post",
}
_SWITCHES = (
    "enable_heartbeat",
    "heartbeat_interval",
    "async_as_ok",
    "quick_operation_at_sender_default",
    "report_self_message",
    "replay_window",
)


class Target(Struct, frozen=True):
    """One connection to keep, or one address to post to.

    `role` is the value of X-Client-Role, or Post. `config` is the account's, with what this bot
    has of its own; of `events` an empty list means all.
    """

    account: Account
    role: Literal["Universal", "API", "Event", "Post"]
    url: str
    config: Config
    access_token: str = ""
    secret: str = ""
    events: tuple[str, ...] = ()
    reconnect_interval_ms: int = 3000
    timeout_ms: int = 0

    @property
    def name(self) -> str:
        """The address without its query, which may hold a token."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    @property
    def way(self) -> Way:
        """What it is called in metrics: nothing of its query."""
        return Way(str(self.account), _TRANSPORTS[self.role], self.name)

    @property
    def key(self) -> str:
        """Under which key it is claimed: processes with the same configuration agree on it."""
        identity = f"{account_key(self.account)} {self.role} {self.url}"
        return f"target.{blake2b(identity.encode(), digest_size=16).hexdigest()}"


def targets(account: Account, config: Config) -> list[Target]:
    """All targets of an account, each once."""
    found = [*_reverse(account, config), *_listed(account, config), *_posts(account, config)]
    return list({target.key: target for target in found}.values())


def _reverse(account: Account, config: Config) -> Iterator[Target]:
    """`use_ws_reverse` and its addresses."""
    if not config.use_ws_reverse:
        return
    url = config.ws_reverse_url
    api_url, event_url = config.ws_reverse_api_url, config.ws_reverse_event_url
    if api_url or event_url:
        yield _socket(account, config, "API", WsEndpoint(url=api_url or url))
        yield _socket(account, config, "Event", WsEndpoint(url=event_url or url))
    elif url:
        yield _socket(account, config, "Universal", WsEndpoint(url=url))


def _listed(account: Account, config: Config) -> Iterator[Target]:
    for endpoint in map(ws_endpoint, config.ws_reverse):
        if endpoint.use_universal:
            yield _socket(account, config, "Universal", endpoint)
        else:
            yield _socket(account, config, "API", endpoint)
            yield _socket(account, config, "Event", endpoint)


def _socket(
    account: Account,
    config: Config,
    role: Literal["Universal", "API", "Event"],
    endpoint: WsEndpoint,
) -> Target:
    token = endpoint.access_token
    return Target(
        account,
        role,
        endpoint.url,
        _own(config, endpoint),
        access_token=config.access_token if token is None else token,
        events=endpoint.events,
        reconnect_interval_ms=endpoint.reconnect_interval or config.ws_reverse_reconnect_interval,
    )


def _posts(account: Account, config: Config) -> Iterator[Target]:
    for endpoint in map(http_endpoint, config.http_reverse):
        secret, timeout = endpoint.secret, endpoint.timeout
        yield Target(
            account,
            "Post",
            endpoint.url,
            _own(config, endpoint),
            access_token=endpoint.access_token or "",
            secret=config.secret if secret is None else secret,
            events=endpoint.events,
            timeout_ms=config.post_timeout if timeout is None else timeout,
        )


def _own(config: Config, endpoint: Endpoint) -> Config:
    """The account's settings with those of one bot over them."""
    own = {key: getattr(endpoint, key) for key in _SWITCHES}
    own["post_message_format"] = endpoint.message_format
    return structs.replace(
        config, **{key: value for key, value in own.items() if value is not None}
    )
