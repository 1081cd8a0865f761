"""OneBot V11 by HTTP: calls of the fake's API, and signed posts at the webhook.

The WebSockets have tests of their own in `tests/unit/connectors/onebot11`: the same connector over
other transports, but for what is signed and for what HTTP refuses.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from tests.fakes.onebot11_upstream import SELF, private, signature, upstream

from connectors.onebot11.decode import decode_event
from connectors.onebot11.decode_message import decode_message
from connectors.onebot11.encode_message import encode_message, encode_nodes
from onebus.connector import WebhookRequest
from onebus.event import Chat, group_chat, private_chat
from onebus.ids import ChatId, UserId
from onebus.segment import Forward, Segments
from onebus.testing import subject
from onebus.testing.play import Replica
from onebus.testing.subject import Golden, Refusal

TOKEN, SECRET = "upstream-token-canary", "upstream-secret-canary"
GOLDEN_MS = 1_700_000_000_000


class Subject(subject.Subject):
    canaries = (TOKEN, SECRET)
    replay_window_s = 300.0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._base = ""
        self._began_s = int(self.now_s())

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        async with upstream(TOKEN) as there:
            there.on_send = self._on_send
            there.answers["send_group_forward_msg"] = {"message_id": 7}
            there.answers["send_private_forward_msg"] = {"message_id": 8}
            self._base = there.base
            yield

    def _on_send(self, params: Mapping[str, Any]) -> Refusal | None:
        chat = str(params.get("group_id") or params.get("user_id"))
        said = params["message"]
        return self.refusal(chat, "".join(part["data"].get("text", "") for part in said))

    def config(self) -> dict[str, Any]:
        return {
            "url": f"http://{self._base}",
            "access_token": TOKEN,
            "secret": SECRET,
            "call_timeout": 2,
        }

    @property
    def chats(self) -> Sequence[Chat]:
        return [group_chat(ChatId("30003")), private_chat(UserId("20002"))]

    def decodes(self) -> Mapping[str, Golden]:
        def events(given: Any) -> Any:
            found = msgspec.to_builtins(decode_event(given, self.account).events)
            for event in found:
                assert event.pop("time_ms") == GOLDEN_MS
                del event["account"], event["v"]
            return found

        return {"events": events, "messages": decode_message}

    def encodes(self) -> Mapping[str, Golden]:
        def send(given: Any) -> Any:
            match msgspec.convert(given, Segments):
                case (Forward(nodes=nodes),) if nodes:
                    return encode_nodes(nodes)
                case segments:
                    return encode_message(segments)

        return {"send": send}

    def signed(self, number: int) -> WebhookRequest:
        return self._request(self._said(number))

    def _said(self, number: int) -> dict[str, Any]:
        """Every second update is no message: what happens has an id of another kind."""
        base = {"time": self._began_s, "self_id": SELF}
        if number % 2:
            return {**base, "post_type": "notice", "notice_type": "friend_add", "user_id": number}
        return {**base, **private(f"update {number}", number + 1)}

    def _request(self, fields: Mapping[str, Any], secret: str = SECRET) -> WebhookRequest:
        body = json.dumps(fields).encode()
        headers = {"X-Signature": signature(body, secret), "X-Self-ID": str(SELF)}
        return WebhookRequest("POST", {}, headers, body)

    async def deliver_unknown(self, replica: Replica) -> None:
        """What is an event by its names goes to bots as it came; this is none."""
        fields = {"time": self._began_s, "self_id": SELF, "sort": "teleported"}
        reply = await replica.connector.webhook(self._request(fields))
        assert reply.status == 200

    def forgeries(self, number: int) -> Mapping[str, WebhookRequest]:
        true = self.signed(number)

        def changed(body: bytes = true.body, **headers: str | None) -> WebhookRequest:
            found = {**true.headers, "X-Signature": headers.get("given")}
            kept = {name: value for name, value in found.items() if value is not None}
            return WebhookRequest("POST", {}, kept, body)

        right = true.headers["X-Signature"]
        return {
            "missing": changed(),
            "empty": changed(given=""),
            "wrong": changed(given="sha1=" + "0" * 40),
            "without its name": changed(given=right.removeprefix("sha1=")),
            "another account's": self._request(self._said(number), "another-secret"),
            "written anew": changed(true.body.replace(b": ", b":  ", 1), given=right),
            "too old": self._request(self._said(number) | {"time": self._began_s - 400}),
            "without a time": self._request(self._said(number) | {"time": None}),
        }

    def unsafe_configs(self) -> Sequence[Mapping[str, Any]]:
        return [{"secret": ""}]

    def wrong_credentials(self) -> Mapping[str, Any]:
        return {"access_token": "another-token"}
