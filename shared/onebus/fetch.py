"""The one fetcher for URLs that a bot or a user can name: it reaches the public internet only.

A name is resolved once, and the connection goes to an address that was looked at: who answers one
thing to us and another to the connection gets nowhere. Each redirect is looked at anew. No proxy,
cookie or credential of ours takes part, and what comes is bounded in size and time.
"""

import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from msgspec import Struct
from yarl import URL

from onebus.errors import BadParams, NotFound, PlatformUnavailable

MAX_REDIRECTS = 3
MAX_URL = 4096
FETCH_S = 20.0
CONNECT_S = 5.0
PIECE_BYTES = 64 << 10
REDIRECTS = (301, 302, 303, 307, 308)

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Refused(OSError):
    """An address that is not to be connected to."""


class Policy:
    """What may be fetched from: the public internet, and what is allowed besides.

    `allow`: names of hosts, addresses and networks. Raises ValueError for what is none of these.
    """

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self._networks: list[_Network] = []
        self._names: set[str] = set()
        for entry in allow:
            try:
                self._networks.append(ipaddress.ip_network(entry))
            except ValueError:
                if not _is_name(entry):
                    raise
                self._names.add(entry.lower())

    def allows_name(self, host: str) -> bool:
        """Whether a host may be at any address."""
        return host.lower().rstrip(".") in self._names

    def allows(self, address: str) -> bool:
        """Whether an address may be connected to."""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if any(ip in network for network in self._networks):
            return True
        return all(_is_public(part) for part in (ip, *_inside(ip)))


def _is_name(entry: str) -> bool:
    return bool(entry) and all(c.isalnum() or c in ".-_" for c in entry) and not entry[-1].isdigit()


def _is_public(ip: _Address) -> bool:
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _inside(ip: _Address) -> list[_Address]:
    """The IPv4 addresses that an IPv6 address leads to by translation."""
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found: list[_Address | None] = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64:
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [part for part in found if part]


class _Guarded(AbstractResolver):
    """Resolves names to addresses that may be connected to, and to no other."""

    def __init__(self, policy: Policy, resolver: AbstractResolver) -> None:
        self._policy = policy
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """One private address among several is a refusal of all: that is an attempt."""
        found = await self._resolver.resolve(host, port, family)
        if not self._policy.allows_name(host):
            for result in found:
                if not self._policy.allows(result["host"]):
                    raise Refused(f"{host} is not on the public internet")
        return found

    async def close(self) -> None:
        """Let go of the resolver."""
        await self._resolver.close()


class Fetched(Struct, frozen=True):
    """An answer that is being read. `name`: what its URL calls it."""

    response: aiohttp.ClientResponse
    name: str
    max_bytes: int

    async def chunks(self) -> AsyncIterator[bytes]:
        """What comes, piece by piece; more than `max_bytes` are an error of whoever counts them."""
        async for piece in self.response.content.iter_chunked(PIECE_BYTES):
            yield piece


class Fetcher:
    """Fetches URLs. Use as an async context manager.

    `session`: another one than its own, which is closed by who gave it and resolves names as it
    likes: for tests.
    """

    def __init__(
        self,
        policy: Policy,
        resolver: AbstractResolver | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._session = session

    async def __aenter__(self) -> "Fetcher":
        guarded = _Guarded(self._policy, self._resolver or ThreadedResolver())
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=guarded, use_dns_cache=False, force_close=True, limit=32
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "onebus", "Accept": "*/*", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        session, self._session = self._session, None
        if session:
            await session.close()

    @asynccontextmanager
    async def fetch(
        self, url: str, *, max_bytes: int, timeout_s: float = FETCH_S
    ) -> AsyncIterator[Fetched]:
        """Get a URL; its body is read inside of the block, within the same time.

        Raises BadParams for a URL that is not fetched from or is too large, NotFound when there is
        nothing, PlatformUnavailable when whoever has it does not give it.
        """
        try:
            timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(CONNECT_S, timeout_s))
            response, last = await self._follow(checked_url(url, self._policy), timeout)
            async with response:
                _check_answer(response, max_bytes)
                yield Fetched(response, last.name, max_bytes)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _what_happened(error) from None

    async def _follow(
        self, url: URL, timeout: aiohttp.ClientTimeout
    ) -> tuple[aiohttp.ClientResponse, URL]:
        if self._session is None:
            raise PlatformUnavailable("URLs are not fetched here")
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._session.get(url, allow_redirects=False, timeout=timeout)
            if response.status not in REDIRECTS:
                return response, url
            location = response.headers.get("Location", "")
            response.close()
            url = checked_url(_joined(url, location), self._policy)
        raise BadParams(f"the URL leads from one to the next more than {MAX_REDIRECTS} times")


def checked_url(text: str, policy: Policy) -> URL:
    """A URL that may be asked for, as far as it can be told without its name. Raises BadParams."""
    try:
        url = URL(text)
        host = url.raw_host or ""
    except ValueError:
        raise BadParams("this is no URL") from None
    if url.scheme not in ("http", "https") or not host or len(text) > MAX_URL:
        raise BadParams("only http:// and https:// URLs are fetched")
    if url.user is not None or url.password is not None:
        raise BadParams("a URL with a user or a password is not fetched")
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return url.with_fragment(None)
    if not policy.allows(host):
        raise BadParams("this URL is not on the public internet (see media.allow)")
    return url.with_fragment(None)


def _joined(url: URL, location: str) -> str:
    try:
        return str(url.join(URL(location)))
    except ValueError:
        raise BadParams("the URL leads to what is no URL") from None


def _check_answer(response: aiohttp.ClientResponse, max_bytes: int) -> None:
    if response.status in (404, 410):
        raise NotFound("there is nothing at this URL")
    if response.status != 200:
        raise PlatformUnavailable(f"the URL answers with HTTP status {response.status}")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadParams("the URL gives a compressed answer that was not asked for")
    if (response.content_length or 0) > max_bytes:
        raise BadParams(f"the file is larger than the {max_bytes:,} bytes that are taken")


def _what_happened(error: BaseException) -> BadParams | PlatformUnavailable:
    """Without the error's own text, which names addresses."""
    inner = error
    while inner is not None:
        if isinstance(inner, Refused):
            return BadParams("this URL is not on the public internet (see media.allow)")
        inner = inner.__cause__ or inner.__context__  # type: ignore[assignment]
    if isinstance(error, aiohttp.InvalidURL):
        return BadParams("this is no URL")
    if isinstance(error, TimeoutError):
        return PlatformUnavailable("the URL did not give the file in time")
    return PlatformUnavailable(f"the URL could not be fetched ({type(error).__name__})")
