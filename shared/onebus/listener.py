"""The one HTTP listener of a process, and what holds for every request that it takes.

Browsers reach loopback addresses too: foreign origins, rebound host names and cross-site calls are
refused here, before a role sees them.
"""

import ipaddress
import logging
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from aiohttp import web
from msgspec import Struct

from onebus.codec import encode
from onebus.errors import InternalError, Misconfigured, OnebusError
from onebus.service import guarded

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 32 << 20
SHUTDOWN_S = 5.0
MAX_HEADER_BYTES = 16 << 10

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ListenOptions(Struct, frozen=True):
    """Where to listen. `local`: only this machine reaches it, so only its names are accepted."""

    host: str
    port: int
    local: bool
    public_url: str = ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Listener:
    """Serves the routes of all roles of a process on one port."""

    def __init__(self, options: ListenOptions, routes: Iterable[web.AbstractRouteDef]) -> None:
        self._options = options
        app = web.Application(
            middlewares=[self._answer_faults, self._refuse_browsers], client_max_size=MAX_BODY_BYTES
        )
        app.add_routes(routes)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=SHUTDOWN_S,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )

    async def start(self) -> None:
        """Listen. Raises Misconfigured when the port is taken."""
        await self._runner.setup()
        host, port = self._options.host, self._options.port
        try:
            await web.TCPSite(self._runner, host, port, reuse_address=True).start()
        except OSError as error:
            await self._runner.cleanup()
            raise Misconfigured(
                f"cannot listen on {host}:{port}: {error.strerror}; "
                "stop what uses it, or set another `port`"
            ) from error

    @property
    def port(self) -> int:
        """The port it listens on, which the system chose if 0 was asked for."""
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Take no more requests, and let those in flight end."""
        await self._runner.cleanup()

    @web.middleware
    async def _answer_faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every refusal has a text; a fault of ours is logged and says nothing about itself."""
        try:
            return await guarded(handler(request), f"{request.method} {request.path}")
        except web.HTTPException as refusal:
            if refusal.status < 400 or refusal.content_type == "application/json":
                raise
            reason = refusal.text or refusal.reason
            return json_error(refusal.status, reason, headers=_kept(refusal))
        except InternalError as error:
            return json_error(500, error.text)
        except OnebusError as error:
            return json_error(503, str(error))

    @web.middleware
    async def _refuse_browsers(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = _host_of(f"//{request.host}")
        if not self._known_host(host):
            return json_error(
                421,
                f"this server is not called {host!r}",
                "use localhost, or set `public_url` to the address that you use",
            )
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            return json_error(403, "requests from pages of another origin are refused")
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and not _is_navigation(request):
            return json_error(403, "cross-site requests are refused")
        return await handler(request)

    def _known_host(self, host: str) -> bool:
        if not self._options.local or is_loopback(host):
            return True
        return bool(host) and host == _host_of(self._options.public_url)


def json_error(
    status: int, error: str, hint: str = "", headers: dict[str, str] | None = None
) -> web.Response:
    """A refusal that a person or a program can read."""
    body = {"error": error} | ({"hint": hint} if hint else {})
    return web.Response(
        status=status, body=encode(body), content_type="application/json", headers=headers
    )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_navigation(request: web.Request) -> bool:
    """A person followed a link to a page; a bot standard's actions are no pages."""
    navigates = request.headers.get("Sec-Fetch-Mode") == "navigate"
    return request.method == "GET" and navigates and "/onebot/" not in request.path


def _kept(refusal: web.HTTPException) -> dict[str, str]:
    names = ("Allow", "WWW-Authenticate", "Retry-After")
    return {name: refusal.headers[name] for name in names if name in refusal.headers}
