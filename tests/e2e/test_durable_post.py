"""Bots that onebus posts to: what is posted again, what never is, and what happens in between."""

import asyncio
import contextlib
import random
import re
import signal
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from tests.e2e.processes import Account, free_port
from tests.e2e.receivers import Posted, Receiver, receiver
from tests.e2e.stack import Up, stack

NAMES = (
    "late",
    "lanes",
    "refusing",
    "final",
    "unfinished",
    "twice",
    "unconnected",
    "fresh",
    "stopped",
    "away",
    "killed",
)
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    async with stack(tmp_path_factory.mktemp("durable"), *NAMES) as there:
        yield there


def post(port: int, **settings: Any) -> dict[str, Any]:
    return {"http_reverse": [{"url": f"http://127.0.0.1:{port}/", **settings}]}


async def say_all(account: Account, *texts: str) -> None:
    for text in texts:
        await account.say(text, user="ann")


def numbered(first: int, count: int) -> list[str]:
    return [str(number) for number in range(first, first + count)]


async def texts_posted(there: Receiver, count: int) -> list[str]:
    return [str((await there.posted()).event["raw_message"]) for _ in range(count)]


def answering(respond: Callable[[str], Awaitable[web.Response]]) -> Any:
    """How a bot answers messages by their text."""

    async def answer(posted: Posted) -> web.Response:
        if posted.event["post_type"] == "meta_event":
            return web.Response(status=204)
        return await respond(posted.event["raw_message"])

    return answer


async def introduced(there: Receiver) -> None:
    assert (await there.post()).event["sub_type"] == "enable"


async def test_a_bot_that_starts_after_onebus_is_greeted_though_nothing_happens(up: Up) -> None:
    port = free_port()
    async with up.frontend("http-post", "late", **post(port)) as frontend:
        await frontend.says("connection refused")
        async with receiver(port) as there:
            await introduced(there)


async def test_posts_keep_the_order_of_each_chat_and_go_beside_each_other(up: Up) -> None:
    account, port = up.account("lanes"), free_port()
    chance = random.Random(seed := random.randrange(1 << 32))
    print("seed", seed)
    now = most = 0

    async def respond(_: str) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(chance.uniform(0, 0.05))  # how slow this bot is
        now -= 1
        return web.Response(status=204)

    async with receiver(port) as there, up.frontend("http-post", "lanes", **post(port)):
        there.respond = answering(respond)
        await introduced(there)
        said = defaultdict(list)
        for number in range(120):
            group = chance.choice("abcdef")
            said[group].append(str(number))
            await account.say(str(number), user="ann", group=group)
        posted = defaultdict(list)
        numbers: dict[str, str] = {}
        for _ in range(120):
            event = (await there.posted()).event
            numbers[event["raw_message"]] = event["group_id"]
            posted[event["group_id"]].append(event["raw_message"])
    assert sorted(posted.values()) == sorted(said.values())
    assert most > 1


async def test_what_a_bot_says_it_did_not_take_is_posted_again(up: Up) -> None:
    account, port = up.account("refusing"), free_port()
    refusals = [
        web.Response(status=429, headers={"Retry-After": "2"}),
        web.Response(status=503),
        web.Response(status=204),
    ]
    times: list[float] = []

    async def respond(text: str) -> web.Response:
        if text != "refused":
            return web.Response(status=204)
        times.append(asyncio.get_running_loop().time())
        return refusals.pop(0)

    async with receiver(port) as there, up.frontend("http-post", "refusing", **post(port)):
        there.respond = answering(respond)
        await introduced(there)
        await say_all(account, "refused", "next")
        assert await texts_posted(there, 4) == ["refused"] * 3 + ["next"]
    assert times[1] - times[0] >= 2
    assert times[2] - times[1] >= 0.9
    assert not await up.dead_letters("refusing")


async def test_what_a_bot_may_have_taken_is_never_posted_again(up: Up) -> None:
    """Once each, whatever went wrong, and once among the dead letters with the reason."""
    account, port = up.account("final"), free_port()
    hanging = asyncio.Event()

    async def respond(text: str) -> web.Response:
        if text == "hang":
            await hanging.wait()
        return web.Response(status=int(text) if text.isdigit() else 204)

    async def handle(posted: Posted) -> web.Response:
        if posted.event.get("raw_message") == "reset":
            raise ConnectionResetError
        response: web.Response = await answering(respond)(posted)
        return response

    said = ["500", "404", "hang", "301", "last"]
    async with (
        receiver(port) as there,
        up.frontend("http-post", "final", **post(port, timeout=400)),
    ):
        there.respond = handle
        await introduced(there)
        await say_all(account, *said)
        assert await texts_posted(there, len(said)) == said
        hanging.set()
    letters = await up.dead_letters("final")
    reasons = [letter.rsplit(": ", 1)[1] for letter in letters]
    assert reasons[:2] == ["the bot answered HTTP 500", "the bot answered HTTP 404"]
    assert "no answer" in reasons[2]
    assert reasons[3:] == ["the bot answered HTTP 301"]


