"""Pushes of the platform: what is stored, and what is answered."""

import asyncio
import logging

import pytest
from tests.fakes.wechat_push import Push
from tests.unit.connectors.wechat.conftest import ACCOUNT, Replicas, changed, post

from onebus.action import SendMessage, Sent
from onebus.connector import WebhookReply
from onebus.errors import RateLimited
from onebus.event import Chat, Event, FriendAdded, MessageReceived, MessageSent, private_chat
from onebus.ids import MessageId, UserId
from onebus.segment import Link, Segments, Text, plain_text
from onebus.testing.memory import MemoryKit

CHAT = private_chat(UserId("oUser"))


def say(text: str) -> SendMessage:
    return SendMessage(CHAT, (Text(text),))


@pytest.mark.parametrize("safe", [False, True])
async def test_a_text_is_stored_before_the_answer(replicas: Replicas, safe: bool) -> None:
    connector = replicas.safe_connector() if safe else replicas.connector()
    platform = replicas.safe if safe else replicas.platform
    reply = await post(connector, platform.push(platform.text("你好 <&>", message=77)))
    assert (reply.status, reply.body) == (200, b"success")
    (event,) = replicas.memory.events()
    assert isinstance(event, MessageReceived)
    assert plain_text(event.segments) == "你好 <&>"
    assert (event.chat, event.message, event.sender.id) == (CHAT, "77", "oUser")


async def test_without_nats_the_platform_is_told_to_come_again(replicas: Replicas) -> None:
    push = replicas.platform.push(replicas.platform.text("x"))
    replicas.memory.bus.available = False
    assert (await post(replicas.connector(), push)).status == 503
    replicas.memory.bus.available = True
    assert (await post(replicas.connector(), push)).status == 200
    assert len(replicas.memory.events()) == 1


