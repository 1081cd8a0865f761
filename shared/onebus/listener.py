"""The one HTTP listener of a process, and what holds for every request that it takes.

Browsers reach loopback addresses too: foreign origins, rebound host names and cross-site calls are
refused here, before a role sees them.
"""

import ipaddress
import logging
import os
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import cast
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from msgspec import Struct

from onebus.codec import encode
from onebus.errors import InternalError, Misconfigured, OnebusError
from onebus.keepalive import watch_peer
from onebus.service import Handler, guarded

logger = logging.getLogger(__name__)
protocol_logger = logging.getLogger(f"{__name__}.protocol")

MAX_BODY_BYTES = 32 << 20
SHUTDOWN_S = 5.0
RETRY_AFTER_S = "2"
MAX_HEADER_BYTES = 16 << 10
PROBES = ("/healthz", "/readyz")
"""Asked by whoever runs us, by address: they answer under any name, as they reveal nothing."""
NAMES_KEPT = 64
"""Values of Host whose verdict is remembered."""
PATHS_KEPT = 1024
LONGEST_PATH = 256
"""Paths of which it is remembered who answers them directly."""
FOREIGN_SITES = ("cross-site", "same-site")
"""Same-site is another port of this machine, or another name of the domain: not our pages."""

Origins = Callable[[web.Request], Collection[str]]


def _no_origins(_: web.Request) -> Collection[str]:
    return ()


def _nothing_direct(_: str) -> Handler | None:
    return None


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


class PeerFaults(logging.Filter):
    """Bytes that are no HTTP are the fault of who sent them: a word at debug, not a traceback.

    Their text is left out: it may be the beginning of a token.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown, which is then turned into that word."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError | web.RequestPayloadError):
            return True
        record.msg, record.args = "refused what is no HTTP: %s", (type(error).__name__,)
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return protocol_logger.isEnabledFor(logging.DEBUG)


protocol_logger.addFilter(PeerFaults())


class Listener:
    """Serves the routes of all roles of a process on one port."""

    def __init__(
        self,
        options: ListenOptions,
        routes: Iterable[web.AbstractRouteDef],
        origins: Origins = _no_origins,
        direct: Callable[[str], Handler | None] = _nothing_direct,
    ) -> None:
        self._options = options
        self._origins = origins
        self._direct = lru_cache(PATHS_KEPT)(direct)
        self._paused = False
        self._known_name = lru_cache(NAMES_KEPT)(self._is_known_name)
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(self._let_page_read)
        app.add_routes(routes)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=protocol_logger,
            # A signature is made over the bytes that were sent; and a bomb stays as small as it is.
            auto_decompress=False,
            shutdown_timeout=SHUTDOWN_S,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )

    async def start(self) -> None:
        """Listen. Raises Misconfigured when the port is taken."""
        await self._runner.setup()
        self._around(self._runner.server)
        host, port = self._options.host, self._options.port
        try:
            site = web.TCPSite(self._runner, host, port, reuse_address=True)
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise Misconfigured(
                f"cannot listen on {host}:{port}: {_reason(error)}; "
                "stop what uses it, or set another `port` or `host`"
            ) from error

        for listening in getattr(site._server, "sockets", ()):  # noqa: SLF001
            watch_peer(listening)

    @property
    def port(self) -> int:
        """The port it listens on, which the system chose if 0 was asked for."""
        return int(self._runner.addresses[0][1])

    async def pause(self) -> None:
        """Close the port; who has a connection already is told to come again elsewhere."""
        self._paused = True
        for site in self._runner.sites:
            await site.stop()

    async def stop(self) -> None:
        """Let the requests in flight end."""
        await self._runner.cleanup()

    def _around(self, server: web.Server | None) -> None:
        """Stand before the application, as a middleware would; those take longer than we do."""
        assert server  # noqa: S101  # the runner has just made it
        inside = cast("Handler", server.request_handler)

        async def handle(base: web.BaseRequest) -> web.StreamResponse:
            request = cast("web.Request", base)  # as the application makes it
            try:
                response = self._refused(request)
                if response is None:
                    handler = self._handler(request) or inside
                    response = await guarded(_read(request, handler), request)
            except (web.HTTPException, OnebusError) as error:
                response = _told(error)
            # A refusal of ours never gets to where the application would tell the browser.
            if not response.prepared and "Origin" in request.headers:
                await self._let_page_read(request, response)
            return response

        server.request_handler = handle

    def _handler(self, request: web.Request) -> Handler | None:
        """Who answers this path without a look at the routes, which takes longer than answering."""
        path = request.raw_path
        if len(path) > LONGEST_PATH or "Expect" in request.headers:  # the application says to go on
            return None
        return self._direct(path)

    def _refused(self, request: web.Request) -> web.StreamResponse | None:
        """What a request gets when we stop, or if a page of somebody else may have made it."""
        if self._paused:
            response = json_error(503, "onebus is stopping", headers={"Retry-After": RETRY_AFTER_S})
            response.force_close()
            return response
        headers = request.headers
        name, origin = headers.get("Host", ""), headers.get("Origin")
        if not self._known_name(name) and request.path not in PROBES:
            return json_error(
                421,
                f"this server is not called {_host_of(f'//{name}')!r}",
                "use localhost, or set `public_url` to the address that you use",
            )
        if origin is not None:
            if self._page_is_allowed(request):
                return _preflight() if _asks_first(request) else None
            # A proxy may have put its own name for us in Host: the page still says where it is from
            ours = (name, urlsplit(self._options.public_url).netloc)
            if (origin.partition("://")[2] or None) not in ours:
                return json_error(403, "requests from pages of another origin are refused")
        if headers.get("Sec-Fetch-Site") in FOREIGN_SITES and not _is_navigation(request):
            return json_error(403, "requests from pages of another site are refused")
        return None

    def _page_is_allowed(self, request: web.Request) -> bool:
        """Whether a page of another origin sent this, one that the configuration lets in."""
        return request.headers.get("Origin") in self._origins(request)

    async def _let_page_read(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell the browser that the page may see this answer, a refusal as well."""
        if "Origin" in request.headers and self._page_is_allowed(request):
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Vary"] = "Origin"

    def _is_known_name(self, name: str) -> bool:
        """Whether a Host header names us."""
        host = _host_of(f"//{name}")
        if not self._options.local or is_loopback(host):
            return True
        return bool(host) and host == _host_of(self._options.public_url)


