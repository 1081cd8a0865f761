"""What `onebus.process` asks of this bot standard: its transports over one set of sessions."""

from collections.abc import Callable, Mapping, Sequence

from frontends.onebot_v11.config import Config
from frontends.onebot_v11.http import Http
from frontends.onebot_v11.http_post import HttpPost
from frontends.onebot_v11.media_proxy import MediaProxy
from frontends.onebot_v11.push import MakePusher, Push
from frontends.onebot_v11.session import Sessions
from frontends.onebot_v11.sse import Sse
from frontends.onebot_v11.target import targets
from frontends.onebot_v11.ws import Ws
from frontends.onebot_v11.ws_reverse import ReverseWs
from onebus.frontend import FrontendKit
from onebus.ids import Account
from onebus.logging import keep_secrets_of
from onebus.service import Role

# Paths of WebSocket and SSE go before HTTP's `{action}`, which would match them too.
_SERVED: Mapping[str, Sequence[Callable[[Sessions], Role]]] = {
    "ws": (Ws,),
    "http": (MediaProxy, Sse, Http),
}
_PUSHED: Mapping[str, Mapping[str, MakePusher]] = {
    "ws-reverse": {"Universal": ReverseWs, "API": ReverseWs, "Event": ReverseWs},
    "http-post": {"Post": HttpPost},
}


def transports() -> tuple[str, ...]:
    """Names as `onebus frontend` takes them."""
    return tuple(sorted([*_SERVED, *_PUSHED]))


def roles(kit: FrontendKit, configs: Mapping[Account, Config], names: Sequence[str]) -> list[Role]:
    """The roles of these transports, and the sessions that they share."""
    for account, config in configs.items():
        for target in targets(account, config):
            keep_secrets_of(target)
    sessions = Sessions(kit.bus, kit.directory, configs, kit.media)
    served = [make(sessions) for name, makes in _SERVED.items() if name in names for make in makes]
    makers = {
        role: make for name in _PUSHED if name in names for role, make in _PUSHED[name].items()
    }
    return [sessions, *served, *([Push(sessions, kit, makers)] if makers else [])]


def addresses(config: Config, base_url: str) -> list[tuple[str, str]]:
    """What a bot of an account may connect to: a label and a URL each."""
    found = []
    if config.use_http:
        found.append(("HTTP", f"{base_url}/onebot/v11/{{action}}"))
        found.append(("SSE", f"{base_url}/onebot/v11/events"))
    if config.use_ws:
        found.append(("WebSocket", f"ws{base_url.removeprefix('http')}/onebot/v11"))
    return found
