"""Who may use the sandbox of an account: anybody, or with an access token who presents it.

A program sends `Authorization: Bearer …` or `?access_token=…`. A browser that opens the page with
the query gets a cookie instead, so that the token does not stay in its address bar.
"""

import hmac
from hashlib import sha256

from aiohttp import web

COOKIE = "onebus_sandbox"


class Access:
    """Checks requests against one token; empty lets everybody in."""

    def __init__(self, token: str) -> None:
        self._open = not token
        self._digest = _digest(token)
        self._cookie = sha256(b"sandbox cookie\0" + self._digest).hexdigest()

    def allows(self, request: web.Request) -> bool:
        """Whether the request may pass. The header is looked at before the query and the cookie."""
        if self._open:
            return True
        presented = _presented(request)
        if presented is not None:
            return hmac.compare_digest(_digest(presented), self._digest)
        cookie = request.cookies.get(COOKIE, "")
        return hmac.compare_digest(_digest(cookie), _digest(self._cookie))

    def redirect(self, request: web.Request, location: str) -> web.Response:
        """Put a token that came by query into a cookie of this account's pages."""
        response = web.Response(status=302, headers={"Location": location})
        if not self._open:
            response.set_cookie(
                COOKIE,
                self._cookie,
                path=request.path,
                httponly=True,
                samesite="Strict",
                secure=request.secure,
            )
        return response


def _presented(request: web.Request) -> str | None:
    headers = request.headers.getall("Authorization", [])
    if headers:
        scheme, _, token = headers[0].partition(" ")
        return token.strip() if scheme.lower() == "bearer" and len(headers) == 1 else ""
    return request.query.get("access_token")


def _digest(token: str) -> bytes:
    """Equal lengths to compare, and bytes, because a header need not be ASCII."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