async def _read(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Handle a request; a body that is too large, broken or cut off is the peer's fault.

    Files are read as they come and bounded by who takes them.
    """
    large = (request.content_length or 0) > MAX_BODY_BYTES
    if large and not request.content_type.startswith("multipart/"):
        raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, request.content_length or 0)
    try:
        return await handler(request)
    except (web.RequestPayloadError, ConnectionError) as error:
        if isinstance(error, ConnectionError) and request.transport is not None:
            raise  # the peer is still there: it was another connection
        raise web.HTTPBadRequest(text="the body could not be read") from error


def _told(error: web.HTTPException | OnebusError) -> web.StreamResponse:
    """Every refusal has a text; a fault of ours says nothing about itself."""
    if isinstance(error, InternalError):
        return json_error(500, error.text)
    if isinstance(error, OnebusError):
        return json_error(503, str(error), headers={"Retry-After": RETRY_AFTER_S})
    if error.status < 400 or error.content_type == "application/json":
        raise error
    return json_error(error.status, error.text or error.reason, headers=_kept(error))


def _reason(error: OSError) -> str:
    """What the system says, without the address that event loops put around it."""
    number = error.errno or 0
    return os.strerror(number) if number > 0 else str(error.strerror)


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


def _asks_first(request: web.Request) -> bool:
    """A browser asks what it may send, without any token (https://fetch.spec.whatwg.org)."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def _preflight() -> web.Response:
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key",
            "Access-Control-Max-Age": "600",
        },
    )


def _is_navigation(request: web.Request) -> bool:
    """A person followed a link to a page; a bot standard's actions are no pages."""
    navigates = request.headers.get("Sec-Fetch-Mode") == "navigate"
    return request.method == "GET" and navigates and "/onebot/" not in request.path


def _kept(refusal: web.HTTPException) -> dict[str, str]:
    names = ("Allow", "WWW-Authenticate", "Retry-After")
    return {name: refusal.headers[name] for name in names if name in refusal.headers}
