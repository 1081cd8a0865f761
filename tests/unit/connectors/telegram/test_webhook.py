"""Telegram's calls: who is believed, what is answered when, and how it is set up."""

import json
from typing import Any

import pytest
from tests.unit.connectors.telegram.conftest import ALICE, GROUP, SECRET, Replicas

from connectors.telegram.webhook import MAX_BODY_BYTES
from onebus.connector import WebhookReply, WebhookRequest
from onebus.errors import Misconfigured
from onebus.event import Interaction, MessageReceived

HEADER = "X-Telegram-Bot-Api-Secret-Token"


def update(replicas: Replicas, number: int = 1, **content: Any) -> dict[str, Any]:
    message = replicas.api.world.message(GROUP, ALICE, **(content or {"text": f"update {number}"}))
    return {"update_id": number, "message": message}


async def post(
    replicas: Replicas,
    body: bytes | dict[str, Any],
    secret: str | None = SECRET,
    method: str = "POST",
) -> WebhookReply:
    headers = {HEADER: secret} if secret is not None else {}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    connector = replicas.connector(mode="webhook")
    return await connector.webhook(WebhookRequest(method, {}, headers, raw))


async def test_an_update_is_in_the_log_before_it_is_answered(replicas: Replicas) -> None:
    """At a replica that was never opened: it does not own the account."""
    given = update(replicas)
    assert (await post(replicas, given)).status == 200
    assert (await post(replicas, given)).status == 200
    (event,) = replicas.memory.events()
    assert isinstance(event, MessageReceived)
    assert event.message == str(given["message"]["message_id"])


@pytest.mark.parametrize(
    "secret", [None, "", "wrong", SECRET + "x", SECRET[:-1], "tökén", "\udcff"]
)
async def test_who_does_not_know_the_secret_is_refused(
    replicas: Replicas, secret: str | None
) -> None:
    assert (await post(replicas, update(replicas), secret)).status == 401
    assert (await post(replicas, b"", secret, "GET")).status == 401
    assert replicas.memory.events() == []
    assert replicas.api.counts.total() == 0


async def test_without_a_secret_it_refuses_to_start(replicas: Replicas) -> None:
    with pytest.raises(Misconfigured, match="webhook_secret is empty"):
        replicas.connector(mode="webhook", webhook_secret="")
    with pytest.raises(Misconfigured, match="public_url"):
        replicas.connector(mode="webhook", webhook_url="")
    # Polling needs none; but then nobody is believed either.
    connector = replicas.connector(webhook_secret="")
    reply = await connector.webhook(WebhookRequest("POST", {}, {HEADER: ""}, b"{}"))
    assert reply.status == 401


async def test_without_nats_telegram_is_told_to_come_again(replicas: Replicas) -> None:
    given = update(replicas)
    replicas.memory.bus.available = False
    assert (await post(replicas, given)).status == 503
    replicas.memory.bus.available = True
    assert (await post(replicas, given)).status == 200
    assert len(replicas.memory.events()) == 1


async def test_when_telegram_cannot_be_asked_it_comes_again(replicas: Replicas) -> None:
    """Whether a join is told by something else depends on what the bot is there."""
    joined = update(replicas, new_chat_members=[replicas.api.world.users[7002]])
    replicas.api.answer_next("getChatAdministrators", 500, "")
    assert (await post(replicas, joined)).status == 503
    assert (await post(replicas, joined)).status == 200
    assert len(replicas.memory.events()) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 1000, 400),
        (b"\xff", 400),
        (b" " * (MAX_BODY_BYTES + 1), 413),
        (b"{}", 200),
        (b'{"update_id": 1, "message": {"text": 5}}', 200),
        (b'{"update_id": 1, "teleportation": {}}', 200),
    ],
)
async def test_what_is_no_update_is_no_event(replicas: Replicas, body: bytes, status: int) -> None:
    """What is authentic and cannot be understood would only come again, so it is taken."""
    assert (await post(replicas, body)).status == status
    assert replicas.memory.events() == []


async def test_a_button_is_let_go_in_the_answer(replicas: Replicas) -> None:
    query = {"id": "77", "from": replicas.api.world.users[ALICE], "data": "x", "chat_instance": "1"}
    reply = await post(replicas, {"update_id": 1, "callback_query": query})
    assert json.loads(reply.body) == {"method": "answerCallbackQuery", "callback_query_id": "77"}
    assert reply.content_type == "application/json"
    assert [type(event) for event in replicas.memory.events()] == [Interaction]


async def test_each_picture_of_an_album_is_a_message(replicas: Replicas) -> None:
    photo = replicas.api.world.media("photo", replicas.api.world.keep("photo", b"x"))
    for number in (1, 2):
        await post(replicas, update(replicas, number, media_group_id="a", **photo))
    assert [event.parts for event in replicas.memory.events()] == [(), ()]  # type: ignore[union-attr]


async def test_the_webhook_is_set_with_its_secret(replicas: Replicas) -> None:
    connector = replicas.connector(mode="webhook")
    await connector.open()
    (call,) = replicas.api.of("setWebhook")
    assert call["url"] == "http://127.0.0.1:9/telegram/demo/webhook"
    assert call["secret_token"] == SECRET
    assert {"chat_member", "message_reaction", "chat_join_request"} <= set(call["allowed_updates"])


async def test_an_address_that_telegram_refuses_is_a_matter_of_configuration(
    replicas: Replicas,
) -> None:
    connector = replicas.connector(mode="webhook", webhook_url="http://insecure.example/x")
    with pytest.raises(Misconfigured, match="An HTTPS URL must be provided"):
        await connector.open()
