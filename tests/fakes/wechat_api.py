"""WeChat's HTTP API as a real server on a free port, as strict as the platform.

Checked from the other side: wechatpy's client talks to it in a test, so that this fake and the
connector cannot share one misreading. Sources: the pages named in `connectors.wechat.api`.
"""

import asyncio
import json
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiohttp import BodyPartReader, web

MAX_TEXT_BYTES = 2048
MEDIA_BYTES = {"image": 10 << 20, "voice": 2 << 20, "video": 10 << 20, "thumb": 64 << 10}
MEDIA_TYPES = {"image": "image/jpeg", "voice": "audio/amr", "thumb": "image/jpeg"}
_ESCAPED = re.compile(r"(?<!\\)(?:\\\\)*\\u")


class Followers(dict[str, dict[str, Any]]):
    """The followers by openid, each as `user/info` describes them."""

    def follow(self, openid: str, **described: Any) -> None:
        self[openid] = {"nickname": "", "sex": 0, "remark": "", "tagid_list": [], **described}


class FakeWeChat:
    """One account's side of the API.

    `sent` holds the bodies of accepted customer-service messages, `calls` counts requests by path,
    `tokens` the valid tokens. While `hang` is cleared an accepted call gets no answer.
    """

    def __init__(self, app_id: str = "wxtestapp", secret: str = "app-secret-canary") -> None:
        self.app_id = app_id
        self.secret = secret
        self.followers = Followers()
        self.page_size = 10_000
        self.sent: list[dict[str, Any]] = []
        self.templates: dict[str, set[str]] = {}
        """The account's templates: what has to be filled in, by their ids."""
        self.templated: list[dict[str, Any]] = []
        """The bodies of accepted template messages."""
        self.menu: dict[str, Any] | None = None
        self.tags: dict[int, str] = {}
        self.media: dict[str, tuple[str, bytes]] = {}
        """Temporary files by media id: kind and bytes."""
        self.calls: Counter[str] = Counter()
        self.forced_refreshes = 0
        self.tokens: dict[str, str] = {}
        self.script: dict[str, deque[tuple[int, str]]] = {}
        self.hang = asyncio.Event()
        self.hang.set()
        self.arrived = asyncio.Event()
        self.base = ""
        self.on_send: Callable[[str, str], web.Response | Literal[0] | None] = lambda *_: None
        """Asked for each message that would go out: None lets it, 0 breaks the connection."""
        self._made = 0

    def answer_next(self, path: str, errcode: int, errmsg: str = "scripted") -> None:
        """Answer the next call of a path with an error code, or (100 to 599) an HTTP status."""
        self.script.setdefault(path, deque()).append((errcode, errmsg))

    def expire_tokens(self) -> None:
        """The platform forgets every token it gave."""
        self.tokens.clear()

    async def wait_for_sent(self, count: int, timeout_s: float = 5) -> list[dict[str, Any]]:
        """The accepted messages as soon as there are `count`."""
        async with asyncio.timeout(timeout_s):
            while len(self.sent) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.sent

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["FakeWeChat"]:
        """Listen on a free loopback port; `base` is the URL to configure."""
        application = web.Application(middlewares=[self._scripted])
        application.router.add_get("/cgi-bin/token", self._token)
        application.router.add_post("/cgi-bin/stable_token", self._stable_token)
        application.router.add_post("/cgi-bin/message/custom/send", self._send)
        application.router.add_post("/cgi-bin/message/template/send", self._send_template)
        application.router.add_get("/cgi-bin/menu/get", self._get_menu)
        application.router.add_post("/cgi-bin/menu/create", self._create_menu)
        application.router.add_get("/cgi-bin/tags/get", self._tags)
        application.router.add_post("/cgi-bin/media/upload", self._upload)
        application.router.add_get("/cgi-bin/media/get", self._media)
        application.router.add_get("/cgi-bin/user/info", self._user)
        application.router.add_post("/cgi-bin/user/info/updateremark", self._remark)
        application.router.add_get("/cgi-bin/user/get", self._followers)
        application.router.add_post("/cgi-bin/user/info/batchget", self._users)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            self.hang.set()
            await runner.cleanup()

    @web.middleware
    async def _scripted(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls[request.path] += 1
        scripted = self.script.get(request.path)
        if scripted:
            code, text = scripted.popleft()
            if 100 <= code < 600:
                return web.Response(status=code, text="<html>an error page</html>")
            return _error(code, text)
        if request.path.endswith("token"):
            response: web.StreamResponse = await handler(request)
            return response
        token = request.query.get("access_token", "")
        if not token:
            return _error(41001, "access_token missing")
        if token not in self.tokens.values():
            return _error(40001, "invalid credential, access_token is invalid or not latest")
        response = await handler(request)
        await self.hang.wait()
        return response

    async def _token(self, request: web.Request) -> web.Response:
        """The classic token: each call makes the one before invalid."""
        given = (request.query.get("appid"), request.query.get("secret"))
        if given != (self.app_id, self.secret):
            return _error(40125, "invalid appsecret")
        return _json({"access_token": self._new_token("classic"), "expires_in": 7200})

    async def _stable_token(self, request: web.Request) -> web.Response:
        """The stable token: the same until it ends, unless a new one is forced."""
        body = await request.json()
        if body.get("grant_type") != "client_credential":
            return _error(40002, "invalid grant_type")
        if body.get("appid") != self.app_id:
            return _error(40013, "invalid appid")
        if body.get("secret") != self.secret:
            return _error(40125, "invalid appsecret")
        forced = body.get("force_refresh", False)
        if not isinstance(forced, bool):
            return _error(47001, "data format error")
        self.forced_refreshes += forced
        if forced or "stable" not in self.tokens:
            self._new_token("stable")
        return _json({"access_token": self.tokens["stable"], "expires_in": 7200})

    def _new_token(self, kind: str) -> str:
        self._made += 1
        self.tokens[kind] = f"TOKEN-CANARY-{kind}-{self._made}"
        return self.tokens[kind]

    async def _send(self, request: web.Request) -> web.Response:
        # The real one shows \u escapes to the user as they are, so they are an error here.
        raw = await request.text()
        if _ESCAPED.search(raw):
            return _error(40033, "invalid charset. please check your request, if include \\uxxxx")
        message = json.loads(raw)
        if message.get("touser") not in self.followers:
            return _error(40003, "invalid openid")
        if error := _check_content(message) or self._check_media(message):
            return error
        refused = self.on_send(message["touser"], message.get("text", {}).get("content", ""))
        if refused == 0:
            assert request.transport
            request.transport.close()
        if refused is not None:
            return refused or web.Response()
        self.sent.append(message)
        self.arrived.set()
        return _json({"errcode": 0, "errmsg": "ok"})

    async def _send_template(self, request: web.Request) -> web.Response:
        message = await request.json()
        if message.get("touser") not in self.followers:
            return _error(43004, "require subscribe")
        wanted = self.templates.get(message.get("template_id"))
        if wanted is None:
            return _error(40037, "invalid template_id")
        for name in sorted(wanted):
            if not message.get("data", {}).get(name, {}).get("value"):
                return _error(47003, f"argument invalid! data.{name}.value is empty")
        self.templated.append(message)
        return _json({"errcode": 0, "errmsg": "ok", "msgid": 200228331 + len(self.templated)})

    async def _get_menu(self, _: web.Request) -> web.Response:
        """As it was created, with an empty list below whatever has none."""
        if self.menu is None:
            return _error(46003, "menu no exist")
        shown = [
            {**button, "sub_button": [{**one, "sub_button": []} for one in _below(button)]}
            for button in self.menu["button"]
        ]
        return _json({"menu": {"button": shown, "menuid": 208396938}})

    async def _create_menu(self, request: web.Request) -> web.Response:
        raw = await request.text()
        if _ESCAPED.search(raw):
            return _error(40033, "invalid charset. please check your request, if include \\uxxxx")
        menu = json.loads(raw)
        if not 1 <= len(menu["button"]) <= 3:
            return _error(40016, "invalid button size")
        for button in menu["button"]:
            if len(_below(button)) > 5:
                return _error(40023, "invalid sub button size")
            if not 0 < len(button["name"].encode()) <= 16:
                return _error(40018, "invalid button name size")
            for one in _below(button) or [button]:
                if not one.get("type"):
                    return _error(40017, "invalid button type")
        self.menu = menu
        return _json({"errcode": 0, "errmsg": "ok"})

    async def _tags(self, _: web.Request) -> web.Response:
        tags = [{"id": number, "name": name, "count": 1} for number, name in self.tags.items()]
        return _json({"tags": tags})

    def _check_media(self, message: dict[str, Any]) -> web.Response | None:
        kind = message["msgtype"]
        if kind not in MEDIA_BYTES:
            return None
        wanted = {"media_id": kind} | ({"thumb_media_id": "thumb"} if kind == "video" else {})
        for name, of_kind in wanted.items():
            if self.media.get(message[kind].get(name, ""), ("", b""))[0] != of_kind:
                return _error(40007, f"invalid {name}")
        return None

    async def _upload(self, request: web.Request) -> web.Response:
        """It wants a length, a file name, and a file of the kind that it is said to be."""
        kind = request.query.get("type", "")
        if kind not in MEDIA_BYTES:
            return _error(40004, "invalid media type")
        if request.content_length is None:
            return _error(41005, "media data missing")
        part = await (await request.multipart()).next()
        if not isinstance(part, BodyPartReader) or part.name != "media" or not part.filename:
            return _error(41005, "media data missing")
        data = bytes(await part.read())
        if len(data) > MEDIA_BYTES[kind]:
            return _error(45001, "media size out of limit")
        media_id = f"media-{kind}-{len(self.media)}"
        self.media[media_id] = (kind, data)
        name = "thumb_media_id" if kind == "thumb" else "media_id"
        return _json({"type": kind, name: media_id, "created_at": 1767225600})

    async def _media(self, request: web.Request) -> web.Response:
        """A film is not given itself but at an address."""
        kind, data = self.media.get(request.query.get("media_id", ""), ("", b""))
        if not kind:
            return _error(40007, "invalid media_id")
        if kind == "video":
            return _json({"video_url": "http://films.example/1.mp4"})
        headers = {"Content-Disposition": 'attachment; filename="MEDIA_ID"'}
        return web.Response(body=data, content_type=MEDIA_TYPES[kind], headers=headers)

    def _describe(self, openid: str) -> dict[str, Any]:
        if openid not in self.followers:
            return {"subscribe": 0, "openid": openid}
        return {"subscribe": 1, "openid": openid, **self.followers[openid]}

    async def _user(self, request: web.Request) -> web.Response:
        openid = request.query.get("openid", "")
        if not openid.startswith("o"):
            return _error(40003, "invalid openid")
        return _json(self._describe(openid))

    async def _remark(self, request: web.Request) -> web.Response:
        raw = await request.text()
        if _ESCAPED.search(raw):
            return _error(40033, "invalid charset. please check your request, if include \\uxxxx")
        asked = json.loads(raw)
        if asked["openid"] not in self.followers:
            return _error(40003, "invalid openid")
        if len(asked["remark"]) >= 30:
            return _error(40100, "invalid remark")
        self.followers[asked["openid"]]["remark"] = asked["remark"]
        return _json({"errcode": 0, "errmsg": "ok"})

    async def _users(self, request: web.Request) -> web.Response:
        asked = (await request.json())["user_list"]
        if len(asked) > 100:
            return _error(40032, "invalid openid list size")
        return _json({"user_info_list": [self._describe(user["openid"]) for user in asked]})

    async def _followers(self, request: web.Request) -> web.Response:
        openids, after = list(self.followers), request.query.get("next_openid", "")
        start = openids.index(after) + 1 if after else 0
        page = openids[start : start + self.page_size]
        answer: dict[str, Any] = {"total": len(openids), "count": len(page)}
        if page:
            answer["data"] = {"openid": page}
        # After the last page there is no `data`, and `next_openid` may still be there.
        return _json({**answer, "next_openid": page[-1] if page else after})


def _check_content(message: dict[str, Any]) -> web.Response | None:
    match message.get("msgtype"):
        case "text":
            content = message["text"]["content"]
            if not content:
                return _error(44004, "empty content")
            if len(content.encode()) > MAX_TEXT_BYTES:
                return _error(45002, "content size out of limit")
        case "news":
            if len(message["news"]["articles"]) != 1:
                return _error(45008, "article size out of limit")
        case "image" | "voice" | "video":
            pass
        case _:
            return _error(40008, "invalid message type")
    return None


def _below(button: dict[str, Any]) -> list[dict[str, Any]]:
    return list(button.get("sub_button", []))


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(text=json.dumps(value, ensure_ascii=False), content_type="text/plain")


def _error(errcode: int, errmsg: str) -> web.Response:
    return _json({"errcode": errcode, "errmsg": f"{errmsg} rid: 5f3ded7d-22929d02-4ba1f5f6"})
