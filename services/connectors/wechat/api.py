"""Calls of the platform's HTTP API, with the token that all replicas share."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import aiohttp
from msgspec.structs import replace

from connectors.wechat.answers import (
    NO_MENU,
    TOKEN_REJECTED,
    Answer,
    BatchAnswer,
    FollowersAnswer,
    MediaAnswer,
    MenuAnswer,
    Tag,
    TagsAnswer,
    TemplateAnswer,
    TokenAnswer,
    UploadAnswer,
    UserAnswer,
    action_error,
    in_action,
    setup_error,
)
from connectors.wechat.config import Config
from connectors.wechat.menu import Menu, menu_body
from onebus.action import MediaFile
from onebus.api import Call, Options
from onebus.connector import Kit
from onebus.errors import (
    ActionError,
    BusError,
    NotReady,
    PlatformUnavailable,
    SetupError,
)
from onebus.media import Media
from onebus.media_http import MediaBody
from onebus.token import Token

A = TypeVar("A", bound=Answer)

BATCH = 100
"""Most users of one `user/info/batchget`."""

UPLOAD_S = 60.0
MAX_ANSWER_BYTES = 64 << 10
THUMBNAIL_S = 2 * 86_400
"""Its file is kept for three days."""
THUMBNAIL = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI////////////////////"
    "////////////////////////////////2wBDAVVaWnhpeOuCguv/////////////////////////////////////"
    "////////////////////////////////////wAARCAAQABADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAA"
    "AAP/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFAEBAAAAAAAAAAAAAAAAAAAAAP/EABQRAQAAAAAAAAAAAAAAAAAA"
    "AAD/2gAMAwEAAhEDEQA/AIgA/9k="
)
"""A JPEG of 16 × 16 grey pixels, which stands for films."""

Keep: TypeAlias = Callable[[AsyncIterator[bytes], str], Awaitable[MediaFile]]
"""What is done with a file: its bytes as they come, and its type as the platform says it."""

_CONTROLS = bytes(c for c in range(32))


class Api:
    """The calls that the connector makes, for one account."""

    def __init__(self, config: Config, kit: Kit) -> None:
        self._config = config
        self._kit = kit
        # Named after the app: a token of the app configured before must not be used for this one.
        self._token_name = f"access_token-{config.app_id}"
        options = Options("WeChat", (config.app_secret,), config.request_timeout_s)
        self._http = kit.api(config.api_base, options=options)

    async def token(self, stale: str | None = None) -> str:
        """The access token; another one than `stale`. Raises NotReady or AuthFailed.

        Source: https://developers.weixin.qq.com/doc/service/api/base/api_getstableaccesstoken.html
        """

        async def source() -> Token:
            return await self._new_token(stale)

        return await self._kit.token(self._token_name, source, stale=stale)

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a customer-service message.

        Source: https://developers.weixin.qq.com/doc/service/en/api/customer/message/api_sendcustommessage.html
        """
        call = Call("POST", "/cgi-bin/message/custom/send", json=message, writes=True)
        await self._call(call, Answer)

    async def send_template(self, message: Mapping[str, Any]) -> int:
        """Send a template message; returns the platform's id of it, 0 where it gave none.

        Source: https://developers.weixin.qq.com/doc/service/en/api/notify/template/api_sendtemplatemessage.html
        """
        call = Call("POST", "/cgi-bin/message/template/send", json=message, writes=True)
        return (await self._call(call, TemplateAnswer)).msgid

    async def menu(self) -> Menu:
        """The menu that the API made; empty when there is none.

        Source: https://developers.weixin.qq.com/doc/service/en/api/custommenu/api_getmenu.html
        """
        call = Call("GET", "/cgi-bin/menu/get")
        return (await self._call(call, MenuAnswer, fine=NO_MENU)).menu.button

    async def create_menu(self, menu: Menu) -> None:
        """Put a menu in the place of the one that is there.

        Source: https://developers.weixin.qq.com/doc/service/en/api/custommenu/api_createcustommenu.html
        """
        await self._call(Call("POST", "/cgi-bin/menu/create", json=menu_body(menu)), Answer)

    async def tags(self) -> tuple[Tag, ...]:
        """The tags that the account has for its followers.

        Source: https://developers.weixin.qq.com/doc/offiaccount/en/User_Management/User_Tag_Management.html
        """
        return (await self._call(Call("GET", "/cgi-bin/tags/get"), TagsAnswer)).tags

    async def user(self, openid: str) -> UserAnswer:
        """Describe a follower.

        Source: https://developers.weixin.qq.com/doc/offiaccount/User_Management/Get_users_basic_information_UnionID.html
        """
        query = {"openid": openid, "lang": "zh_CN"}
        return await self._call(Call("GET", "/cgi-bin/user/info", query), UserAnswer)

    async def set_remark(self, openid: str, remark: str) -> None:
        """Note a name of a follower.

        Source: https://developers.weixin.qq.com/doc/service/en/api/usermanage/userinfo/api_updateremark.html
        """
        body = {"openid": openid, "remark": remark}
        await self._call(Call("POST", "/cgi-bin/user/info/updateremark", json=body), Answer)

    async def users(self, openids: list[str]) -> list[UserAnswer]:
        """Describe up to BATCH followers.

        Source: https://developers.weixin.qq.com/doc/service/en/api/usermanage/userinfo/api_batchuserinfo.html
        """
        body = {"user_list": [{"openid": openid, "lang": "zh_CN"} for openid in openids]}
        call = Call("POST", "/cgi-bin/user/info/batchget", json=body)
        return (await self._call(call, BatchAnswer)).user_info_list

    async def followers(self) -> list[str]:
        """The ids of all followers, 10,000 a call.

        Source: https://developers.weixin.qq.com/doc/service/en/api/usermanage/userinfo/api_getfans.html
        """
        found: dict[str, None] = {}
        after = ""
        while True:
            query = {"next_openid": after} if after else {}
            page = await self._call(Call("GET", "/cgi-bin/user/get", query), FollowersAnswer)
            before = len(found)
            found.update(dict.fromkeys(page.data.openid))
            # The last page may repeat next_openid instead of leaving it empty.
            if len(found) == before or not page.next_openid:
                return list(found)
            after = page.next_openid

    async def upload(self, kind: str, media: Media) -> str:
        """Upload a temporary file, which the platform keeps for three days; returns its id.

        Source: https://developers.weixin.qq.com/doc/service/en/api/material/temporary/api_uploadtempmedia.html
        """

        def body() -> aiohttp.FormData:
            form = aiohttp.FormData()
            form.add_field("media", MediaBody(media), filename=media.name)
            return form

        return await self._upload(kind, body)

    async def thumbnail(self) -> str:
        """The id of the picture that stands for films, of which the platform asks for one."""

        async def source() -> Token:
            def body() -> aiohttp.FormData:
                form = aiohttp.FormData()
                form.add_field("media", THUMBNAIL, filename="t.jpg", content_type="image/jpeg")
                return form

            media_id = await self._upload("thumb", body)
            return Token(media_id, self._kit.now_ms() / 1000 + THUMBNAIL_S)

        return await self._kit.token(f"thumbnail-{self._config.app_id}", source)

    async def _upload(self, kind: str, body: Callable[[], Any]) -> str:
        path = "/cgi-bin/media/upload"
        call = Call("POST", path, query={"type": kind}, data=body, timeout_s=UPLOAD_S)
        answer = await self._call(call, UploadAnswer)
        if media_id := answer.media_id or answer.thumb_media_id:
            return media_id
        raise PlatformUnavailable("WeChat took the file and gave it no id")

    async def media(self, media_id: str, keep: Keep) -> MediaFile | str:
        """What `keep` makes of a temporary file, or the address that the platform has for it.

        Source: https://developers.weixin.qq.com/doc/service/en/api/material/temporary/api_gettempmedia.html
        """
        token = await self._token_in_action(None)
        found = await self._media(media_id, token, keep)
        if isinstance(found, MediaAnswer) and found.errcode in TOKEN_REJECTED:
            token = await self._token_in_action(token)
            found = await self._media(media_id, token, keep)
        if not isinstance(found, MediaAnswer):
            return found
        if found.errcode:
            raise action_error(found.errcode, self._http.clean(found.errmsg, token))
        return found.video_url

    async def _media(self, media_id: str, token: str, keep: Keep) -> MediaFile | MediaAnswer:
        query = {"access_token": token, "media_id": media_id}
        async with self._http.download(Call("GET", "/cgi-bin/media/get", query)) as download:
            answer = download.answer
            if answer.status != 200:
                raise PlatformUnavailable(f"WeChat answered HTTP {answer.status}")
            given = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if given not in ("application/json", "text/plain"):
                return await keep(download.chunks, given)
            body = bytearray()
            async for chunk in download.chunks:
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise PlatformUnavailable("WeChat gave too long an answer")
            return replace(answer, body=_mend(bytes(body))).read(MediaAnswer)

    async def _call(self, call: Call, kind: type[A], *, fine: int = 0) -> A:
        """Call with the token; once more with a new one when the platform rejects it.

        A call with a rejected token was not executed, so repeating it is safe. `fine`: an error
        code that is an answer, too.
        """
        token = await self._token_in_action(None)
        answer = await self._request(call, token, kind)
        if answer.errcode in TOKEN_REJECTED:
            token = await self._token_in_action(token)
            answer = await self._request(call, token, kind)
        if answer.errcode not in (0, fine):
            said = self._http.clean(answer.errmsg, token)
            raise action_error(answer.errcode, said)
        return answer

    async def _token_in_action(self, stale: str | None) -> str:
        try:
            return await self.token(stale)
        except SetupError as error:
            raise in_action(error) from error
        except BusError as error:
            raise PlatformUnavailable(f"no access token: {error}") from error

    async def _new_token(self, stale: str | None) -> Token:
        """Ask as usual first: the platform may have renewed it by itself, and 20 forced renewals
        a day are all there are.
        """
        answer = await self._ask_token(forced=False)
        if stale is not None and answer.access_token == stale:
            answer = await self._ask_token(forced=True)
        expires_at_s = self._kit.now_ms() / 1000 + answer.expires_in
        return Token(answer.access_token, expires_at_s)

    async def _ask_token(self, *, forced: bool) -> TokenAnswer:
        body = {
            "grant_type": "client_credential",
            "appid": self._config.app_id,
            "secret": self._config.app_secret,
            "force_refresh": forced,
        }
        call = Call("POST", "/cgi-bin/stable_token", json=body)
        try:
            answer = await self._request(call, "", TokenAnswer)
        except ActionError as error:
            raise NotReady(error.text) from error
        if answer.errcode:
            said = self._http.clean(answer.errmsg)
            raise setup_error(answer.errcode, said)
        if not answer.access_token:
            raise NotReady("WeChat answered the token call with neither a token nor an error")
        return answer

    async def _request(self, call: Call, token: str, kind: type[A]) -> A:
        """One HTTP exchange. Raises ActionError; the code in an answer is the caller's."""
        query = {"access_token": token, **call.query} if token else call.query
        answer = await self._http.call(replace(call, query=query))
        if answer.status != 200:  # a page of something in between: the API itself says 200
            raise PlatformUnavailable(f"WeChat answered HTTP {answer.status}")
        return replace(answer, body=_mend(answer.body)).read(kind)


def _mend(body: bytes) -> bytes:
    """Nicknames come with raw control characters and torn UTF-8, which no JSON may have."""
    return body.translate(None, _CONTROLS).decode("utf-8", "replace").encode()
