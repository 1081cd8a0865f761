"""Who is logged in at an upstream, what it runs on, and that it is online."""

import contextlib
import logging
from typing import Any

from connectors.onebot11 import answers
from connectors.onebot11.calls import Calls
from connectors.onebot11.fields import Unreadable
from connectors.onebot11.link import TOKEN_REFUSED, Upstream
from connectors.onebot11.state import OFFLINE
from onebus.backoff import Backoff
from onebus.errors import ActionError, AuthFailed, Misconfigured, NotReady
from onebus.event import User


async def introduce(
    calls: Calls, upstream: Upstream, self_id: str, logger: logging.LoggerAdapter[Any]
) -> tuple[str, User]:
    """The implementation's name, and who is logged in, as soon as they are online.

    Raises AuthFailed, NotReady, ActionError; Misconfigured when it is not who it should be.
    """
    me = await _logged_in(calls, upstream)
    if self_id and me.id != self_id:
        raise Misconfigured(f"self_id is {self_id}, but {me.id} is logged in there")
    app = ""
    with contextlib.suppress(ActionError):
        app = answers.app_of(await calls.read("get_version_info"))
    await _until_online(calls, logger)
    logger.info("the upstream is %s", app or "of a kind that it does not say")
    return app, me


async def _logged_in(calls: Calls, upstream: Upstream) -> User:
    try:
        reply = await calls.reply("get_login_info", {}, writes=False)
    except ActionError as error:
        lost = upstream.lost()
        raise lost if isinstance(lost, AuthFailed) else NotReady(str(error)) from None
    if reply.retcode in TOKEN_REFUSED:
        raise AuthFailed("the upstream refuses the access_token")
    if not reply.done:
        raise NotReady(str(answers.error_of("get_login_info", reply, writes=False)))
    try:
        return answers.user_of(reply.data)
    except Unreadable:
        raise NotReady("the upstream does not say who is logged in there") from None


async def _until_online(calls: Calls, logger: logging.LoggerAdapter[Any]) -> None:
    """Who cannot say it is online."""
    backoff = Backoff(0.5, 5)
    said = False
    while True:
        reply = await calls.reply("get_status", {}, writes=False)
        if not reply.done or answers.online_of(reply.data):
            return
        if not said:
            logger.warning("%s; waiting for it", OFFLINE)
        said = True
        await backoff.wait()
