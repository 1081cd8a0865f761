"""Actions that OneBot V11 does not have, and the implementation behind the account may.

They go there as they came, and so does the answer; only numbers of messages are exchanged
(`native`). Whether there is such an action the upstream says.
"""

from typing import Any

from frontends.onebot_v11.call import Call, Handler
from frontends.onebot_v11.native import PROTOCOL, exchanged, numbers_of
from frontends.onebot_v11.params import KEY
from frontends.onebot_v11.references import MessageKey, References, message_key
from frontends.onebot_v11.retcode import OK, Answer
from onebus import action as act
from onebus.errors import NotFound
from onebus.event import Chat
from onebus.ids import MessageId


def native_action(name: str) -> Handler:
    """What the action of this name does: whatever the upstream makes of it."""

    async def handler(call: Call) -> Answer:
        given = {key: value for key, value in call.params.items() if key != KEY}
        natives = await _natives(call, given)
        params = exchanged(given, lambda _chat, number: natives.get(number))
        answer = await call.ask(act.CallNative(PROTOCOL, name, params))
        return _answer(answer, await _numbered(call, answer.data, params))

    return handler


async def _natives(call: Call, params: dict[str, Any]) -> dict[str, str]:
    """The native id of every message that is named and that the log has."""
    found: set[str] = set()
    exchanged(params, lambda _chat, number: found.add(number))
    lookup = (await call.identity()).lookup
    natives: dict[str, str] = {}
    for number in found:
        try:
            stored = await lookup.message(int(number) if number.isdecimal() else number)
            natives[number] = stored.event.message
        except NotFound:  # it may be the upstream's own, from an answer that came through here
            continue
    return natives


async def _numbered(call: Call, data: Any, params: dict[str, Any]) -> Any:
    """An answer with our numbers for the messages that the log has."""
    found: set[MessageKey] = set()

    def note(chat: Chat | None, native: str) -> None:
        if chat:
            found.add(message_key(chat, MessageId(native)))

    # The parameters around the answer say which chat it is about, where it does not itself.
    around = {key: params[key] for key in ("group_id", "user_id") if key in params}
    exchanged({**around, "data": data}, note)
    if not found:
        return data
    numbers = await (await call.identity()).lookup.numbers(References(messages=frozenset(found)))
    return exchanged({**around, "data": data}, numbers_of(numbers))["data"]


def _answer(answer: act.NativeAnswer, data: Any) -> Answer:
    """The upstream's answer; `status` is what its retcode says, whatever it wrote there."""
    status = {OK: "ok", 1: "async"}.get(answer.retcode, "failed")
    text = answer.message or answer.wording
    return Answer(status, answer.retcode, data, message=text, wording=answer.wording)  # type: ignore[arg-type]
