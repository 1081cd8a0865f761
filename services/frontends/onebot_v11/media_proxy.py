"""`GET` and `HEAD /{platform}/{account}/media/{token}`: files that bots were given an address of.

The signature in the address is the permission; no token is asked for. A file that is not in the
store yet is fetched from the platform by the account's owner, once, and then served from here, a
chunk at a time: a bot that reads slowly holds up nobody.
"""

import time
from collections.abc import Iterable

from aiohttp import web

from frontends.onebot_v11.http import session_of
from frontends.onebot_v11.link import Opened, opened
from frontends.onebot_v11.session import Session, Sessions
from onebus import action as act
from onebus.errors import ActionError, BusTimeout, NotFound, OutcomeUnknown, PlatformUnavailable
from onebus.listener import json_error
from onebus.media import SCHEME, Media
from onebus.media_http import give
from onebus.service import Role

FETCH_S = 90.0


class MediaProxy(Role):
    """Serves files of every account that is configured here."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """GET and HEAD."""
        yield web.get("/{platform}/{account}/media/{token}", self._handle)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        session = session_of(self._sessions, request)
        key = session.media.secret_key if session else ""
        if session is None or not key:
            return _nothing()
        token = request.match_info["token"]
        wanted = opened(token, session.account, key, int(time.time()))
        if wanted is None:
            return _nothing()
        if wanted.expired:
            return json_error(410, "this address has expired", "ask for the message again")
        try:
            return await self._give(request, session, wanted)
        except NotFound as error:
            return json_error(404, error.text)
        except (OutcomeUnknown, PlatformUnavailable, BusTimeout) as error:
            return json_error(504, str(error))
        except ActionError as error:
            return json_error(502, error.text)

    async def _give(
        self, request: web.Request, session: Session, wanted: Opened
    ) -> web.StreamResponse:
        media = await _kept(session, wanted.file)
        if media is None:
            question = act.GetMedia(wanted.kind, wanted.file, fresh=True)
            found = await session.caller.call(session.account, question, timeout_s=FETCH_S)
            if not found.id:
                return _elsewhere(found.url)
            media = await session.store().stored(SCHEME + found.id)
        return await give(request, media)


async def _kept(session: Session, file: str) -> Media | None:
    """What the store has, without asking the owner."""
    if file.startswith(SCHEME):
        return await session.store().stored(file)
    return await session.store().kept(file)


def _nothing() -> web.Response:
    """One answer for all that is no link: it says nothing about what there is."""
    return json_error(404, "there is no file at this address")


def _elsewhere(url: str) -> web.Response:
    """The platform has it at a public address."""
    if not url.startswith(("http://", "https://")):
        return _nothing()
    return web.Response(status=302, headers={"Location": url, "Cache-Control": "no-store"})
