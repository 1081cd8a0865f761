"""A bot as its author would write it: nonebot2, connected by forward WebSocket.

It says text back, sends pictures back, lets in who asks, and prints what happens, an event a line.
"""

import base64
import os

import nonebot
from nonebot import on_message, on_notice, on_request
from nonebot.adapters.onebot.v11 import (
    Adapter,
    Bot,
    GroupRequestEvent,
    Message,
    MessageEvent,
    MessageSegment,
    NoticeEvent,
)

nonebot.init(
    driver="~aiohttp",
    onebot_ws_urls=[os.environ["ONEBOT_WS_URL"]],
    onebot_access_token=os.environ.get("ONEBOT_ACCESS_TOKEN"),
    superusers=set(),
    log_level="INFO",
)
nonebot.get_driver().register_adapter(Adapter)


# A pixel, as a bot makes it: bytes, which the adapter sends as base64.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@on_message().handle()
async def say_it_back(bot: Bot, event: MessageEvent) -> None:
    print("message", event.model_dump_json(exclude={"original_message"}), flush=True)
    answer = Message(MessageSegment.reply(event.message_id))
    if images := event.message["image"]:
        await bot.send(event, answer + MessageSegment.image(images[0].data["file"]))
    elif (text := event.get_plaintext()) == "draw":
        await bot.send(event, MessageSegment.image(PICTURE) + "as you wish")
    elif text:
        await bot.send(event, answer + f"you said: {text}")


@on_notice().handle()
async def tell(event: NoticeEvent) -> None:
    print("notice", event.model_dump_json(), flush=True)


@on_request().handle()
async def let_in(bot: Bot, event: GroupRequestEvent) -> None:
    print("request", event.model_dump_json(), flush=True)
    if "no" in (event.comment or ""):
        await event.reject(bot, reason="not today")
    else:
        await event.approve(bot)


nonebot.run()
