"""Bots that onebus connects to get everything, in order, whoever was away or killed meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.e2e.processes import Account, free_port
from tests.e2e.receivers import Receiver, Socket, receiver
from tests.e2e.stack import Up, stack

NAMES = ("away", "aged", "live", "mute", "killed", "stopped", "poison", "split", "filtered", "lost")
MOST_TWICE = 64
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    async with stack(tmp_path_factory.mktemp("durable"), *NAMES) as there:
        yield there


def reverse(port: int, **settings: Any) -> dict[str, Any]:
    return {
        "ws_reverse": [{"url": f"ws://127.0.0.1:{port}/", "reconnect_interval": 50, **settings}]
    }


async def say_all(account: Account, *texts: str) -> None:
    for text in texts:
        await account.say(text, user="ann")


async def texts_of(bot: Socket, count: int) -> list[str]:
    return [str((await bot.event())["raw_message"]) for _ in range(count)]


async def met(there: Receiver) -> Socket:
    """The bot's next connection, whose first frame is the lifecycle event."""
    bot = await there.socket()
    first = await bot.frame()
    assert (first["post_type"], first["sub_type"]) == ("meta_event", "connect")
    return bot


async def is_live(account: Account, bot: Socket, text: str) -> None:
    """What happens now is the very next event."""
    await account.say(text, user="ann")
    assert await texts_of(bot, 1) == [text]
    await bot.acknowledged()


def numbered(first: int, count: int) -> list[str]:
    return [str(number) for number in range(first, first + count)]


async def test_what_a_bot_missed_comes_in_order_and_then_what_happens(up: Up) -> None:
    account, port = up.account("away"), free_port()
    async with up.frontend("ws-reverse", "away", **reverse(port)):
        async with receiver(port) as there:
            await is_live(account, await met(there), "0")
        await say_all(account, *numbered(1, 150))
        async with receiver(port) as there:
            bot = await met(there)
            await account.say("151", user="bob", group="lobby")
            events = [await bot.event() for _ in range(151)]
            assert [event["raw_message"] for event in events] == numbered(1, 151)
            ids = [int(event["event_id"]) for event in events]
            assert ids == sorted(set(ids))
            await is_live(account, bot, "152")


async def test_what_is_too_old_is_left_out_and_counted_once(up: Up) -> None:
    window_s = 1.5
    account, port = up.account("aged"), free_port()
    block = reverse(port, replay_window=int(window_s * 1000))
    async with up.frontend("ws-reverse", "aged", **block) as frontend:
        async with receiver(port) as there:
            await is_live(account, await met(there), "here")
        await say_all(account, *numbered(0, 7))
        await asyncio.sleep(window_s + 0.1)
        await account.say("young", user="ann")
        async with receiver(port) as there:
            bot = await met(there)
            assert await texts_of(bot, 1) == ["young"]
            await bot.acknowledged()
        await frontend.says("7 events were not sent: older than its replay_window of 1.5 s")
        await say_all(account, *numbered(0, 3))
        await asyncio.sleep(window_s + 0.1)
        async with receiver(port) as there:  # nothing new happens, and yet it is said
            bot = await met(there)
            await frontend.says("3 events were not sent")
            await is_live(account, bot, "now")
        assert sum("were not sent" in line for line in frontend.lines) == 2


async def test_without_a_window_only_what_happens_now_comes(up: Up) -> None:
    account, port = up.account("live"), free_port()
    async with up.frontend("ws-reverse", "live", **reverse(port, replay_window=0)) as frontend:
        for text in ("first", "second"):
            await account.say(f"before {text}", user="ann")
            async with receiver(port) as there:
                await is_live(account, await met(there), text)
        assert "were not sent" not in frontend.output


async def test_what_was_not_acknowledged_comes_again_under_the_same_ids(up: Up) -> None:
    """Only a pong to a ping that was sent after an event says that the bot has it."""
    account, port = up.account("mute"), free_port()
    async with up.frontend("ws-reverse", "mute", **reverse(port)), receiver(port) as there:
        there.pongs = False
        bot = await met(there)
        await say_all(account, "1", "2", "3")
        first = [await bot.event() for _ in range(3)]
        await bot.ws.close()
        there.pongs = True
        bot = await met(there)
        assert [await bot.event() for _ in range(3)] == first
        await bot.acknowledged()
        await bot.ws.close()
        await is_live(account, await met(there), "4")


async def test_after_a_crash_of_ours_at_most_a_window_comes_twice(up: Up) -> None:
    account, port = up.account("killed"), free_port()
    said = numbered(0, 150)
    async with receiver(port) as there:
        async with up.frontend("ws-reverse", "killed", **reverse(port)) as frontend:
            bot = await met(there)
            await say_all(account, *said[:50])
            before = await texts_of(bot, 50)
            there.pongs = False
            await say_all(account, *said[50:100])
            before.append((await texts_of(bot, 1))[0])
            await frontend.kill()
            await asyncio.wait_for(bot.closed.wait(), 10)
            while not bot.frames.empty():
                before.append((await bot.frame())["raw_message"])
        there.pongs = True
        await say_all(account, *said[100:])
        async with up.frontend("ws-reverse", "killed", **reverse(port)):
            bot, after = await met(there), [""]
            while after[-1] != said[-1]:
                after += await texts_of(bot, 1)
    again = set(before) & set(after)
    assert len(again) <= MOST_TWICE
    assert before == said[: len(before)]
    assert after[1:] == said[len(before) - len(again) :]


