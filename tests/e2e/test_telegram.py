"""Telegram, end to end: a fake Bot API, two connector replicas, frontends, a nonebot2 bot."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.nats_server import NatsServer, nats_server
from tests.e2e.processes import Account, Running, onebus, spawn, write_config
from tests.fakes.telegram_api import TOKEN, FakeTelegram

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOT = Path(__file__).parent / "bots" / "nonebot_telegram.py"
ALICE, BOB, CAROL = 7001, 7002, 7003
GROUP, COURT = -1001234567890, -1001111111111
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01" + bytes(64)
RIGHTS = dict.fromkeys(
    ("can_restrict_members", "can_delete_messages", "can_invite_users", "can_manage_tags"), True
)


class Telegram(SimpleNamespace):
    """The whole: the platform, our replicas by name, an account for bots, and a bot."""

    api: FakeTelegram
    nats: NatsServer
    stack: AsyncExitStack
    replicas: dict[str, Running]
    account: Account
    bot: Running
    config: Any

    async def start_replica(self, name: str) -> None:
        command = ("connector", "telegram", "-c", str(self.config(name)))
        self.replicas[name] = await self.stack.enter_async_context(onebus(*command))
        await self.replicas[name].says("listening on")

    async def told(self, kind: str, text: str, after: int = 0) -> dict[str, Any]:
        """What the bot printed of an event that has this text in it."""
        while not (line := await self.bot.says(text, after=after)).startswith(f"{kind} "):
            after = self.bot.lines.index(line, after) + 1  # the bot's own log says it, too
        event: dict[str, Any] = json.loads(line.removeprefix(f"{kind} "))
        return event

    @property
    def owner(self) -> str:
        """Which replica says that the account is its own."""
        owners = [
            name
            for name, running in self.replicas.items()
            if running.process.returncode is None
            and _last(running.lines, "owned by this process") > _last(running.lines, "not owned by")
        ]
        (owner,) = owners
        return owner


def _last(lines: list[str], text: str) -> int:
    return max((place for place, line in enumerate(lines) if text in line), default=-1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def telegram(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Telegram]:
    folder = tmp_path_factory.mktemp("telegram")
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(FakeTelegram().serve())
        for number, name in ((ALICE, "Alice"), (BOB, "Bob"), (CAROL, "Carol")):
            api.world.user(number, name, username=name.lower())
        for group, title in ((GROUP, "Tea party"), (COURT, "Court")):
            api.world.group(group, title)
            api.world.set_member(group, ALICE, "creator", is_anonymous=False)
            api.world.set_member(group, BOB, "member")
        api.world.set_member(COURT, api.world.bot, "administrator", **RIGHTS)
        nats = await stack.enter_async_context(nats_server(folder / "nats"))
        http = await stack.enter_async_context(aiohttp.ClientSession())

        def config(name: str) -> Path:
            path = folder / f"{name}.yaml"
            settings = {
                "token": TOKEN,
                "base_url": api.base,
                "poll_timeout_s": 2,
                "group_messages_per_min": 6000,
            }
            shared = {"bus": nats.settings, "secret_key": "secret-key-canary-0123456789abcdef"}
            write_config(path, telegram__my_bot=settings, port=0, **shared)
            return path

        frontends = ("frontend", "http", "ws", "-c", str(config("frontends")))
        running = await stack.enter_async_context(onebus(*frontends))
        line = await running.says("listening on")
        base = f"http://127.0.0.1:{line.rpartition(':')[2]}"
        account = Account(http, base, "my_bot", platform="telegram")
        there = Telegram(
            api=api, nats=nats, stack=stack, replicas={}, account=account, config=config
        )
        for name in ("first", "second"):
            await there.start_replica(name)
        await account.online()
        url = f"{base.replace('http', 'ws', 1)}/telegram/my_bot/onebot/v11"
        there.bot = await spawn("nonebot", sys.executable, str(BOT), env={"ONEBOT_WS_URL": url})
        stack.push_async_callback(there.bot.kill)
        await there.bot.says("connected")
        yield there
        _check_no_secret(running, *there.replicas.values())


def _check_no_secret(*processes: Running) -> None:
    """At the debug level, after everything that happened here."""
    for running in processes:
        assert TOKEN not in running.output
        assert TOKEN.partition(":")[2] not in running.output
        assert "Traceback" not in running.output


async def test_text_both_ways_in_private_and_in_a_group(telegram: Telegram) -> None:
    api = telegram.api
    said = await api.say(ALICE, ALICE, "你好 & [CQ:at,qq=all] 😀")
    (answer,) = await api.wait_for_sent(1)
    assert answer["text"] == "you said: 你好 & [CQ:at,qq=all] 😀"
    assert answer["chat"]["id"] == ALICE
    assert answer["reply_to_message"]["message_id"] == said["message_id"]
    event = await telegram.told("message", '"user_id":7001')
    assert (event["message_type"], event["user_id"]) == ("private", ALICE)
    assert event["self_id"] == api.world.bot
    await api.say(GROUP, ALICE, "everybody")
    answer = (await api.wait_for_sent(2))[1]
    assert answer["text"] == "you said: everybody"
    assert answer["chat"]["id"] == GROUP
    event = await telegram.told("message", "everybody")
    assert (event["message_type"], event["sender"]["role"]) == ("group", "owner")
    info = await telegram.account.ok("get_group_info", group_id=event["group_id"])
    assert info["group_name"] == "Tea party"
    # By the platform's own id, too.
    sent = await telegram.account.ok("send_group_msg", group_id=str(GROUP), message="native")
    assert (await api.wait_for_sent(3))[2]["text"] == "native"
    await telegram.account.ok("delete_msg", message_id=sent["message_id"])
    assert api.of("deleteMessage")[-1]["chat_id"] == GROUP


async def test_pictures_both_ways(telegram: Telegram) -> None:
    """From Telegram to the bot by a signed address, from the bot's bytes to Telegram."""
    api, world = telegram.api, telegram.api.world
    before = len(api.sent)
    photo = world.keep("photo", PNG + b"a cat")
    await api.say(GROUP, ALICE, caption="a cat", **world.media("photo", photo))
    event = await telegram.told("message", "a cat")
    image, text = event["message"]
    assert (image["type"], text["data"]["text"]) == ("image", "a cat")
    url = image["data"]["url"]
    assert TOKEN not in url
    async with telegram.account.http.get(url) as response:
        assert (response.status, response.content_type) == (200, "image/png")
        assert await response.read() == PNG + b"a cat"
    found = await telegram.account.ok("get_image", file=image["data"]["file"])
    assert found["file"]
    # The bot sends it back by its name, so nothing goes up again.
    answer = (await api.wait_for_sent(before + 1))[before]
    assert answer["photo"][-1]["file_id"] == photo
    await api.say(ALICE, ALICE, "draw")
    answer = (await api.wait_for_sent(before + 2))[before + 1]
    assert answer["caption"] == "as you wish"
    assert world.files[answer["photo"][-1]["file_id"]].body.startswith(PNG[:8])


