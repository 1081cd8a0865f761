"""The HTTP transport: `GET` and `POST /{platform}/{account}/onebot/v11/{action}`.

Source: OneBot V11, communication/http.md. Order of refusals: account, token, method, action, body.
"""

import re
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any

from aiohttp import web
from msgspec import Struct
from yarl import URL

from frontends.onebot_v11.auth import refusal
from frontends.onebot_v11.multipart import MULTIPART, UPLOADS, read_multipart
from frontends.onebot_v11.params import KEY
from frontends.onebot_v11.retcode import Answer, UnknownAction, encode_answer, failed
from frontends.onebot_v11.session import Session, Sessions
from onebus.codec import CodecError, decode_any
from onebus.errors import BadParams, OnebusError
from onebus.ids import Account, AccountId, Platform
from onebus.listener import json_error
from onebus.service import Handler, Role

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MAX_PARAMS = 1000
KEY_HEADER = "Idempotency-Key"
HOSTS_KEPT = 64
_HOST = re.compile(r"[A-Za-z0-9.\-\[\]:_]{1,255}")
_USUAL = re.compile(r"/([\w.-]+)/([\w.-]+)/onebot/v11/([a-z]+_[a-z_]+)", re.ASCII)


class _Refused(Exception):
    """The request cannot be read; `response` says why."""

    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.response = json_error(status, error, hint)


class _Params(Struct):
    """What an action is called with. `as_text`: `message` came from the query or a form."""

    values: dict[str, Any]
    as_text: bool


class Http(Role):
    """Serves actions by HTTP for every account that wants it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """With and without a slash at the end."""
        path = "/{platform}/{account}/onebot/v11/{action}"
        return [web.route("*", path, self._handle), web.route("*", f"{path}/", self._handle)]

    def direct(self, path: str) -> Handler | None:
        """The usual form of a path: plain names, and an action with `_` in it, as nearly all."""
        if (found := _USUAL.fullmatch(path)) is None:
            return None
        session = self._sessions.get(Account(Platform(found[1]), AccountId(found[2])))
        if session is None or not session.config.use_http:
            return None
        return partial(self._serve, session, found[3])

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        session = _session_of(self._sessions, request)
        if session is None or not session.config.use_http:
            return no_account(request)
        return await self._serve(session, request.match_info["action"], request)

    async def _serve(self, session: Session, action: str, request: web.Request) -> web.Response:
        if refused := refusal(request, session.config.access_token, self._sessions.throttle):
            return refused
        if request.method not in ("GET", "POST"):
            text = f"{request.method} is not offered; use GET or POST"
            return json_error(405, text, headers={"Allow": "GET, POST"})
        try:
            name, _ = session.form_of(action)
        except UnknownAction as error:
            return _answered(failed(error), 404)
        try:
            params = await _params(request, session, name)
        except _Refused as error:
            return error.response
        except OnebusError as error:
            return _answered(failed(error))
        if not _take_key(request, params.values):
            text = f"the header {KEY_HEADER} and `{KEY}` are not the same key"
            return _answered(failed(BadParams(text)))
        reached = _reached(session, request)
        return _answered(await reached.execute(action, params.values, as_text=params.as_text))


def _answered(answer: Answer, status: int = 200) -> web.Response:
    return web.Response(status=status, body=encode_answer(answer), content_type=JSON)


def session_of(sessions: Sessions, request: web.Request) -> Session | None:
    """The session that a request's path names, for a bot that reaches us as this one does."""
    session = _session_of(sessions, request)
    return _reached(session, request) if session else None


def _session_of(sessions: Sessions, request: web.Request) -> Session | None:
    found = request.match_info
    return sessions.get(Account(Platform(found["platform"]), AccountId(found["account"])))


def _reached(session: Session, request: web.Request) -> Session:
    host = request.headers.get("Host", "")
    return session.at(session.media.public_url or _base_url(request.scheme, host))


@lru_cache(HOSTS_KEPT)
def _base_url(scheme: str, host: str) -> str:
    """Where the bot came to; nothing for a name that is none, or too long to be sent along."""
    return f"{scheme}://{host}" if _HOST.fullmatch(host) else ""


def no_account(request: web.Request) -> web.Response:
    """404: the configuration does not offer this."""
    name = f"{request.match_info['platform']}.{request.match_info['account']}"
    return json_error(
        404,
        f"nothing here for the account {name}",
        "compare the path with the accounts in the configuration, and their use_http and use_ws",
    )


def _take_key(request: web.Request, values: dict[str, Any]) -> bool:
    """Make a parameter of the header; False when it says something else than the parameters."""
    if KEY_HEADER not in request.headers:
        return True
    given = request.headers.getall(KEY_HEADER)
    if given and values.get(KEY) in (None, ""):
        values[KEY] = given[0]
    return all(key == values[KEY] for key in given)


async def _params(request: web.Request, session: Session, name: str) -> _Params:
    """Query and body as one; the body goes before the query, the last of repeated keys wins."""
    query: dict[str, Any] = {}
    if request.query_string:
        query = {key: value for key, value in request.query.items() if key != "access_token"}
    if request.method == "GET":
        return _Params(query, as_text=True)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _Refused(415, "compressed bodies are not read", "send the body as it is")
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type == MULTIPART and name in UPLOADS:
        await session.identity()
        return _Params(query | await read_multipart(request, session.store()), as_text=True)
    body = await request.read()
    if media_type == FORM:
        return _Params(query | _form(body), as_text=True)
    if media_type not in ("", JSON):
        raise _Refused(
            406, f"a body of type {media_type[:80]} is not read", f"send {JSON} or {FORM}"
        )
    values = _json(body)
    return _Params(query | values, as_text="message" not in values)


def _json(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        values = decode_any(body)
    except CodecError as error:
        raise _Refused(400, f"the body is not JSON: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise _Refused(400, "the body must be a JSON object of parameters")
    return values


def _form(body: bytes) -> dict[str, Any]:
    if body.count(b"&") >= MAX_PARAMS:
        raise _Refused(400, f"the body has more than {MAX_PARAMS} parameters")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _Refused(400, f"the body is not a form: {error}") from error
    # A form is read as a query is. For what is all percent signs urllib takes 70 bytes a byte.
    pairs = URL.build(query_string=text, encoded=True).query.items()
    return {key: value for key, value in pairs if key != "access_token"}
