"""The other actions: credentials, what can be done, and onebus itself.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/public.md and `hidden.md`.
"""

from collections.abc import Mapping

from frontends.onebot_v11.call import Call, Handler
from frontends.onebot_v11.params import read_int, read_object, read_text
from frontends.onebot_v11.quick import run_quick
from frontends.onebot_v11.retcode import Answer, accepted
from frontends.onebot_v11.view import Fields
from onebus import __version__
from onebus import action as act
from onebus.errors import BadParams


async def _get_cookies(call: Call) -> Fields:
    return {"cookies": (await _credentials(call)).cookies}


async def _get_csrf_token(call: Call) -> Fields:
    return {"token": (await call.ask(act.GetCredentials())).csrf_token}


async def _get_credentials(call: Call) -> Fields:
    found = await _credentials(call)
    return {"cookies": found.cookies, "csrf_token": found.csrf_token}


async def _credentials(call: Call) -> act.Credentials:
    return await call.ask(act.GetCredentials(read_text(call.params, "domain", "")))


async def _can_send_image(call: Call) -> Fields:
    return {"yes": "send:image" in (await call.identity()).record.capabilities}


async def _can_send_record(call: Call) -> Fields:
    return {"yes": "send:voice" in (await call.identity()).record.capabilities}


async def _get_status(call: Call) -> Fields:
    return call.session.status()


async def _get_version_info(_: Call) -> Fields:
    return {"app_name": "onebus", "app_version": __version__, "protocol_version": "v11"}


async def _set_restart(call: Call) -> Answer | None:
    """Answers `async` without a suffix: public.md, "接口返回的 `status` 是 `async`"."""
    await call.ask(act.Restart(read_int(call.params, "delay", 0, minimum=0)))
    return None if call.session.config.async_as_ok else accepted()


async def _clean_cache(call: Call) -> None:
    await call.ask(act.ClearCache())


async def _handle_quick_operation(call: Call) -> Answer | None:
    """Everything that can be done is done; the answer tells what could not."""
    context = read_object(call.params, "context")
    operation = read_object(call.params, "operation")
    if context is None or operation is None:
        raise BadParams(f"`{'operation' if context is not None else 'context'}` is missing")
    failures = await run_quick(call.session, context, operation, call.run)
    if not failures:
        return None
    first = failures[0].answer
    texts = (f"{failure.action}: {failure.answer.message}" for failure in failures)
    return Answer("failed", first.retcode, message="; ".join(texts), wording=first.wording)


ACTIONS: Mapping[str, Handler] = {
    "get_cookies": _get_cookies,
    "get_csrf_token": _get_csrf_token,
    "get_credentials": _get_credentials,
    "can_send_image": _can_send_image,
    "can_send_record": _can_send_record,
    "get_status": _get_status,
    "get_version_info": _get_version_info,
    "set_restart": _set_restart,
    "clean_cache": _clean_cache,
    ".handle_quick_operation": _handle_quick_operation,
}
