"""The fake platform from the other side: python-telegram-bot is its client.

Whatever this client reads, sends or is refused has the shape of the real API, so what the connector
is tested against is no invention of the connector's author.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import telegram
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, RetryAfter
from telegram.request import HTTPXRequest
from tests.fakes.telegram_api import FakeTelegram

ALICE, GROUP, CHANNEL = 7001, -1001234567890, -1009876543210
PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)


@pytest.fixture(autouse=True)
def client_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the client warns that it will be so in its next version."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true")


@pytest.fixture
async def fake() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram().serve() as fake:
        fake.world.user(ALICE, "Alice", last_name="Liddell", username="alice")
        fake.world.group(GROUP, "Tea party")
        fake.world.group(CHANNEL, "News", "channel")
        fake.world.set_member(GROUP, ALICE, "member")
        yield fake


@pytest.fixture
async def bot(fake: FakeTelegram) -> AsyncIterator[telegram.Bot]:
    bot = client(fake)
    async with bot:
        yield bot


def client(fake: FakeTelegram, token: str = "") -> telegram.Bot:
    # Two connections: one holds a long poll.
    return telegram.Bot(
        token or fake.token,
        base_url=f"{fake.base}/bot",
        base_file_url=f"{fake.base}/file/bot",
        request=HTTPXRequest(connection_pool_size=4),
        get_updates_request=HTTPXRequest(connection_pool_size=4),
    )


async def test_who_it_is(fake: FakeTelegram, bot: telegram.Bot) -> None:
    me = await bot.get_me()
    assert (me.id, me.username, me.is_bot) == (fake.world.bot, "onebus_bot", True)
    other = client(fake, "123456789:wrong-token-wrong-token-wrong-t")
    with pytest.raises(InvalidToken):
        await other.initialize()
    await other.request.shutdown()


async def test_updates_come_once_they_are_confirmed_and_a_poll_waits(
    fake: FakeTelegram, bot: telegram.Bot
) -> None:
    await fake.say(ALICE, ALICE, "one")
    await fake.say(GROUP, ALICE, "two @onebus_bot")
    first = await bot.get_updates(timeout=5)
    assert [update.message.text for update in first if update.message] == ["one", "two @onebus_bot"]
    assert await bot.get_updates(timeout=0) == first
    waiting = asyncio.ensure_future(bot.get_updates(offset=first[1].update_id + 1, timeout=5))
    await asyncio.wait_for(fake.wait_confirmed(), 5)
    assert not waiting.done()
    await fake.say(CHANNEL, ALICE, "three")
    (third,) = await waiting
    assert third.channel_post
    assert third.channel_post.text == "three"
    assert fake.confirmed == [update.update_id for update in first]


async def test_only_one_may_poll_and_none_beside_a_webhook(
    fake: FakeTelegram, bot: telegram.Bot
) -> None:
    waiting = asyncio.ensure_future(bot.get_updates(timeout=10))
    await fake.polled(1)
    second = asyncio.ensure_future(bot.get_updates(timeout=10))
    with pytest.raises(Conflict, match="terminated by other getUpdates"):
        await waiting
    await fake.say(ALICE, ALICE, "hi")
    assert len(await second) == 1
    await bot.set_webhook("http://127.0.0.1:9/none", secret_token="s")
    assert (await bot.get_webhook_info()).url == "http://127.0.0.1:9/none"
    with pytest.raises(Conflict, match="webhook is active"):
        await bot.get_updates(timeout=0)
    await bot.delete_webhook()
    assert len(await bot.get_updates(timeout=0)) == 1


async def test_every_kind_of_update_is_read(fake: FakeTelegram, bot: telegram.Bot) -> None:
    await bot.get_updates(timeout=0, allowed_updates=telegram.Update.ALL_TYPES)
    world = fake.world
    world.user(7002, "Bob")
    await fake.happen(*world.member_change(GROUP, 7002, ALICE, "member"))
    await fake.happen(*world.member_change(GROUP, 7002, ALICE, "administrator", custom_title="x"))
    await fake.happen(*world.member_change(GROUP, 7002, ALICE, "kicked"))
    await fake.happen(*world.member_change(GROUP, world.bot, ALICE, "administrator"))
    request = {
        "chat": world.chats[GROUP],
        "from": world.users[7002],
        "user_chat_id": 7002,
        "date": world.tick(),
        "bio": "let me in",
    }
    await fake.happen("chat_join_request", request)
    query = {
        "id": "77",
        "from": world.users[ALICE],
        "chat_instance": "1",
        "message": world.message(GROUP, world.bot, text="press"),
        "data": "pressed",
    }
    await fake.happen("callback_query", query)
    reaction = {
        "chat": world.chats[GROUP],
        "message_id": 1,
        "user": world.users[ALICE],
        "date": world.tick(),
        "old_reaction": [],
        "new_reaction": [{"type": "emoji", "emoji": "👍"}],
    }
    await fake.happen("message_reaction", reaction)
    updates = await bot.get_updates(timeout=0)
    joined, promoted, banned, myself, asked, pressed, reacted = updates
    assert joined.chat_member
    assert joined.chat_member.new_chat_member.status == "member"
    assert promoted.chat_member
    assert isinstance(promoted.chat_member.new_chat_member, telegram.ChatMemberAdministrator)
    assert banned.chat_member
    assert banned.chat_member.new_chat_member.status == "kicked"
    assert myself.my_chat_member
    assert asked.chat_join_request
    assert asked.chat_join_request.bio == "let me in"
    assert pressed.callback_query
    assert pressed.callback_query.data == "pressed"
    assert reacted.message_reaction
    assert reacted.message_reaction.new_reaction[0].type == "emoji"


async def test_what_is_sent(fake: FakeTelegram, bot: telegram.Bot) -> None:
    entity = telegram.MessageEntity("text_mention", 3, 5, user=telegram.User(ALICE, "Alice", False))
    text = "🎂 Alice"
    sent = await bot.send_message(GROUP, text, entities=[entity])
    assert sent.parse_entities() == {sent.entities[0]: "Alice"}
    photo = await bot.send_photo(
        GROUP, PNG, caption="a cake", reply_parameters=telegram.ReplyParameters(sent.message_id)
    )
    assert photo.caption == "a cake"
    assert photo.reply_to_message
    assert photo.reply_to_message.message_id == sent.message_id
    file = await bot.get_file(photo.photo[-1].file_id)
    assert bytes(await file.download_as_bytearray()) == PNG
    album = await bot.send_media_group(
        GROUP, [telegram.InputMediaPhoto(PNG), telegram.InputMediaPhoto(photo.photo[-1].file_id)]
    )
    assert len({part.media_group_id for part in album}) == 1
    for send in (bot.send_document, bot.send_voice, bot.send_video, bot.send_animation):
        await send(ALICE, b"bytes")
    await bot.send_venue(ALICE, 1.5, 2.5, "Here", "Street")
    assert (await bot.send_dice(ALICE)).dice
    await bot.edit_message_text("new", GROUP, sent.message_id)
    assert await bot.delete_messages(GROUP, [part.message_id for part in album])
    assert (await bot.get_chat(GROUP)).title == "Tea party"
    assert await bot.get_chat_member_count(GROUP) == 2


async def test_what_admins_do(fake: FakeTelegram, bot: telegram.Bot) -> None:
    rights = {"can_restrict_members": True, "can_pin_messages": True}
    with pytest.raises(BadRequest, match="Not enough rights to restrict"):
        await bot.ban_chat_member(GROUP, ALICE)
    fake.world.set_member(GROUP, fake.world.bot, "administrator", **rights)
    assert await bot.restrict_chat_member(GROUP, ALICE, telegram.ChatPermissions())
    muted = await bot.get_chat_member(GROUP, ALICE)
    assert isinstance(muted, telegram.ChatMemberRestricted)
    assert not muted.can_send_messages
    assert await bot.promote_chat_member(GROUP, ALICE, can_pin_messages=True)
    assert await bot.set_chat_administrator_custom_title(GROUP, ALICE, "hatter")
    admin = await bot.get_chat_member(GROUP, ALICE)
    assert isinstance(admin, telegram.ChatMemberAdministrator)
    assert admin.custom_title == "hatter"
    assert [one.user.id for one in await bot.get_chat_administrators(GROUP)] == [bot.id, ALICE]
    assert await bot.ban_chat_member(GROUP, ALICE)
    assert await bot.set_chat_title(GROUP, "Trial")
    fake.world.requests.add((GROUP, ALICE))
    assert await bot.approve_chat_join_request(GROUP, ALICE)
    assert await bot.leave_chat(GROUP)
    with pytest.raises(Forbidden):
        await bot.send_message(GROUP, "hello?")


async def test_refusals(fake: FakeTelegram, bot: telegram.Bot) -> None:
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(4711, "x")
    with pytest.raises(BadRequest, match="too long"):
        await bot.send_message(ALICE, "x" * 4097)
    fake.answer_next("sendMessage", 429, "Too Many Requests: retry after 7", retry_after=7)
    with pytest.raises(RetryAfter, match="Retry in 0:00:07"):
        await bot.send_message(ALICE, "x")
