"""The sandbox's platform is the sandbox itself: people use its REST."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from connectors.sandbox.message import Part, decode_message, encode_segment
from connectors.sandbox.notice import encode_notice
from onebus.errors import BadParams
from onebus.event import Chat, Event, group_chat, private_chat
from onebus.ids import ChatId, UserId
from onebus.segment import Segment
from onebus.testing import subject
from onebus.testing.play import Replica
from onebus.testing.subject import Golden, NotTaken

TOKEN = "sandbox-token-canary"


class Subject(subject.Subject):
    canaries = (TOKEN,)
    calls_api = False

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        yield

    def config(self) -> dict[str, Any]:
        return {"access_token": TOKEN}

    @property
    def chats(self) -> Sequence[Chat]:
        return group_chat(ChatId("lobby")), private_chat(UserId("alice"))

    def decodes(self) -> Mapping[str, Golden]:
        def decode(given: Any) -> Any:
            message = msgspec.convert(given["message"], str | list[Part])
            return decode_message(message, given.get("reply_to"))

        return {"decode": decode}

    def encodes(self) -> Mapping[str, Golden]:
        return {
            "encode": lambda given: encode_segment(msgspec.convert(given, Segment)),
            "notice": lambda given: encode_notice(msgspec.convert(given, Event)),
        }

    async def deliver(self, replica: Replica, number: int) -> None:
        said = {"user": "alice", "message": f"update {number}", "message_id": f"m{number}"}
        await self._post(replica, "messages", said)

    async def deliver_unknown(self, replica: Replica) -> None:
        await self._post(replica, "events", {"type": "teleported", "user": "alice"})

    async def _post(self, replica: Replica, path: str, body: Any) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{replica.url}/api/{path}"
        async with replica.kit.http.post(url, json=body, headers=headers) as response:
            if response.status == 400:
                raise BadParams(await response.text())
            if response.status >= 500:
                raise NotTaken(f"HTTP {response.status}")
            assert response.status == 200, await response.text()
