"""Who may use an account: the access token of HTTP and forward WebSocket.

Source: OneBot V11, communication/authorization.md. Tokens are compared in constant time, as
digests of bytes, so that neither length nor content can be measured and no header is a fault.
"""

import hashlib
import hmac
import time
from collections import OrderedDict

from aiohttp import web

from onebus.listener import json_error

WRONG_PER_MINUTE = 20
MAX_ADDRESSES = 10_000
SCHEMES = ("bearer", "token")  # Koishi's HTTP client always says Token


class Throttle:
    """Counts wrong tokens by address. A right token always passes: bots share addresses."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def too_many(self, address: str) -> bool:
        """Note one more wrong token; whether there were too many within this minute."""
        now = time.monotonic()
        since, count = self._wrong.pop(address, (now, 0))
        if now - since >= 60:
            since, count = now, 0
        self._wrong[address] = (since, count + 1)
        while len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)
        return count + 1 > WRONG_PER_MINUTE


def refusal(request: web.Request, access_token: str, throttle: Throttle) -> web.Response | None:
    """Why a request may not be served: 401 without a token, 403 with a wrong one. None: it may."""
    if not access_token:
        return None
    given = _given_token(request)
    if given is not None and same(given, access_token):
        return None
    if throttle.too_many(request.remote or ""):
        return json_error(429, "too many wrong tokens", "wait a minute", {"Retry-After": "60"})
    if given is None:
        return json_error(
            401,
            "an access token is needed",
            "send `Authorization: Bearer <access_token>`, or ?access_token=",
            {"WWW-Authenticate": "Bearer"},
        )
    return json_error(403, "the access token is wrong", "compare it with `access_token` there")


def same(given: str, expected: str) -> bool:
    """Whether two tokens are equal, in a time that tells nothing about them."""
    return hmac.compare_digest(_digest(given), _digest(expected))


def _given_token(request: web.Request) -> str | None:
    """The token of a request; the header wins over the query. None: there is none."""
    headers = request.headers.getall("Authorization", [])
    if headers:
        scheme, _, token = headers[0].strip().partition(" ")
        known = len(headers) == 1 and scheme.lower() in SCHEMES
        return token or None if known else None
    tokens = request.query.getall("access_token", [])
    return tokens[-1] or None if tokens else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
