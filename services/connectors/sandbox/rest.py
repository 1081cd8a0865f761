"""The sandbox's REST and page: reads requests, asks the others, writes answers.

Whoever may call it may be anybody and do anything: it stands for all people of the platform at
once. POST takes JSON only, which a page of another origin cannot send.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta, Struct

from connectors.sandbox import message as msg
from connectors.sandbox.access import Access
from connectors.sandbox.conversations import Conversations, Speech, chat_of
from connectors.sandbox.documents import described
from connectors.sandbox.events import Events
from connectors.sandbox.files import Files
from connectors.sandbox.group import (
    Group,
    admitted,
    with_anonymous,
    with_card,
    with_name,
    with_role,
    without_member,
)
from connectors.sandbox.groups import Groups
from connectors.sandbox.listing import listing
from connectors.sandbox.posted import Posted
from connectors.sandbox.presence import Presence
from connectors.sandbox.state import State, check_id
from connectors.sandbox.stream import Streams
from connectors.sandbox.view import Everything, View
from onebus import subjects
from onebus.codec import CodecError, decode, encode
from onebus.connector import Kit
from onebus.errors import (
    ActionError,
    BadParams,
    Forbidden,
    NotFound,
    PlatformUnavailable,
    RateLimited,
)
from onebus.event import Role, Sex
from onebus.ids import ChatId, MessageId, UserId
from onebus.inflight import InFlight
from onebus.listener import json_error

MAX_BODY_BYTES = 1 << 20
MAX_LISTED = 1_000
LISTED = 200
MAX_WRITES = 500
"""Calls that change something, at once; one more is refused, to come again."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self' http: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PAGE = Path(__file__).with_name("page")
ASSETS = {
    "app.js": "text/javascript",
    "entries.js": "text/javascript",
    "menus.js": "text/javascript",
    "notices.js": "text/javascript",
    "segments.js": "text/javascript",
    "server.js": "text/javascript",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
}
STATUSES: dict[type[ActionError], int] = {
    BadParams: 400,
    Forbidden: 403,
    NotFound: 404,
    RateLimited: 429,
    PlatformUnavailable: 503,
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Said(Struct, frozen=True, forbid_unknown_fields=True):
    """POST api/messages: `user` writes into `group`, or privately to the bot.

    In a group `anonymous` hides who it was, and `notice` makes it a tip of the system. With a
    `message_id` of their choice it can be said again when no answer came: it is one message.
    """

    user: str
    message: str | list[msg.Part]
    group: str | None = None
    reply_to: str | None = None
    name: str = ""
    anonymous: bool = False
    notice: bool = False
    message_id: str = ""


class NamedUser(Struct, frozen=True, forbid_unknown_fields=True):
    """POST api/users: the person exists, and is described so by what is given."""

    user: str
    name: str = ""
    sex: Sex | None = None
    age: Annotated[int, Meta(ge=0, le=200)] | None = None


class NamedGroup(Struct, frozen=True, forbid_unknown_fields=True):
    """POST api/groups: the group exists, and is so as far as it is given."""

    group: str
    name: str = ""
    anonymous: bool | None = None


class Joining(Struct, frozen=True, forbid_unknown_fields=True):
    """POST api/groups/{group}/members: the user is in the group, with this role and card."""

    user: str
    role: Role | None = None
    card: str | None = None


class Rest:
    """Serves one account's sandbox at any replica."""

    def __init__(self, kit: Kit, state: State, groups: Groups, access: Access) -> None:
        self._kit = kit
        self._state = state
        self._groups = groups
        self._conversations = Conversations(kit, state, groups)
        self._events = Events(kit, state, groups, self._conversations)
        self._presence = Presence(state)
        self._access = access
        self._uploads = Files(kit)
        self.streams = Streams(kit)
        self._writes = InFlight()
        self._files = _files()

    def routes(self) -> list[web.RouteDef]:
        """Everything below `/{platform}/{account}`."""
        api = {
            ("GET", "/api/messages"): self.messages,
            ("POST", "/api/messages"): self.say,
            ("DELETE", "/api/messages/{message}"): self.recall,
            ("POST", "/api/events"): self.happen,
            ("GET", "/api/stream"): self.stream,
            ("GET", "/api/state"): self.state,
            ("POST", "/api/files"): self.upload,
            ("GET", "/api/files/{id}"): self._uploads.get,
            ("POST", "/api/users"): self.name_user,
            ("POST", "/api/groups"): self.name_group,
            ("POST", "/api/groups/{group}/members"): self.join,
            ("DELETE", "/api/groups/{group}/members/{user}"): self.leave,
        }
        routes = [web.route(*where, self._api(handler)) for where, handler in api.items()]
        assets = [web.get(f"/{name}", self.asset) for name in ASSETS]
        return [web.get("", self.to_page), web.get("/", self.page), *assets, *routes]

    async def say(self, request: web.Request) -> web.Response:
        """A person writes a message; answered when it is in the log."""
        said = await _body(request, Said)
        speech = Speech(
            UserId(said.user),
            msg.decode_message(said.message, said.reply_to),
            None if said.group is None else ChatId(said.group),
            said.name,
            said.anonymous,
            said.notice,
            MessageId(said.message_id),
        )
        return _json({"message_id": await self._conversations.say(speech)})

    async def happen(self, request: web.Request) -> web.Response:
        """Something else happens; answered when it is in the log."""
        return _json(await self._events.post(await _body(request, Posted)))

    async def upload(self, request: web.Request) -> web.Response:
        """Keep a file that messages can name."""
        return _json(await self._uploads.put(request))

    async def messages(self, request: web.Request) -> web.Response:
        """The messages of a chat, oldest first; `after` one of them, the last `limit`."""
        chat = chat_of(request.query.get("user"), request.query.get("group"))
        after = request.query.get("after")
        board = await self._state.boards.get(*chat.key)
        seen = None if after is None else MessageId(after)
        return _json(await listing(self._kit, board, chat, seen, _limit(request)))

    async def recall(self, request: web.Request) -> web.Response:
        """`user` takes a message of `group`, or of their private chat, back."""
        user, group = request.query.get("user"), request.query.get("group")
        if user is None:
            raise BadParams("name the user who takes it back: ?user=…, and &group=… in a group")
        chat = chat_of(None, group) if group is not None else chat_of(user, None)
        message = MessageId(request.match_info["message"])
        await self._conversations.recall(chat, message, UserId(user))
        return _json({"message_id": message, "recalled": True})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """What happens as it comes: everything, or the messages of one chat."""
        user, group = request.query.get("user"), request.query.get("group")
        where = subjects.events_of(self._kit.account)
        if user is not None or group is not None:
            where = subjects.contents_of(self._kit.account, chat_of(user, group))
        return await self.streams.serve(request, where)

    async def state(self, _: web.Request) -> web.Response:
        """Everything there is, with the numbers by which OneBot bots know users and groups."""
        state = self._state
        known = Everything(
            state.me,
            await self._presence.status(),
            await state.persons(),
            await state.groups(),
            await state.requests.all(),
            await state.boards.all(),
        )
        return _json(self._view().everything(known))

    async def name_user(self, request: web.Request) -> web.Response:
        """Make a person, or describe them anew."""
        named = await _body(request, NamedUser)
        name = named.name and check_id("name", named.name)
        change = described(name, named.sex, named.age)
        return _json(self._view().person(await self._state.named(UserId(named.user), change)))

    async def name_group(self, request: web.Request) -> web.Response:
        """Make a group, or rename it."""
        named = await _body(request, NamedGroup)
        name = named.name and check_id("name", named.name)

        def change(group: Group) -> Group:
            if named.anonymous is not None:
                group = with_anonymous(named.anonymous)(group)
            return with_name(name)(group) if name else group

        me = self._state.me.id
        group = await self._groups.change(ChatId(named.group), change, me, make=True)
        return _json(self._view().group(group))

    async def join(self, request: web.Request) -> web.Response:
        """Bring somebody into a group, or change their role and card there."""
        joining = await _body(request, Joining)
        user = (await self._state.anybody(UserId(joining.user))).id
        if joining.card:
            check_id("card", joining.card)
        is_person = user != self._state.me.id

        def change(group: Group) -> Group:
            group = admitted(user, self._groups.now_s(), may_own=is_person)(group)
            if joining.role is not None:
                group = with_role(user, joining.role)(group)
            return group if joining.card is None else with_card(user, joining.card)(group)

        group_id = ChatId(request.match_info["group"])
        group = await self._groups.change(group_id, change, user, make=True)
        return _json(self._view().group(group))

    async def leave(self, request: web.Request) -> web.Response:
        """Somebody leaves a group."""
        user = UserId(request.match_info["user"])
        group_id = ChatId(request.match_info["group"])
        group = await self._groups.change(group_id, without_member(user), user)
        return _json(self._view().group(group))

    async def to_page(self, request: web.Request) -> web.Response:
        """The page's address ends in a slash, because what it loads is relative to it."""
        query = f"?{request.query_string}" if request.query_string else ""
        return web.Response(status=302, headers={"Location": f"{request.rel_url.raw_name}/{query}"})

    async def page(self, request: web.Request) -> web.Response:
        """The page, or a form for the token."""
        if not self._access.allows(request):
            return self._file("token.html", "text/html", status=401)
        if "access_token" in request.query:
            return self._access.redirect(request, "./")
        return self._file("index.html", "text/html")

    async def asset(self, request: web.Request) -> web.Response:
        """A script, style or picture of the page; nothing of it is secret."""
        name = request.rel_url.name
        return self._file(name, ASSETS[name])

    def _api(self, handler: Handler) -> Handler:
        """A handler behind the token, whose errors are JSON."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if not self._access.allows(request):
                return json_error(
                    401, "wrong or no access token", "send `Authorization: Bearer <access_token>`"
                )
            try:
                if request.method == "GET":
                    return await handler(request)
                if self._writes.count >= MAX_WRITES:
                    raise RateLimited(f"{MAX_WRITES} calls are under way already")
                with self._writes.one():
                    return await handler(request)
            except ActionError as error:
                return json_error(STATUSES.get(type(error), 500), error.text)

        return handle

    def _file(self, name: str, content_type: str, status: int = 200) -> web.Response:
        return web.Response(
            status=status,
            body=self._files[name],
            content_type=content_type,
            charset="utf-8",
            headers={**SECURITY_HEADERS, "Cache-Control": "no-cache"},
        )

    def _view(self) -> View:
        return View(self._kit.account, self._groups.now_s())


PAGES = ("index.html", "token.html")


@cache
def _files() -> dict[str, bytes]:
    """What the page is made of, read once for all accounts."""
    return {name: (PAGE / name).read_bytes() for name in (*ASSETS, *PAGES)}


async def _body(request: web.Request, kind: Any) -> Any:
    """A JSON body of this shape. Raises BadParams, and HTTP 413 and 415."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send JSON with Content-Type: application/json")
    body = await _bytes(request)
    try:
        return decode(body, kind)
    except CodecError as error:
        raise BadParams(f"the body is not what is expected here: {error}") from error


async def _bytes(request: web.Request) -> bytes:
    """The body, of at most 1 MiB. Raises HTTP 413."""
    if 0 < (request.content_length or 0) <= MAX_BODY_BYTES:
        return await request.read()
    body = bytearray()
    async for chunk in request.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, text="the body is over 1 MiB")
    return bytes(body)


def _limit(request: web.Request) -> int:
    given = request.query.get("limit", str(LISTED))
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= MAX_LISTED):
        raise BadParams(f"limit must be a number from 1 to {MAX_LISTED}, not {given[:20]}")
    return int(given)


def _json(data: msg.Json | Struct) -> web.Response:
    return web.Response(
        body=encode(data),
        content_type="application/json",
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"},
    )
