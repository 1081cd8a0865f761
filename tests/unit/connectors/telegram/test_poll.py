"""Long polling: what is confirmed when, who goes on where, albums, and a 409 told as what it is."""

import asyncio
import logging

import pytest
from tests.fakes.telegram_api import FakeTelegram
from tests.unit.connectors.telegram.conftest import ALICE, BOB, GROUP, Replicas

from connectors.telegram.poll import QUIET_MS
from onebus.errors import AuthFailed, NotReady
from onebus.event import MessageBackfilled, MessageReceived
from onebus.segment import Image, Reply, Text, plain_text


async def wait_for(replicas: Replicas, count: int) -> list[str]:
    """The texts of the log as soon as there are so many events."""
    events = await replicas.memory.wait_for_events(count)
    return [plain_text(getattr(event, "segments", ())) for event in events]


async def test_who_the_bot_is_and_that_polling_needs_no_webhook(replicas: Replicas) -> None:
    replicas.api.webhook = {"url": "http://127.0.0.1:9/left-over"}
    info = await replicas.connector().open()
    assert (info.user.id, info.user.name) == (str(replicas.api.world.bot), "Onebus")
    assert replicas.api.webhook == {}
    assert len(replicas.api.of("deleteWebhook")) == 1
    await replicas.connector().open()
    assert len(replicas.api.of("deleteWebhook")) == 1


async def test_a_wrong_token_needs_a_human_and_a_server_that_is_away_does_not(
    replicas: Replicas,
) -> None:
    with pytest.raises(AuthFailed, match="Unauthorized"):
        await replicas.connector(token="123456789:" + "x" * 35).open()
    with pytest.raises(NotReady, match="no connection to Telegram"):
        await replicas.connector(base_url="http://127.0.0.1:9").open()
    replicas.api.answer_next("getMe", 502, "")
    with pytest.raises(NotReady, match="HTTP 502"):
        await replicas.connector().open()


async def test_an_update_is_confirmed_when_the_log_has_it(replicas: Replicas) -> None:
    api, bus = replicas.api, replicas.memory.bus
    async with replicas.running():
        await api.say(ALICE, ALICE, "one")
        await api.wait_confirmed()
        assert await wait_for(replicas, 1) == ["one"]
        bus.available = False
        await api.say(ALICE, ALICE, "two")
        polls = api._poll
        bus.available = True
        assert await wait_for(replicas, 2) == ["one", "two"]
        await api.wait_confirmed()
        assert api._poll > polls - 1
    assert api.of("getUpdates")[0]["timeout"] == 5
    assert "chat_member" in api.of("getUpdates")[0]["allowed_updates"]


async def test_without_the_log_nothing_is_confirmed(replicas: Replicas) -> None:
    api = replicas.api
    async with replicas.running() as connector:
        await api.polled(1)
        connector.kit.owner = False  # type: ignore[attr-defined]
        await api.say(ALICE, ALICE, "for the other owner")
        # What was asked for before is answered still, and logged; but then nothing is asked for.
        await wait_for(replicas, 1)
        assert api.pending
        assert api.confirmed == []


async def test_another_process_goes_on_where_this_one_stopped(replicas: Replicas) -> None:
    api = replicas.api
    for number in range(3):
        await api.say(ALICE, ALICE, f"before {number}")
    async with replicas.running():
        await api.wait_confirmed()
    await api.say(ALICE, ALICE, "meanwhile")
    async with replicas.running():
        await api.wait_confirmed()
        assert (await wait_for(replicas, 4))[-1] == "meanwhile"
    # The second one asked from the first's place on, so that nothing came twice.
    offsets = [call.get("offset") for call in api.of("getUpdates")]
    assert 1003 in offsets
    assert offsets.index(1003) > 0
    assert len(replicas.memory.events()) == 4


async def test_what_was_logged_and_not_confirmed_comes_again_and_is_one_entry(
    replicas: Replicas,
) -> None:
    api = replicas.api
    await api.say(ALICE, ALICE, "once")
    connector = replicas.connector()
    await connector.open()
    (update,) = api._queue
    inbound = await connector.intake.decoded(update)
    assert inbound
    await connector.intake.take(inbound)
    async with replicas.running():
        await api.wait_confirmed()
    assert len(replicas.memory.events()) == 1


async def test_after_a_day_of_silence_no_number_is_asked_for(replicas: Replicas) -> None:
    """After a week Telegram begins anew, at a number that may be lower."""
    api = replicas.api
    async with replicas.running():
        await api.say(ALICE, ALICE, "old")
        await api.wait_confirmed()
    replicas.later_s = QUIET_MS / 1000 + 10
    api._next_update = 5
    await api.say(ALICE, ALICE, "new")
    async with replicas.running():
        assert await wait_for(replicas, 2) == ["old", "new"]
        await api.wait_confirmed()


async def test_an_album_is_one_message(replicas: Replicas) -> None:
    api = replicas.api
    photos = [api.world.media("photo", api.world.keep("photo", bytes([n]))) for n in range(3)]
    async with replicas.running():
        await api.say(GROUP, ALICE, media_group_id="a", caption="three", **photos[0])
        await api.say(BOB, BOB, "in between")
        for photo in photos[1:]:
            await api.say(GROUP, ALICE, media_group_id="a", **photo)
        events = await replicas.memory.wait_for_events(2)
        await api.wait_confirmed()
    album = next(e for e in events if isinstance(e, MessageReceived) and e.parts)
    assert album.message == "1"
    assert album.parts == ("1", "2", "3")
    assert [type(segment) for segment in album.segments] == [Image, Text, Image, Image]


