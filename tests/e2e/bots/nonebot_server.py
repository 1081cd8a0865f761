"""A bot as its author would write it: nonebot2, waiting for reverse WebSocket and HTTP POST."""

import json
import os

import nonebot
from nonebot import on_message
from nonebot.adapters.onebot.v11 import Adapter, Bot, GroupMessageEvent, MessageEvent

nonebot.init(
    driver="~fastapi+~aiohttp",
    host=os.environ.get("HOST", "127.0.0.1"),
    port=int(os.environ["PORT"]),
    onebot_access_token=os.environ.get("ONEBOT_ACCESS_TOKEN"),
    onebot_secret=os.environ.get("ONEBOT_SECRET"),
    onebot_api_roots=json.loads(os.environ.get("ONEBOT_API_ROOTS", "{}")),
    superusers=set(),
    log_level="INFO",
)
nonebot.get_driver().register_adapter(Adapter)
echo = on_message()


@echo.handle()
async def say_it_back(bot: Bot, event: MessageEvent) -> None:
    where = "group" if isinstance(event, GroupMessageEvent) else "private"
    await bot.send(event, f"{where}: {event.get_plaintext()}")


nonebot.run()