async def happens(telegram: Telegram, kind: str, body: dict[str, Any], text: str) -> dict[str, Any]:
    """Let something happen; the notice that the bot gets, found by a text in it."""
    seen = len(telegram.bot.lines)
    await telegram.api.happen(kind, body)
    return await telegram.told("notice", text, after=seen)


async def test_every_notice_about_members(telegram: Telegram) -> None:
    world = telegram.api.world

    async def change(status: str, text: str, user: int = CAROL, **more: Any) -> dict[str, Any]:
        return await happens(
            telegram, *world.member_change(COURT, user, ALICE, status, **more), text
        )

    joined = await change("member", "group_increase")
    assert (joined["sub_type"], joined["user_id"], joined["operator_id"]) == (
        "invite",
        CAROL,
        ALICE,
    )
    muted = await change(
        "restricted",
        "group_ban",
        is_member=True,
        can_send_messages=False,
        until_date=world.now_s + 601,
    )
    assert (muted["sub_type"], muted["duration"]) == ("ban", 600)
    lifted = await change("member", "lift_ban")
    assert lifted["user_id"] == CAROL
    promoted = await change("administrator", "group_admin")
    assert promoted["sub_type"] == "set"
    titled = await change("administrator", '"title":"Hatter"', custom_title="Hatter")
    assert titled["sub_type"] == "title"
    demoted = await change("member", '"unset"')
    assert demoted["notice_type"] == "group_admin"
    kicked = await change("kicked", '"kick"')
    assert (kicked["notice_type"], kicked["operator_id"]) == ("group_decrease", ALICE)
    left = await happens(
        telegram, *world.member_change(COURT, BOB, BOB, "left"), '"sub_type":"leave"'
    )
    assert left["user_id"] == BOB
    world.set_member(GROUP, world.bot, "left")
    added = await happens(
        telegram, *world.member_change(GROUP, world.bot, ALICE, "member"), f'"user_id":{world.bot}'
    )
    assert (added["notice_type"], added["sub_type"]) == ("group_increase", "invite")
    gone = await happens(
        telegram, *world.member_change(GROUP, world.bot, ALICE, "kicked"), '"kick_me"'
    )
    assert gone["operator_id"] == ALICE
    world.set_member(GROUP, world.bot, "member")


