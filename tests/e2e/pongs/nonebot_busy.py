"""A nonebot2 whose handlers do what a message says: "await 2" waits, "block 2" holds its thread."""

import asyncio
import json
import os
import time

import nonebot
from nonebot import on_message
from nonebot.adapters.onebot.v11 import Adapter, MessageEvent

nonebot.init(**json.loads(os.environ["BUSY"]), superusers=set(), log_level="WARNING")
nonebot.get_driver().register_adapter(Adapter)


@on_message().handle()
async def work(event: MessageEvent) -> None:
    print(f"begins {event.message_id}", flush=True)
    how, _, seconds = event.get_plaintext().partition(" ")
    if how == "await":
        await asyncio.sleep(float(seconds))
    elif how == "block":
        time.sleep(float(seconds))


nonebot.run()
