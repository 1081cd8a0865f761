"""A bot as its author would write it: aiocqhttp, by reverse WebSocket or by HTTP POST.

"quick …" is answered by a quick operation, everything else by a call.
"""

import os

from aiocqhttp import CQHttp, Event

bot = CQHttp(
    api_root=os.environ.get("API_ROOT"),
    access_token=os.environ.get("ACCESS_TOKEN"),
    secret=os.environ.get("SECRET"),
)


@bot.on_message
async def answer(event: Event) -> dict[str, object] | None:
    text = str(event.message)
    if text.startswith("quick "):
        return {"reply": f"quickly: {text[6:]}", "at_sender": False}
    await bot.send(event, f"called: {text}")
    return None


@bot.on_meta_event("lifecycle")
async def met(event: Event) -> None:
    print(f"lifecycle {event.sub_type}", flush=True)


bot.run(host="127.0.0.1", port=int(os.environ["PORT"]))
