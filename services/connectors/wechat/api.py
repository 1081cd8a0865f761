"""Calls of the platform's HTTP API, with the token that all replicas share."""

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from connectors.wechat.answers import (
    TOKEN_REJECTED,
    Answer,
    BatchAnswer,
    FollowersAnswer,
    TokenAnswer,
    UserAnswer,
    action_error,
    in_action,
    setup_error,
)
from connectors.wechat.config import Config
from onebus.api import Call, Options
from onebus.connector import Kit
from onebus.errors import (
    ActionError,
    BusError,
    NotReady,
    PlatformUnavailable,
    SetupError,
)
from onebus.token import Token

A = TypeVar("A", bound=Answer)

BATCH = 100
"""Most users of one `user/info/batchget`."""

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

    async def user(self, openid: str) -> UserAnswer:
        """Describe a follower.

        Source: https://developers.weixin.qq.com/doc/offiaccount/User_Management/Get_users_basic_information_UnionID.html
        """
        query = {"openid": openid, "lang": "zh_CN"}
        return await self._call(Call("GET", "/cgi-bin/user/info", query), UserAnswer)

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

    async def _call(self, call: Call, kind: type[A]) -> A:
        """Call with the token; once more with a new one when the platform rejects it.

        A call with a rejected token was not executed, so repeating it is safe.
        """
        token = await self._token_in_action(None)
        answer = await self._request(call, token, kind)
        if answer.errcode in TOKEN_REJECTED:
            token = await self._token_in_action(token)
            answer = await self._request(call, token, kind)
        if answer.errcode:
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