async def test_every_other_notice(telegram: Telegram) -> None:
    api, world = telegram.api, telegram.api.world
    message = world.message(COURT, BOB, text="old words")
    edited = message | {"text": "new words", "edit_date": world.tick()}
    notice = await happens(telegram, "edited_message", edited, "group_msg_edit")
    assert notice["raw_message"] == "new words"
    reaction = {
        "chat": world.chats[COURT],
        "message_id": message["message_id"],
        "user": world.users[ALICE],
        "date": world.tick(),
        "old_reaction": [],
        "new_reaction": [{"type": "emoji", "emoji": "👍"}],
    }
    notice = await happens(telegram, "message_reaction", reaction, "group_msg_emoji_like")
    assert notice["likes"] == [{"emoji_id": "👍", "count": 1}]
    pinned = world.message(COURT, ALICE, pinned_message=message)
    notice = await happens(telegram, "message", pinned, "essence")
    assert (notice["sub_type"], notice["sender_id"], notice["operator_id"]) == ("add", BOB, ALICE)
    renamed = world.message(COURT, ALICE, new_chat_title="Trial")
    notice = await happens(telegram, "message", renamed, "group_name")
    assert notice["name_new"] == "Trial"
    document = world.keep("document", b"a pie", "pie.txt", "text/plain")
    uploaded = world.message(COURT, ALICE, **world.media("document", document))
    notice = await happens(telegram, "message", uploaded, "group_upload")
    assert (notice["file"]["name"], notice["file"]["size"]) == ("pie.txt", 5)
    world.set_member(ALICE, world.bot, "member")
    blocked = world.member_change(ALICE, world.bot, ALICE, "kicked")
    notice = await happens(telegram, *blocked, "friend_delete")
    assert notice["user_id"] == ALICE
    unblocked = world.member_change(ALICE, world.bot, ALICE, "member")
    notice = await happens(telegram, *unblocked, "friend_add")
    query = {
        "id": "77",
        "from": world.users[ALICE],
        "chat_instance": "1",
        "message": world.message(COURT, world.bot, text="press"),
        "data": "the red one",
    }
    notice = await happens(telegram, "callback_query", query, "interaction")
    assert (notice["sub_type"], notice["value"]) == ("click", "the red one")
    await api.wait_for("answerCallbackQuery")


async def test_requests_to_join_are_answered(telegram: Telegram) -> None:
    api, world = telegram.api, telegram.api.world
    for user, comment, method in (
        (CAROL, "let me in", "approveChatJoinRequest"),
        (BOB, "no idea", "declineChatJoinRequest"),
    ):
        world.set_member(COURT, user, "left")
        world.requests.add((COURT, user))
        request = {
            "chat": world.chats[COURT],
            "from": world.users[user],
            "user_chat_id": user,
            "date": world.tick(),
            "bio": comment,
        }
        await api.happen("chat_join_request", request)
        told = await telegram.told("request", comment)
        assert (told["sub_type"], told["user_id"]) == ("add", user)
        call = await api.wait_for(method)
        assert (call["chat_id"], call["user_id"]) == (COURT, user)


async def test_what_the_platform_cannot_do_is_said(telegram: Telegram) -> None:
    answer = await telegram.account.call("get_group_member_list", group_id=str(GROUP))
    assert answer["retcode"] == 10001
    answer = await telegram.account.call("send_private_msg", user_id=4711, message="x")
    assert answer["status"] == "failed"
    assert "chat not found" in answer["message"]


async def test_a_replica_killed_amid_a_conversation_loses_and_repeats_nothing(
    telegram: Telegram,
) -> None:
    """The other goes on, and what the first had taken and not confirmed is one event."""
    api = telegram.api
    raw = await telegram.account.ws()
    before = len(api.sent)
    texts = [f"line {number}" for number in range(60)]
    owner = telegram.owner

    async def talk() -> None:
        for number, text in enumerate(texts):
            await api.say(GROUP, ALICE, text)
            if number == 20:
                await api.wait_for_sent(before + 5)
                await telegram.replicas[owner].kill()

    talking = asyncio.ensure_future(talk())
    events: list[dict[str, Any]] = []
    while len(events) < len(texts):
        event = await raw.event(timeout_s=40)
        if event["post_type"] == "message":
            events.append(event)
    await talking
    assert [event["raw_message"] for event in events] == texts
    await api.wait_confirmed()
    history = await telegram.account.ok(
        "get_group_msg_history", group_id=events[0]["group_id"], count=100
    )
    logged = [one["raw_message"] for one in history["messages"] if one["user_id"] == ALICE]
    assert [text for text in logged if text.startswith("line")] == texts
    await raw.close()
    # What was under way at the owner's death is unknown to the bot; nothing is answered twice.
    sent = await api.wait_for_sent(before + len(texts) - 20)
    answers = [one["text"] for one in sent[before:]]
    assert len(answers) == len(set(answers))
    del telegram.replicas[owner]
    await telegram.start_replica("third")
