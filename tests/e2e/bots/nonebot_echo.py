"""A bot as its author would write it: nonebot2, connected by forward WebSocket, says it back."""

import os

import nonebot
from nonebot import on_message
from nonebot.adapters.onebot.v11 import Adapter, Bot, GroupMessageEvent, MessageEvent

nonebot.init(
    driver="~aiohttp",
    onebot_ws_urls=[os.environ["ONEBOT_WS_URL"]],
    onebot_access_token=os.environ.get("ONEBOT_ACCESS_TOKEN"),
    superusers=set(),
    log_level="INFO",
)
nonebot.get_driver().register_adapter(Adapter)
echo = on_message()


@echo.handle()
async def say_it_back(bot: Bot, event: MessageEvent) -> None:
    where = "group" if isinstance(event, GroupMessageEvent) else "private"
    quoted = f", quoting {event.reply.message_id}" if event.reply else ""
    await bot.send(event, f"{where}: {event.get_plaintext()}{quoted}")


nonebot.run()