async def test_what_follows_in_the_chat_ends_an_album_at_once(replicas: Replicas) -> None:
    api = replicas.api
    photo = api.world.media("photo", api.world.keep("photo", b"x"))
    await api.say(GROUP, ALICE, media_group_id="a", **photo)
    await api.say(GROUP, ALICE, media_group_id="a", **photo)
    await api.say(GROUP, ALICE, "that was it")
    async with replicas.running(album_window_s=10):
        events = await replicas.memory.wait_for_events(2)
    assert [len(getattr(event, "parts", ())) for event in events] == [2, 0]


async def test_a_part_that_comes_late_is_not_lost_and_what_was_logged_not_repeated(
    replicas: Replicas,
) -> None:
    """A process died with two pictures logged as one message and nothing confirmed."""
    api = replicas.api
    photo = api.world.media("photo", api.world.keep("photo", b"x"))
    for _ in range(2):
        await api.say(GROUP, ALICE, media_group_id="a", **photo)
    connector = replicas.connector()
    await connector.open()
    album = [await connector.intake.decoded(update) for update in api._queue]
    await connector.intake.take_album([part for part in album if part])
    for _ in range(2):
        await api.say(GROUP, ALICE, media_group_id="a", **photo)
    async with replicas.running():
        await api.wait_confirmed()
    events = [e for e in replicas.memory.events() if isinstance(e, MessageReceived)]
    assert [event.parts for event in events] == [("1", "2"), ("3", "4")]


async def test_a_quoted_message_that_the_log_never_had_is_numbered(replicas: Replicas) -> None:
    api = replicas.api
    old = api.world.message(GROUP, BOB, text="from before")
    async with replicas.running():
        await api.say(GROUP, ALICE, "an answer", reply_to_message=old)
        events = await replicas.memory.wait_for_events(2)
        await api.say(GROUP, ALICE, "another", reply_to_message=old)
        events = await replicas.memory.wait_for_events(3)
    assert [type(event) for event in events] == [
        MessageBackfilled,
        MessageReceived,
        MessageReceived,
    ]
    quoted, answer, _ = events
    assert isinstance(quoted, MessageBackfilled)
    assert isinstance(answer, MessageReceived)
    assert answer.segments[0] == Reply(quoted.message)


async def test_one_who_also_polls_is_named(
    replicas: Replicas, caplog: pytest.LogCaptureFixture
) -> None:
    api = replicas.api
    with caplog.at_level(logging.WARNING):
        async with replicas.running(poll_timeout_s=0):
            await api.polled(2)
            text = "Conflict: terminated by other getUpdates request; make sure that only one runs"
            api.answer_next("getUpdates", 409, text)
            await api.polled_again()
            await api.polled_again()
            await api.say(ALICE, ALICE, "still there")
            await api.wait_confirmed()
    assert "another program asks for this bot's updates too (409)" in caplog.text


async def test_a_webhook_that_somebody_sets_is_named(
    replicas: Replicas, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with replicas.running(poll_timeout_s=0):
            await replicas.api.polled(2)
            replicas.api.webhook = {"url": "http://127.0.0.1:9/theirs"}
            await replicas.api.polled_again()
            replicas.api.webhook = {}
            await replicas.api.say(ALICE, ALICE, "back")
            await wait_for(replicas, 1)
    assert "somebody has set a webhook for this bot" in caplog.text


async def test_what_cannot_be_read_is_left_out(
    replicas: Replicas, caplog: pytest.LogCaptureFixture
) -> None:
    api = replicas.api
    async with replicas.running() as connector:
        await api.happen("message", {"message_id": "not a number", "secret": "what it said"})
        await api.happen("teleportation", {}, new_kind=True)
        await api.say(ALICE, ALICE, "readable")
        await api.wait_confirmed()
        assert await wait_for(replicas, 1) == ["readable"]
        assert connector.kit.ignored == {"unreadable": 1, "teleportation": 1}  # type: ignore[attr-defined]
    assert "what it said" not in caplog.text


async def test_a_join_is_told_once_to_an_admin_and_to_a_member(
    replicas: Replicas, api: FakeTelegram
) -> None:
    """An admin gets `chat_member` beside the service message, a member the latter alone."""
    world = api.world
    async with replicas.running():
        await api.polled(1)
        for group in (GROUP, -1001111111111):
            world.user(8000, "Carol")
            kind, body = world.member_change(group, 8000, ALICE, "member")
            await api.say(group, ALICE, new_chat_members=[world.users[8000]])
            if world.bot_is_admin(group):
                await api.happen(kind, body)
        await api.wait_confirmed()
    assert [type(event).__name__ for event in replicas.memory.events()] == ["MemberJoined"] * 2


async def test_what_senders_are_in_the_group(replicas: Replicas) -> None:
    api = replicas.api
    async with replicas.running():
        await api.say(GROUP, ALICE, "off with it")
        await api.say(GROUP, BOB, "please not")
        alice, bob = await replicas.memory.wait_for_events(2)
    assert isinstance(alice, MessageReceived)
    assert isinstance(bob, MessageReceived)
    assert alice.membership
    assert alice.membership.role == "owner"
    assert bob.membership is None
    assert api.counts["getChatAdministrators"] == 1


async def test_a_pressed_button_is_let_go(replicas: Replicas) -> None:
    api = replicas.api
    query = {
        "id": "77",
        "from": api.world.users[ALICE],
        "message": api.world.message(GROUP, api.world.bot, text="press"),
        "data": "x",
    }
    async with replicas.running():
        await api.happen("callback_query", query)
        await api.wait_for("answerCallbackQuery")
    assert api.world.answered == ["77"]


async def test_it_ends_when_it_is_cancelled_amid_a_poll(replicas: Replicas) -> None:
    async with asyncio.timeout(10), replicas.running(poll_timeout_s=50):
        await replicas.api.polled(1)