async def test_after_an_orderly_stop_nothing_comes_twice(up: Up) -> None:
    """While messages keep coming, whatever is under way."""
    account, port = up.account("stopped"), free_port()
    said, got = numbered(0, 200), list[str]()
    async with receiver(port) as there, asyncio.TaskGroup() as group:
        saying: asyncio.Task[None] | None = None
        for most in (30, 100):
            async with up.frontend("ws-reverse", "stopped", **reverse(port)) as frontend:
                bot = await met(there)
                if saying is None:
                    saying = group.create_task(say_all(account, *said))
                while len(got) < most:
                    got += await texts_of(bot, 1)
                assert await frontend.stop() == 0
                await asyncio.wait_for(bot.closed.wait(), 10)
                assert bot.ws.close_code == 1001
                while not bot.frames.empty():
                    got.append((await bot.frame())["raw_message"])
        assert saying
        await saying
        async with up.frontend("ws-reverse", "stopped", **reverse(port)):
            got += await texts_of(await met(there), len(said) - len(got))
    assert got == said


async def test_an_event_that_kills_the_bot_is_given_up_and_the_next_ones_come(up: Up) -> None:
    account, port = up.account("poison"), free_port()
    async with up.frontend("ws-reverse", "poison", **reverse(port)), receiver(port) as there:
        there.poison = "poison"
        bot = await met(there)
        await say_all(account, "before")
        assert await texts_of(bot, 1) == ["before"]
        await bot.acknowledged()
        await say_all(account, "poison", "behind", "it")
        deaths = 0
        while (await _after_poison(bot)) == ["poison"]:
            deaths += 1
            bot = await met(there)
        assert 5 <= deaths <= 7  # of them five alone
        assert await texts_of(bot, 1) == ["it"]
        (letter,) = await up.dead_letters("poison")
        assert letter.endswith("the bot's connection ended each time it was sent")


async def _after_poison(bot: Socket) -> list[str]:
    text = (await texts_of(bot, 1))[0]
    if text != "poison":
        assert text == "behind"
        return [text]
    await asyncio.wait_for(bot.closed.wait(), 10)
    return [text]


async def test_a_bot_with_two_sockets_gets_its_backlog_on_the_one_for_events(up: Up) -> None:
    account, port = up.account("split"), free_port()

    async def both(there: Receiver) -> dict[str, Socket]:
        sockets = [await there.socket(), await there.socket()]
        return {socket.headers["X-Client-Role"]: socket for socket in sockets}

    async with up.frontend("ws-reverse", "split", **reverse(port, use_universal=False)):
        async with receiver(port) as there:
            events = (await both(there))["Event"]
            assert (await events.frame())["sub_type"] == "connect"
            await account.say("0", user="ann")
            assert await texts_of(events, 1) == ["0"]
            await asyncio.wait_for(events.all_ponged.wait(), 10)
            await events.ws.close()  # in order, so our pong was read before
        await say_all(account, "1", "2")
        async with receiver(port) as there:
            by_role = await both(there)
            assert (await by_role["Event"].frame())["sub_type"] == "connect"
            assert await texts_of(by_role["Event"], 2) == ["1", "2"]
            assert (await by_role["API"].call("get_status"))["status"] == "ok"
            assert by_role["API"].frames.empty()


async def test_events_that_a_bot_did_not_ask_for_do_not_hold_its_place(up: Up) -> None:
    """A backlog that ends with them is acknowledged all the same."""
    account, port = up.account("filtered"), free_port()
    block = reverse(port, events=["message.group"])
    async with receiver(port) as there:
        async with up.frontend("ws-reverse", "filtered", **block) as frontend:
            await met(there)
            assert await frontend.stop() == 0
        await account.say("wanted", user="ann", group="lobby")
        await say_all(account, *numbered(0, 20))
        async with up.frontend("ws-reverse", "filtered", **block) as frontend:
            bot = await met(there)
            assert await texts_of(bot, 1) == ["wanted"]
            assert await frontend.stop() == 0
        async with up.frontend("ws-reverse", "filtered", **block):
            bot = await met(there)
            await account.say("next", user="ann", group="lobby")
            assert await texts_of(bot, 1) == ["next"]


async def test_what_the_log_has_forgotten_meanwhile_is_said_once(up: Up) -> None:
    account, port = up.account("lost"), free_port()
    async with up.frontend("ws-reverse", "lost", **reverse(port)) as frontend:
        async with receiver(port) as there:
            await is_live(account, await met(there), "before")
        await say_all(account, *numbered(0, 5))
        await up.forget()
        await say_all(account, "kept")
        for text in ("now", "then"):
            async with receiver(port) as there:
                bot = await met(there)
                if text == "now":
                    assert await texts_of(bot, 1) == ["kept"]
                await is_live(account, bot, text)
        assert sum("the log has lost up to 5 events" in line for line in frontend.lines) == 1
