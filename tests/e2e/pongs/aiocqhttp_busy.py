"""An aiocqhttp whose handlers do what a message says: "await 2" waits, "block 2" does not."""

import asyncio
import os
import time

from aiocqhttp import CQHttp, Event, Message

bot = CQHttp()


@bot.on_message
async def work(event: Event) -> None:
    print(f"begins {event.message_id}", flush=True)
    how, _, seconds = Message(event.message).extract_plain_text().partition(" ")
    if how == "await":
        await asyncio.sleep(float(seconds))
    elif how == "block":
        time.sleep(float(seconds))


bot.run(host="127.0.0.1", port=int(os.environ["PORT"]))
