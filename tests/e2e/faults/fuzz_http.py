"""Malformed requests: to the actions of HTTP, and to what begins a stream or a WebSocket."""

import json
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.e2e.faults.malformed import Malformed
from tests.e2e.faults.tally import Tally, documented
from tests.e2e.raw import ask

REFUSALS = [
    "400",
    "401",
    "403",
    "404",
    "405",
    "406",
    "413",
    "414",
    "415",
    "417",
    "421",
    "426",
    "429",
    "431",
]
ODD_HEADERS = (
    "Content-Type: text/plain",
    "Content-Type: multipart/form-data; boundary=",
    "Content-Type: application/json; charset=\xff",
    "Content-Encoding: deflate",
    "Content-Encoding: gzip",
    "Authorization: Basic T",
    "Origin: https://evil.example",
    "Origin: null",
    "Sec-Fetch-Site: cross-site",
    "X-Long: " + "a" * 20_000,
    "Cookie: " + "=;" * 500,
    "Expect: 100-later",
    "Transfer-Encoding: gzip, chunked",
    "Content-Length: -1",
    "Content-Length: 1_0",
    "Upgrade: websocket",
    "Bad Name: x",
    ": nameless",
    "Host: attacker.test",
)
JSON = "Content-Type: application/json"
FORM = "Content-Type: application/x-www-form-urlencoded"
METHODS = ("PUT", "DELETE", "BREW", "HEAD", "get", "OPTIONS")
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)
STREAMS = ("/events", "/events/", "", "/ws", "/event", "/api")


class Server(NamedTuple):
    """Whom to send it: a port, a path below which the account is, and how to be let in."""

    port: int
    base: str
    bearer: str


class Sent(NamedTuple):
    """A request."""

    target: str
    headers: tuple[str, ...]
    body: bytes | None
    method: str = ""


async def fuzz_http(server: Server, make: Malformed, count: int) -> Tally:
    """So many calls by HTTP, each on a connection of its own."""
    return await _fuzz(server, lambda: _call(server, make), ("200", *REFUSALS), count)


async def fuzz_streams(server: Server, make: Malformed, count: int) -> Tally:
    """So many tries to open a stream or a WebSocket, with malformed queries and headers."""
    return await _fuzz(server, lambda: _opening(server, make), ("200", "101", *REFUSALS), count)


def _call(server: Server, make: Malformed) -> Sent:
    draw, (action, body) = make.draw, make.call()
    headers = [draw.choice((JSON, JSON, FORM))]
    if draw.random() < 0.97:
        headers.append(server.bearer)
    if draw.random() < 0.15:
        headers.append(draw.choice(ODD_HEADERS))
        if headers[-1].startswith("Transfer-Encoding"):
            body = b"0\r\n\r\n"  # a body without an end would be waited for, and rightly
    query = f"?{make.query()}" if draw.random() < 0.3 else ""
    method = draw.choice(METHODS) if draw.random() < 0.05 else ""
    no_body = bool(query) and draw.random() < 0.5
    return Sent(f"{server.base}/{action}{query}", tuple(headers), None if no_body else body, method)


def _opening(server: Server, make: Malformed) -> Sent:
    draw = make.draw
    headers = list(UPGRADE if draw.random() < 0.5 else ())
    if draw.random() < 0.97:
        headers.append(server.bearer)
    if draw.random() < 0.3:
        headers.append(f"Last-Event-ID: {_one_line(make.text())}")
    if draw.random() < 0.15:
        headers.append(draw.choice(ODD_HEADERS))
    path, query = draw.choice(STREAMS), make.query() if draw.random() < 0.8 else ""
    return Sent(f"{server.base}{path}?{query}", tuple(headers), None)


async def _fuzz(
    server: Server, draw: Callable[[], Sent], outcomes: tuple[str, ...], count: int
) -> Tally:
    tally = Tally(outcomes)
    for _ in range(count):
        sent = draw()
        started_at = time.monotonic()
        tally.add(await _outcome(server, sent), time.monotonic() - started_at, sent)
    return tally


async def _outcome(server: Server, sent: Sent) -> str:
    """The status; for an answer of an action, only if its retcode is one of ours."""
    try:
        reply = await ask(
            server.port, sent.target, *sent.headers, body=sent.body, method=sent.method
        )
    except TimeoutError:
        return "hung"
    if reply.status != 200 or sent.method == "HEAD" or "/events" in sent.target:
        return str(reply.status)
    return "200" if documented(json.loads(reply.body)) else f"200 with {reply.body[:80]!r}"


def _one_line(text: str) -> str:
    """What fits into a header: beyond that it is another header."""
    return "".join(c for c in text if c not in "\r\n")[:2_000]
