"""A bot as its author would write it: nonebot2 loads pictures and shows them back."""

import os
from urllib.request import urlopen

import nonebot
from nonebot import on_message
from nonebot.adapters.onebot.v11 import Adapter, Bot, MessageEvent, MessageSegment
from nonebot.utils import run_sync

nonebot.init(
    driver="~aiohttp",
    onebot_ws_urls=[os.environ["ONEBOT_WS_URL"]],
    superusers=set(),
    log_level="INFO",
)
nonebot.get_driver().register_adapter(Adapter)
pictures = on_message()


def load(url: str) -> bytes:
    with urlopen(url, timeout=20) as response:
        data: bytes = response.read()
        return data


@pictures.handle()
async def show_them_back(bot: Bot, event: MessageEvent) -> None:
    for segment in event.get_message()["image"]:
        data = await run_sync(load)(segment.data["url"])
        await bot.send(event, f"{len(data)} bytes: " + MessageSegment.image(data))


nonebot.run()