async def test_a_connection_that_breaks_after_the_post_is_final_too(up: Up) -> None:
    account, port = up.account("fresh"), free_port()
    posts: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.partition("content-length: ")[2].split("\r\n")[0])
        body = (await reader.readexactly(size)).decode()
        if "lifecycle" in body or "after" in body:
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
        if "lifecycle" not in body:
            posts.put_nowait("reset" if "reset" in body else "after")
        if "reset" in body:
            writer.transport.abort()
        writer.close()

    before = await account.say("before the target was known", user="ann")
    assert before
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server, up.frontend("http-post", "fresh", **post(port)) as frontend:
        await _has_cursor(up)
        await say_all(account, "reset", "after")
        assert [await asyncio.wait_for(posts.get(), 20) for _ in range(2)] == ["reset", "after"]
        assert await frontend.stop() == 0
    assert posts.empty()
    assert len(await up.dead_letters("fresh")) == 1


async def _has_cursor(up: Up) -> None:
    before = await up.cursors()
    async with asyncio.timeout(20):
        while len(await up.cursors()) == len(before):
            await asyncio.sleep(0.05)


async def test_after_a_crash_only_what_had_no_answer_is_posted_again(up: Up) -> None:
    """What ended behind an unfinished event is remembered one by one."""
    account, port = up.account("unfinished"), free_port()
    hanging = asyncio.Event()

    async def respond(text: str) -> web.Response:
        if text == "hang":
            await hanging.wait()
        return web.Response(status=204)

    async with receiver(port) as there:
        there.respond = answering(respond)
        async with up.frontend("http-post", "unfinished", **post(port)) as frontend:
            await introduced(there)
            await account.say("old", user="ann", group="a")
            assert await texts_posted(there, 1) == ["old"]
            before = await up.cursors()
            await account.say("hang", user="ann", group="a")
            for text in numbered(0, 6):
                await account.say(text, user="ann", group="b")
            assert sorted(await texts_posted(there, 7)) == [*numbered(0, 6), "hang"]
            async with asyncio.timeout(10):
                while not any(place.count(",") == 5 for place in (await up.cursors()).values()):
                    await asyncio.sleep(0.05)
            await frontend.kill()
            assert before
        hanging.set()
        async with up.frontend("http-post", "unfinished", **post(port)):
            await account.say("new", user="ann", group="b")
            again = {await _next_text(there) for _ in range(2)}
            assert again == {"hang", "new"}
            await account.say("last", user="ann", group="b")
            assert await texts_posted(there, 1) == ["last"]


async def _next_text(there: Receiver) -> str:
    return (await texts_posted(there, 1))[0]


async def test_a_quick_operation_is_carried_out_once_however_often_it_is_posted(up: Up) -> None:
    account, port = up.account("twice"), free_port()

    async def respond(text: str) -> web.Response:
        return web.json_response({"reply": f"re: {text}"})

    known = await up.cursors()
    async with receiver(port) as there:
        there.respond = answering(respond)
        async with up.frontend("http-post", "twice", **post(port)) as frontend:
            await introduced(there)
            (key, start), *_ = set((await up.cursors()).items()) - set(known.items())
            await account.say("hello", user="ann")
            await account.wait_for_messages(2, user="ann")
            assert await frontend.stop() == 0
        await up.put_cursor(key, start)  # as after a crash at the worst moment
        async with up.frontend("http-post", "twice", **post(port)):
            await account.say("again", user="ann")
            assert await texts_posted(there, 3) == ["hello", "hello", "again"]
            shown = await account.wait_for_messages(4, user="ann")
    answers = [message["message"][-1]["data"]["text"] for message in shown if message["from_bot"]]
    assert answers == ["re: hello", "re: again"]


