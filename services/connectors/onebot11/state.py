"""Whether the upstream's own account is online, as its events say."""

import asyncio
import logging
from typing import Any

from connectors.onebot11.answers import online_of
from connectors.onebot11.fields import Fields, text_of
from onebus.errors import NotReady

OFFLINE = "the upstream says that it is offline"


class State:
    """Of one account at its owner: set while connected, looked at by `run`.

    Sources: event/meta.md, "心跳" and "生命周期"; NapCat's and Lagrange's notice `bot_offline`.
    """

    def __init__(self, logger: logging.LoggerAdapter[Any]) -> None:
        self._logger = logger
        self._offline = asyncio.Event()
        self._reason = ""

    def begin(self) -> None:
        """It is online, as far as is known."""
        self._offline.clear()

    async def offline(self) -> NotReady:
        """Wait until it is offline; why."""
        await self._offline.wait()
        return NotReady(self._reason)

    def on_event(self, fields: Fields) -> None:
        """See an event before anybody else does."""
        if fields.get("post_type") == "meta_event":
            self._on_meta(fields)
        elif fields.get("notice_type") == "bot_offline":
            why = text_of(fields.get("message"))[:200]
            self._end(f"the upstream was logged out: {why}" if why else OFFLINE)

    def _on_meta(self, fields: Fields) -> None:
        match fields.get("meta_event_type"):
            case "heartbeat" if not online_of(fields.get("status")):
                self._end(OFFLINE)
            case "lifecycle" if fields.get("sub_type") == "disable":
                self._end("the upstream is stopping")
            case "lifecycle":
                self._on_resume(fields.get("resume"))

    def _on_resume(self, resume: object) -> None:
        """An onebus says whether its log still had all that came after what we had last."""
        if isinstance(resume, dict) and resume.get("missed") is True:
            self._logger.warning(
                "the upstream has forgotten some of what came since we were connected"
            )

    def _end(self, reason: str) -> None:
        if not self._offline.is_set():
            self._reason = reason
            self._offline.set()
