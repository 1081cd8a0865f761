"""Calls of the platform's HTTP API, with the token that all replicas share.

The access token travels in the query, and exceptions of aiohttp carry URLs: none of them leaves
this module, not even as the cause or context of ours.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import aiohttp
from msgspec import Struct
from yarl import URL

from connectors.wechat.answers import (
    TOKEN_REJECTED,
    Answer,
    BatchAnswer,
    FollowersAnswer,
    TokenAnswer,
    UserAnswer,
    action_error,
    in_action,
    printable,
    setup_error,
)
from connectors.wechat.config import Config
from onebus.codec import CodecError, decode, encode
from onebus.connector import Kit, Token
from onebus.errors import (
    ActionError,
    BusError,
    NotReady,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
    SetupError,
)

A = TypeVar("A", bound=Answer)

BATCH = 100
"""Most users of one `user/info/batchget`."""

_CONTROLS = bytes(c for c in range(32))


class Call(Struct, frozen=True):
    """One call; `writes`: whether it changes something, so that it must not be repeated blindly."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: Any = None
    writes: bool = False


class Api:
    """The calls that the connector makes, for one account."""

    def __init__(self, config: Config, kit: Kit) -> None:
        self._config = config
        self._kit = kit
        # Named after the app: a token of the app configured before must not be used for this one.
        self._token_name = f"access_token-{config.app_id}"

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
        call = Call("POST", "/cgi-bin/message/custom/send", body=message, writes=True)
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
        call = Call("POST", "/cgi-bin/user/info/batchget", body=body)
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
            said = printable(answer.errmsg, token, self._config.app_secret)
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
        call = Call("POST", "/cgi-bin/stable_token", body=body)
        try:
            answer = await self._request(call, "", TokenAnswer)
        except ActionError as error:
            raise NotReady(error.text) from error
        if answer.errcode:
            said = printable(answer.errmsg, self._config.app_secret)
            raise setup_error(answer.errcode, said)
        if not answer.access_token:
            raise NotReady("WeChat answered the token call with neither a token nor an error")
        return answer

    async def _request(self, call: Call, token: str, kind: type[A]) -> A:
        """One HTTP exchange. Raises ActionError; the code in an answer is the caller's."""
        outcome = await self._exchange(call, token)
        if isinstance(outcome, ActionError):
            raise outcome
        try:
            return decode(_mend(outcome), kind)
        except CodecError:
            raise _broken(call, "WeChat gave an answer that cannot be read") from None

    async def _exchange(self, call: Call, token: str) -> bytes | ActionError:
        """The body of the answer, or the error as a value: so it has no context with a URL."""
        query = {"access_token": token, **call.query} if token else dict(call.query)
        url = URL(self._config.api_base.rstrip("/") + call.path).with_query(query)
        # Its own limit for connecting, so that this failure is known to be one before sending.
        total_s = self._config.request_timeout_s
        timeout = aiohttp.ClientTimeout(total=total_s, connect=total_s / 2)
        # UTF-8 as it is: the platform does not decode \u escapes in messages.
        body = None if call.body is None else encode(call.body)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            async with self._kit.http.request(
                call.method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                content = await response.read()
                return content if response.status == 200 else _refused(call, response.status)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return PlatformUnavailable(f"no connection to WeChat at {url.host}")
        except (aiohttp.ClientError, TimeoutError):
            return _broken(call, f"WeChat at {url.host} did not answer in time")


def _refused(call: Call, status: int) -> ActionError:
    if status == 429:
        return RateLimited("WeChat answered HTTP 429")
    if status < 500:
        return PlatformUnavailable(f"WeChat answered HTTP {status}")
    return _broken(call, f"WeChat answered HTTP {status}")


def _broken(call: Call, text: str) -> ActionError:
    """It was on its way when something broke: unknown for a write, merely no answer for a read."""
    if call.writes:
        return OutcomeUnknown(f"{text}; the message may have been sent")
    return PlatformUnavailable(text)


def _mend(body: bytes) -> bytes:
    """Nicknames come with raw control characters and torn UTF-8, which no JSON may have."""
    return body.translate(None, _CONTROLS).decode("utf-8", "replace").encode()