async def test_nats_lost_after_the_check_is_no_200(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very append fails; in safe mode nothing before it needs NATS but the hold."""
    connector = replicas.safe_connector()

    async def lose(event: Event, *, timeout_s: float = 10) -> int:
        replicas.memory.bus.available = False
        return await replicas.memory.log.append(event, timeout_s=timeout_s)

    monkeypatch.setattr(connector.kit, "append", lose)
    reply = await post(connector, replicas.safe.push(replicas.safe.text("x")))
    assert reply.status == 503


async def test_a_chat_with_too_much_waiting_is_no_200(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = replicas.connector()

    async def refuse(event: Event, *, timeout_s: float = 10) -> int:
        raise RateLimited("too much is waiting for this chat already")

    monkeypatch.setattr(connector.kit, "append", refuse)
    reply = await post(connector, replicas.platform.push(replicas.platform.text("x")))
    assert reply.status == 503


async def reply_from(
    replicas: Replicas, text: str, *, safe: bool, push: Push | None = None
) -> tuple[WebhookReply, Sent]:
    """A push at one replica, and the bot's answer at another, as soon as the event is there."""
    make = replicas.safe_connector if safe else replicas.connector
    platform = replicas.safe if safe else replicas.platform
    receiver, owner = make(passive_window_s=4.5), make()
    push = push or platform.push(platform.text("hello", message=77))
    async with asyncio.TaskGroup() as group:
        answered = group.create_task(post(receiver, push))
        await replicas.memory.wait_for_events(1)
        sent = group.create_task(owner.send_message(say(text)))
    return answered.result(), sent.result()


@pytest.mark.parametrize("safe", [False, True])
async def test_the_reply_goes_out_inside_the_response(replicas: Replicas, safe: bool) -> None:
    text = "Grüß dich 你好 ]]> <&>\nzweite Zeile"
    answer, sent = await reply_from(replicas, text, safe=safe)
    platform = replicas.safe if safe else replicas.platform
    theirs = platform.open_reply(answer.body)
    assert (theirs.type, theirs.content) == ("text", text)
    assert (theirs.source, theirs.target) == ("gh_0123456789ab", "oUser")
    assert (answer.status, answer.content_type) == (200, "application/xml")
    assert sent == Sent(MessageId("passive-77"), 2)
    _, logged = replicas.memory.events()
    assert isinstance(logged, MessageSent)
    assert (logged.message, plain_text(logged.segments)) == ("passive-77", text)
    assert (logged.sender.id, logged.sender.name) == ("wxtestapp", "Shop")
    assert replicas.api.sent == []
    if safe:
        assert text.encode() not in answer.body


@pytest.mark.parametrize("safe", [False, True])
async def test_a_retry_gets_the_reply_that_was_given(replicas: Replicas, safe: bool) -> None:
    answer, _ = await reply_from(replicas, "once", safe=safe)
    platform = replicas.safe if safe else replicas.platform
    make = replicas.safe_connector if safe else replicas.connector
    async with asyncio.timeout(4):  # without waiting for a second reply
        retry = platform.push(platform.text("hello", message=77))
        again = await post(make(passive_window_s=4.5), retry)
    assert platform.open_reply(again.body).content == "once"
    assert platform.open_reply(answer.body).time == platform.open_reply(again.body).time
    assert len(replicas.memory.events()) == 2


async def test_a_bot_that_is_quicker_than_the_logs_answer(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is held before its event is appended: no reply can come too early."""
    receiver, owner = replicas.connector(passive_window_s=4.5), replicas.connector()
    append, offer, answering = receiver.kit.append, owner.kit.passive.offer, asyncio.Event()

    async def append_slowly(event: Event, *, timeout_s: float = 10) -> int:
        sequence = await append(event, timeout_s=timeout_s)
        await answering.wait()
        return sequence

    async def offer_and_tell(chat: Chat, segments: Segments) -> MessageId | None:
        answering.set()
        return await offer(chat, segments)

    monkeypatch.setattr(receiver.kit, "append", append_slowly)
    monkeypatch.setattr(owner.kit.passive, "offer", offer_and_tell)
    push = replicas.platform.push(replicas.platform.text("hello", message=77))
    async with asyncio.TaskGroup() as group:
        answered = group.create_task(post(receiver, push))
        await replicas.memory.wait_for_events(1)
        sent = await owner.send_message(say("quick"))
    assert sent.message == "passive-77"
    assert replicas.platform.open_reply(answered.result().body).content == "quick"


async def test_a_card_is_text_where_only_passive_replies_are(replicas: Replicas) -> None:
    receiver = replicas.connector(passive_window_s=4.5)
    owner = replicas.connector(customer_service=False)
    async with asyncio.TaskGroup() as group:
        push = replicas.platform.push(replicas.platform.text("hello"))
        answered = group.create_task(post(receiver, push))
        await replicas.memory.wait_for_events(1)
        await owner.send_message(SendMessage(CHAT, (Link("https://a.example", "A"),)))
    content = replicas.platform.open_reply(answered.result().body).content
    assert content == "A https://a.example"


async def test_a_retry_waits_for_the_reply_too(replicas: Replicas) -> None:
    """The first request ended without a reply; the bot answers while the second is open."""
    first = await post(
        replicas.connector(), replicas.platform.push(replicas.platform.text("hello", message=77))
    )
    assert first.body == b"success"
    answer, sent = await reply_from(replicas, "late", safe=False)
    assert replicas.platform.open_reply(answer.body).content == "late"
    assert sent.message == "passive-77"
    assert len(replicas.memory.events()) == 2


async def test_two_open_requests_of_a_message_give_the_same_reply(replicas: Replicas) -> None:
    """The retry overlaps the first request; one takes the reply, the other finds it."""
    push = replicas.platform.push(replicas.platform.text("hello", message=77))
    slow, quick = replicas.connector(passive_window_s=0.4), replicas.connector()
    async with asyncio.TaskGroup() as group:
        one = group.create_task(post(slow, push))
        await replicas.memory.wait_for_events(1)
        two = group.create_task(post(replicas.connector(passive_window_s=4.5), push))
        await replicas.memory.wait_for_holds(ACCOUNT, CHAT, 2)
        await quick.send_message(say("one"))
    bodies = {one.result().body, two.result().body}
    assert {replicas.platform.open_reply(body).content for body in bodies} == {"one"}


async def test_a_second_message_goes_by_the_customer_service_api(replicas: Replicas) -> None:
    """One request, one reply; what a bot says after it is pushed."""
    await reply_from(replicas, "first", safe=False)
    sent = await replicas.connector().send_message(say("second"))
    assert sent.message.startswith("cs-")
    assert [message["text"]["content"] for message in replicas.api.sent] == ["second"]


async def test_an_offer_for_an_answered_push_goes_to_the_push_api(replicas: Replicas) -> None:
    """Two overlapping requests of one message and two replies: the second is not lost."""
    push = replicas.platform.push(replicas.platform.text("hello", message=77))
    receivers = [replicas.connector(passive_window_s=4.5) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        open_requests = [group.create_task(post(receiver, push)) for receiver in receivers]
        await replicas.memory.wait_for_holds(ACCOUNT, CHAT, 2)
        first = await replicas.connector().send_message(say("first"))
        second = await replicas.connector().send_message(say("second"))
    assert first.message == "passive-77"
    assert second.message.startswith("cs-")
    assert [message["text"]["content"] for message in replicas.api.sent] == ["second"]
    contents = {replicas.platform.open_reply(r.result().body).content for r in open_requests}
    assert contents == {"first"}


async def test_another_users_message_takes_no_reply(replicas: Replicas) -> None:
    push = replicas.platform.push(replicas.platform.text("hi", user="oElse"))
    async with asyncio.TaskGroup() as group:
        answered = group.create_task(post(replicas.connector(), push))
        await replicas.memory.wait_for_events(1)
        await replicas.connector().send_message(say("to oUser"))
    assert answered.result().body == b"success"
    assert replicas.api.sent[0]["touser"] == "oUser"


async def test_a_reply_that_nats_cannot_remember_is_not_sent(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is logged, so the platform gets its 200; the reply takes the other way."""
    receiver = replicas.safe_connector(passive_window_s=4.5)
    bus = replicas.memory.bus

    async def fail(key: str, reply: bytes) -> bool:
        bus.available = False
        try:
            bus.check_available()
        finally:
            bus.available = True
        return False

    monkeypatch.setattr(receiver.kit.passive, "remember", fail)
    push = replicas.safe.push(replicas.safe.text("hello"))
    async with asyncio.TaskGroup() as group:
        answered = group.create_task(post(receiver, push))
        await replicas.memory.wait_for_events(1)
        sent = await replicas.connector().send_message(say("reply"))
    assert (answered.result().status, answered.result().body) == (200, b"success")
    assert sent.message.startswith("cs-")
    assert len(replicas.api.sent) == 1


async def test_a_welcome_after_following(replicas: Replicas) -> None:
    push = replicas.platform.push(replicas.platform.event("subscribe"))
    answer, sent = await reply_from(replicas, "welcome", safe=False, push=push)
    assert replicas.platform.open_reply(answer.body).content == "welcome"
    followed = replicas.memory.events()[0]
    assert isinstance(followed, FriendAdded)
    assert sent.message == f"passive-{followed.id}"


@pytest.mark.parametrize("name", ["unsubscribe", "VIEW"])
async def test_an_event_without_a_chat_open_is_answered_at_once(
    replicas: Replicas, name: str
) -> None:
    push = replicas.platform.push(replicas.platform.event(name, EventKey="https://a.example"))
    async with asyncio.timeout(4):
        reply = await post(replicas.connector(passive_window_s=4.5), push)
    assert (reply.body, len(replicas.memory.events())) == (b"success", 1)


async def test_a_retried_event_is_stored_once(replicas: Replicas) -> None:
    xml = replicas.platform.event("CLICK", EventKey="menu_1", CreateTime=1700000000)
    for _ in range(3):
        await post(replicas.connector(), replicas.platform.push(xml))
    assert len(replicas.memory.events()) == 1


async def test_two_buttons_in_one_second_are_two_events(replicas: Replicas) -> None:
    for key in ("menu_1", "menu_2"):
        xml = replicas.platform.event("CLICK", EventKey=key, CreateTime=1700000000)
        await post(replicas.connector(), replicas.platform.push(xml))
    assert len(replicas.memory.events()) == 2


async def test_other_events_are_counted_and_logged_at_debug(
    replicas: Replicas, caplog: pytest.LogCaptureFixture
) -> None:
    connector = replicas.connector(passive_window_s=4.5)
    caplog.set_level(logging.DEBUG)
    push = replicas.platform.push(replicas.platform.event("user_info_modified\n[ERROR] x"))
    async with asyncio.timeout(4):
        reply = await post(connector, push)
    assert (reply.status, reply.body) == (200, b"success")
    assert isinstance(connector.kit, MemoryKit)
    assert connector.kit.ignored.total() == 1
    assert replicas.memory.events() == []
    (record,) = [r for r in caplog.records if "ignored" in r.getMessage()]
    assert record.levelno == logging.DEBUG
    assert "\n" not in record.getMessage()


async def test_a_kind_without_a_word_of_ours_is_kept(replicas: Replicas) -> None:
    platform = replicas.platform
    xml = platform.xml("miniprogrampage", "oUser", MsgId=3, Title="t", AppId="wx1")
    await post(replicas.connector(), platform.push(xml))
    (event,) = replicas.memory.events()
    assert isinstance(event, MessageReceived)
    (segment,) = event.segments
    assert segment.__struct_config__.tag == "unknown"


@pytest.mark.parametrize("safe", [False, True])
async def test_message_text_and_secrets_stay_out_of_the_log(
    replicas: Replicas, caplog: pytest.LogCaptureFixture, safe: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    await reply_from(replicas, "reply-text-canary", safe=safe)
    platform = replicas.safe if safe else replicas.platform
    await post(replicas.connector(), changed(platform.push("<xml/>"), signature="0" * 40))
    for canary in ("webhook-token-canary", "app-secret-canary", "TOKEN-CANARY", "text-canary"):
        assert canary not in caplog.text
