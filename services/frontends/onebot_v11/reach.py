"""Whether a bot can be reached: said once when it cannot, with why, and once when it can again."""

import logging
import os

import aiohttp
from msgspec import Struct
from prometheus_client import Gauge

logger = logging.getLogger(__name__)

_STATUSES = {
    401: ("it wants a token", "set access_token to the one that the bot expects"),
    403: (
        "it refuses us",
        "compare access_token with the bot's; or this account is connected there already",
    ),
    404: (
        "it has nothing at this path",
        "nonebot2 listens at /onebot/v11/ws, Koishi at /onebot, aiocqhttp at /ws",
    ),
}


class Trouble(Struct, frozen=True):
    """Why a bot was not reached, and what most likely helps."""

    cause: str
    fix: str = ""


class Reach:
    """The state of one bot's address, told in the log when it changes.

    A cause is said once until the bot was there for good again: a bot that takes the connection
    and drops it, over and over, makes two lines and not two in each round. `up` is told at once.
    """

    def __init__(self, label: str, reached: str, up: Gauge | None = None) -> None:
        self._up = up
        self._label = label
        self._reached = reached
        self._causes: set[str] = set()
        self._told = False

    def lost(self, trouble: Trouble) -> None:
        """The bot was not reached, or left."""
        self._show(0)
        if trouble.cause in self._causes:
            return
        self._causes.add(trouble.cause)
        self._told = False
        hint = f"; {trouble.fix}" if trouble.fix else ""
        logger.warning("%s: %s%s", self._label, trouble.cause, hint)

    def found(self) -> None:
        """The bot was reached."""
        self._show(1)
        if not self._told:
            self._told = True
            logger.info("%s: %s", self._label, self._reached)

    def steady(self) -> None:
        """It is there for good: what goes wrong from now on is news."""
        self._causes.clear()

    def _show(self, value: int) -> None:
        if self._up:
            self._up.set(value)


def trouble_of(error: aiohttp.ClientError | TimeoutError) -> Trouble:
    """What kept us from a bot, in words that hold nothing of the address's query."""
    match error:
        case aiohttp.WSServerHandshakeError(status=status):
            cause, fix = _STATUSES.get(status, ("no WebSocket there", "compare the address"))
            return Trouble(f"{cause} (HTTP {status})", fix)
        case aiohttp.ClientConnectorDNSError(host=host):
            return Trouble(
                f"no such host: {host}", "compare the address; is its network reachable?"
            )
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            fix = (
                "is its certificate valid for this name? Without TLS there, write ws:// or http://"
            )
            return Trouble("TLS failed", fix)
        case aiohttp.ClientConnectorError(os_error=os_error):
            cause = os.strerror(os_error.errno).lower() if os_error.errno else "not reachable"
            return Trouble(cause, "is the bot running, and listening at this address?")
        case TimeoutError():
            return Trouble("no answer in time", "is the bot busy, or a firewall in between?")
    return Trouble("it hung up in the middle", "the bot's log may say why")


def closed(code: int | None) -> Trouble:
    """How a connection ended. Source: RFC 6455, section 7.4.1."""
    match code:
        case 1008:
            fix = "compare access_token with the bot's; or this account is connected there already"
            return Trouble("the bot closed the connection: not allowed (1008)", fix)
        case None | 1006:
            return Trouble("the connection broke")
    return Trouble(f"the bot closed the connection ({code})")
