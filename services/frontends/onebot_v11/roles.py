"""What `onebus.process` asks of this bot standard: its transports over one set of sessions."""

from collections.abc import Callable, Mapping, Sequence

from frontends.onebot_v11.config import Config
from frontends.onebot_v11.http import Http
from frontends.onebot_v11.session import Sessions
from frontends.onebot_v11.ws import Ws
from onebus.bus import Bus
from onebus.directory import Directory
from onebus.ids import Account
from onebus.service import Role

# WebSocket paths go before HTTP's `{action}`, which would match them too.
_TRANSPORTS: Mapping[str, Callable[[Sessions], Role]] = {"ws": Ws, "http": Http}


def transports() -> tuple[str, ...]:
    """Names as `onebus frontend` takes them."""
    return tuple(sorted(_TRANSPORTS))


def roles(
    bus: Bus, directory: Directory, configs: Mapping[Account, Config], names: Sequence[str]
) -> list[Role]:
    """The roles of these transports, and the sessions that they share."""
    sessions = Sessions(bus, directory, configs)
    chosen = [make(sessions) for name, make in _TRANSPORTS.items() if name in names]
    return [sessions, *chosen]


def addresses(config: Config, base_url: str) -> list[tuple[str, str]]:
    """What a bot of an account may connect to: a label and a URL each."""
    found = []
    if config.use_http:
        found.append(("HTTP", f"{base_url}/onebot/v11/{{action}}"))
    if config.use_ws:
        found.append(("WebSocket", f"ws{base_url.removeprefix('http')}/onebot/v11"))
    return found
