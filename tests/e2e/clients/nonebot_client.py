"""A bot as its author would write it: nonebot2, by forward or reverse WebSocket, or by HTTP.

Every event is a line with the class that it was recognized as. "call {…}" calls an action.
"""

import json
import os
from typing import Any

import nonebot
from nonebot import on_message
from nonebot.adapters.onebot.v11 import ActionFailed, Adapter, Bot, Event, MessageEvent
from nonebot.compat import model_dump
from nonebot.message import event_preprocessor
from nonebot.utils import DataclassEncoder

nonebot.init(**json.loads(os.environ["NONEBOT"]), superusers=set(), log_level="INFO")
nonebot.get_driver().register_adapter(Adapter)


def say(**line: Any) -> None:
    print(json.dumps(line, cls=DataclassEncoder, separators=(",", ":")), flush=True)


@event_preprocessor
async def tell(event: Event) -> None:
    say(event=type(event).__name__, data=model_dump(event))


@on_message().handle()
async def call(bot: Bot, event: MessageEvent) -> None:
    text = event.get_plaintext()
    if not text.startswith("call "):
        return
    asked = json.loads(text[5:])
    try:
        say(called=asked["action"], data=await getattr(bot, asked["action"])(**asked["params"]))
    except ActionFailed as error:
        say(called=asked["action"], failed=error.info["retcode"])


nonebot.run()
