"""A bot as its author would write it: aiocqhttp, by HTTP POST or by reverse WebSocket.

Every event that reached the handler of its very name is a line. "call {…}" calls an action,
"quick {…}" is answered by that quick operation, and so are requests that have one as comment.
"""

import json
import os
from typing import Any

from aiocqhttp import ActionFailed, CQHttp, Event, Message

bot = CQHttp(
    api_root=os.environ.get("API_ROOT"),
    access_token=os.environ.get("ACCESS_TOKEN"),
    secret=os.environ.get("SECRET"),
)


def say(**line: Any) -> None:
    print(json.dumps(line, separators=(",", ":")), flush=True)


def listen(name: str) -> None:
    @bot.on(name)
    async def tell(event: Event) -> None:
        say(event=name, data=event)


for listed in json.loads(os.environ["EVENTS"]):
    listen(listed)


@bot.on_message
async def answer(event: Event) -> dict[str, Any] | None:
    word, _, rest = Message(event.message).extract_plain_text().partition(" ")
    if word == "call":
        await call(event, **json.loads(rest))
    operation: dict[str, Any] | None = json.loads(rest) if word == "quick" else None
    return operation


@bot.on_request
async def decide(event: Event) -> dict[str, Any] | None:
    operation: dict[str, Any] | None = json.loads(event.comment) if event.comment else None
    return operation


async def call(event: Event, action: str, params: dict[str, Any]) -> None:
    try:
        data = await getattr(bot, action)(self_id=event.self_id, **params)
        say(called=action, data=data)
    except ActionFailed as error:
        say(called=action, failed=error.result["retcode"])


bot.run(host="127.0.0.1", port=int(os.environ["PORT"]))