async def test_a_time_out_before_there_was_a_connection_is_not_final(up: Up) -> None:
    """The bot's machine accepts nothing: what was never written is posted when it does."""
    account, port = up.account("unconnected"), free_port()
    with socket.create_server(("127.0.0.1", port), backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())  # its queue has room for one
        async with up.frontend("http-post", "unconnected", **post(port, timeout=300)) as frontend:
            await frontend.says("events for http://127.0.0.1")
            await account.say("patience", user="ann")
            await account.say("is rewarded", user="ann")
            full.close()
            async with receiver(port) as there:
                assert await texts_posted(there, 2) == ["patience", "is rewarded"]
    assert not await up.dead_letters("unconnected")


async def test_after_an_orderly_stop_nothing_is_posted_twice(up: Up) -> None:
    """What is under way is finished, quick operations and dead letters included."""
    account, port = up.account("stopped"), free_port()
    chance = random.Random(seed := random.randrange(1 << 32))
    print("seed", seed)

    async def respond(text: str) -> web.Response:
        await asyncio.sleep(chance.uniform(0, 0.3))  # how slow this bot is
        if int(text) % 3 == 0:
            return web.Response(status=500)
        return web.json_response({"reply": f"re: {text}"} if int(text) % 3 == 1 else {})

    said = numbered(0, 90)
    got: list[str] = []
    async with receiver(port) as there:
        there.respond = answering(respond)
        for most in (20, 50, len(said)):
            async with up.frontend("http-post", "stopped", **post(port)) as frontend:
                await introduced(there)
                if not got:
                    for text in said:
                        await account.say(text, user="ann", group=f"g{int(text) % 7}")
                got += await texts_posted(there, most - len(got))
                assert await frontend.stop() == 0
                while not there.posts.empty():
                    if "raw_message" in (event := (await there.post()).event):
                        got.append(event["raw_message"])
        shown = [await account.messages(group=f"g{chat}") for chat in range(7)]
    assert sorted(got, key=int) == said
    assert len(await up.dead_letters("stopped")) == 30
    assert sum(message["from_bot"] for chat in shown for message in chat) == 30


async def test_a_bot_that_was_away_for_longer_than_its_window_is_found_again(up: Up) -> None:
    """However fast what waits for it grows too old; what is left out is counted once each."""
    account, port, texts = up.account("away"), free_port(), iter(range(10_000))

    async def say_next() -> int:
        number = next(texts)
        await account.say(str(number), user="ann", group="abc"[number % 3])
        await asyncio.sleep(0.05)  # the pace of the conversation
        return number

    clock = asyncio.get_running_loop().time
    async with up.frontend("http-post", "away", **post(port, replay_window=1500)) as frontend:
        async with receiver(port) as there:
            await introduced(there)
        gone_at = clock()
        while clock() - gone_at < 10:  # until it is tried every five seconds only
            await say_next()
        async with receiver(port) as there:
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                first = group.create_task(there.posted())
                while not first.done():
                    await say_next()
            last = {str(await say_next()) for _ in "abc"}
            got = [str(first.result().event["raw_message"])]
            while last - set(got):
                got += await texts_posted(there, 1)
        assert await frontend.stop() == 0
    told = sum(map(int, re.findall(r"(\d+) events were not sent", frontend.output)))
    assert told > 100
    assert told + len(got) == len(set(got)) + told == next(texts)


async def test_no_more_than_64_posts_come_twice_however_slow_the_record_is(up: Up) -> None:
    """A bot catches up, NATS hangs so that nothing is saved, and the frontend is killed."""
    account, port, count = up.account("killed"), free_port(), 700
    settings = post(port, replay_window=600_000)
    async with up.frontend("http-post", "killed", **settings), receiver(port) as there:
        await introduced(there)
    for number in range(count):
        await account.say(str(number), user="ann", group=f"g{number % 200}")
    nats = up.nats.running
    assert nats
    async with receiver(port) as there:
        async with up.frontend("http-post", "killed", **settings) as frontend:
            got = await texts_posted(there, 250)  # all chats have their number now
            nats.signal(signal.SIGSTOP)
            with contextlib.suppress(TimeoutError):
                while True:
                    posted = await asyncio.wait_for(there.posted(), 2)
                    got.append(posted.event["raw_message"])
            await frontend.kill()
            nats.signal(signal.SIGCONT)
        assert len(got) == len(set(got)) < count
        async with up.frontend("http-post", "killed", **settings), asyncio.timeout(30):
            while len(set(got)) < count:
                got += await texts_posted(there, 1)
    assert 0 < len(got) - count <= 64
