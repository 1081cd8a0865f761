"""The sandbox's page in headless Chromium, against a running `onebus up`."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Route, async_playwright, expect
from tests.e2e.processes import Account, onebus, write_config

pytestmark = pytest.mark.browser

SCREENSHOTS = Path("build/screenshots")
DOT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
PAYLOAD = "<img src=x onerror=alert(1)>"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NARROW = (360, 680)
WIDE = (1100, 720)


class Seen:
    """A page, and what must never happen on it: a dialog, an error, a foreign address."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.trouble: list[str] = []
        page.on("dialog", lambda dialog: self.trouble.append(f"dialog {dialog.message}"))
        page.on("pageerror", lambda error: self.trouble.append(f"error {error}"))
        page.on("console", self._on_console)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.trouble.append(f"console {message.text}")

    async def shot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Account]:
    config = write_config(tmp_path / "config.yaml")
    port = next(line for line in config.read_text().splitlines() if line.startswith("port"))
    base = f"http://localhost:{port.partition(':')[2].strip()}"
    data = str(tmp_path / "data")
    async with (
        onebus("up", "-c", str(config), "--data-dir", data),
        aiohttp.ClientSession() as http,
    ):
        account = Account(http, base)
        await account.online()
        yield account


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=ARGUMENTS
        )
        yield running
        await running.close()


async def come_in(
    browser: Browser, demo: Account, name: str, size: tuple[int, int] = WIDE, *, dark: bool = False
) -> Seen:
    """Open the page and pick a name."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
    )
    seen = Seen(await context.new_page())
    await seen.page.goto(f"{demo.sandbox}/")
    await seen.page.get_by_label("Your name").fill(name)
    await seen.page.get_by_role("button", name="Start").click()
    await expect(seen.page.locator("#live")).to_have_text("live")
    await expect(seen.page.locator("#app")).to_be_visible()
    return seen


async def open_group(page: Page, name: str) -> None:
    await page.get_by_label("New group").fill(name)
    await page.keyboard.press("Enter")
    await expect(page.locator("#chat-name")).to_have_text(name)


async def write(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")
    await expect(page.locator(".message.own .bubble").last).to_contain_text(text.partition("@")[0])


async def test_hello_and_the_bots_answer(browser: Browser, demo: Account) -> None:
    alice = await come_in(browser, demo, "alice")
    page = alice.page
    await open_group(page, "lobby")
    await expect(page.locator("#empty")).to_contain_text(f"{demo.base}/onebot/v11")
    await alice.shot("empty")
    await write(page, "hello @demo, can you hear me?")
    (said,) = await demo.messages(group="lobby")
    assert said["message"][1] == {"type": "mention", "data": {"user": "demo"}}

    await demo.ok("send_group_msg", group_id="lobby", message="I hear you")
    answer = page.locator(".message.from-bot")
    await expect(answer.locator(".bubble")).to_have_text("I hear you")
    await expect(answer.locator(".badge")).to_have_text("bot")

    await answer.hover()
    await answer.get_by_role("button", name="Reply").click()
    await write(page, "good")
    await expect(page.locator(".message.own .quote").last).to_contain_text("I hear you")
    await alice.shot("group")

    mine = page.locator(".message.own").first
    await mine.hover()
    await mine.get_by_role("button", name="Recall").click()
    await expect(mine.locator(".bubble")).to_have_text("This message was recalled")
    assert [m["recalled"] for m in await demo.messages(group="lobby")] == [True, False, False]
    assert alice.trouble == []


async def test_two_people_and_a_narrow_window(browser: Browser, demo: Account) -> None:
    alice = await come_in(browser, demo, "alice")
    await open_group(alice.page, "lobby")
    carol = await come_in(browser, demo, "carol", NARROW, dark=True)
    await expect(carol.page.get_by_role("button", name="Sandbox bot")).to_be_visible()
    await carol.shot("narrow-chats")
    await open_group(carol.page, "lobby")
    await write(carol.page, "a message that is long enough to need more than one line here")
    await expect(alice.page.locator(".message .bubble")).to_contain_text("long enough")
    await write(alice.page, "hi carol")
    await expect(carol.page.locator(".message").last).to_contain_text("hi carol")
    assert await carol.page.evaluate("document.documentElement.scrollWidth") == NARROW[0]
    await carol.shot("narrow-group")
    await carol.page.get_by_role("button", name="Back to the chats").click()
    await expect(carol.page.locator("#chat")).to_be_hidden()
    assert alice.trouble == carol.trouble == []


async def test_private_chats_and_images(browser: Browser, demo: Account) -> None:
    alice = await come_in(browser, demo, "alice")
    page = alice.page
    await demo.ok("send_private_msg", user_id="alice", message="only for you")
    await expect(page.locator(".message.from-bot .bubble")).to_have_text("only for you")
    await page.get_by_role("button", name="Image").click()
    await page.get_by_label("Address of the image").fill(f"{demo.sandbox}/icon.svg")
    await page.keyboard.press("Enter")
    image = page.locator(".message.own .bubble img")
    await expect(image).to_be_visible()
    assert await image.get_attribute("referrerpolicy") == "no-referrer"
    await alice.shot("private")
    bob = await come_in(browser, demo, "bob")
    await expect(bob.page.locator("#empty")).to_be_visible()
    assert alice.trouble == bob.trouble == []


async def test_a_file_of_ones_own_and_one_of_the_bot(
    browser: Browser, demo: Account, tmp_path: Path
) -> None:
    picture = tmp_path / "dot.png"
    picture.write_bytes(base64.b64decode(DOT))
    alice = await come_in(browser, demo, "alice")
    page = alice.page
    await page.get_by_role("button", name="Image").click()
    await page.get_by_label("File of yours").set_input_files(picture)
    await page.get_by_label("Message", exact=True).fill("mine")
    await page.keyboard.press("Enter")
    mine = page.locator(".message.own .bubble img")
    await expect(mine).to_be_visible()
    await demo.ok("send_private_msg", user_id="alice", message=f"[CQ:image,file=base64://{DOT}]")
    theirs = page.locator(".message.from-bot .bubble img")
    await expect(theirs).to_be_visible()
    for image in (mine, theirs):
        await expect(image).to_have_js_property("naturalWidth", 1)
    assert await page.get_by_label("File of yours").input_value() == ""
    await alice.shot("files")
    assert alice.trouble == []


async def test_a_text_file_is_sent(browser: Browser, demo: Account, tmp_path: Path) -> None:
    """The browser calls it text/plain, which the server takes from no page."""
    note = tmp_path / "note.txt"
    note.write_text("only a note")
    tess = await come_in(browser, demo, "tess")
    page = tess.page
    await page.get_by_role("button", name="Image").click()
    await page.get_by_label("File of yours").set_input_files(note)
    await page.get_by_label("Message", exact=True).fill("mine")
    await page.keyboard.press("Enter")
    mine = page.locator(".message.own .bubble", has_text="note.txt")
    await expect(mine).to_be_visible()
    assert tess.trouble == []


async def choose(page: Page, label: str, option: str) -> None:
    await page.get_by_label(label).select_option(option)


async def fill_in(page: Page, text: str) -> None:
    await page.locator("#ask-text").fill(text)
    await page.locator("#ask").get_by_role("button", name="OK").click()
    await expect(page.locator("#ask")).to_be_hidden()


async def test_what_else_happens(browser: Browser, demo: Account) -> None:
    alice = await come_in(browser, demo, "alice")
    page = alice.page
    await open_group(page, "lobby")
    await write(page, "hello")
    bob = await come_in(browser, demo, "bob")
    await open_group(bob.page, "lobby")
    await choose(bob.page, "Do something in this chat", "Join")
    notices = page.locator(".notice")
    await expect(notices.last).to_contain_text("bob joined")

    await page.locator("#members-count").click()
    await choose(page, "Do something with bob", "Poke")
    await expect(notices.last).to_contain_text("alice poked bob")
    await choose(page, "Do something with bob", "Make admin")
    await expect(notices.last).to_contain_text("bob is admin now")
    await choose(page, "Do something with bob", "Mute for 10 min")
    await expect(notices.last).to_contain_text("alice muted bob for 10 min")
    await expect(page.locator("#member-list")).to_contain_text("muted")
    await alice.shot("members")
    await bob.page.get_by_label("Message", exact=True).fill("let me")
    await bob.page.keyboard.press("Enter")
    await expect(bob.page.locator("#send-error")).to_contain_text("muted")

    await choose(page, "Do something in this chat", "Rename the group…")
    await fill_in(page, "The hall")
    await expect(page.locator("#chat-name")).to_have_text("The hall")
    mine = page.locator(".message.own")
    await mine.hover()
    await mine.get_by_role("button", name="Edit").click()
    await fill_in(page, "hello everybody")
    await expect(bob.page.locator(".message .bubble")).to_have_text("hello everybody")
    await bob.page.locator(".message").hover()
    await bob.page.get_by_role("button", name="Like").click()
    await expect(mine.locator(".reactions")).to_contain_text("👍 1")
    await choose_member(page, "bob", "Remove")
    await expect(notices.last).to_contain_text("alice removed bob")
    await alice.shot("notices")
    bob.trouble = [trouble for trouble in bob.trouble if "403" not in trouble]
    assert alice.trouble == bob.trouble == []


async def test_friends_and_invitations(browser: Browser, demo: Account) -> None:
    alice = await come_in(browser, demo, "alice", NARROW)
    page = alice.page
    await page.get_by_role("button", name="Sandbox bot").click()
    await choose(page, "Do something in this chat", "Ask to be friends…")
    await fill_in(page, "we met at the lake")
    notices = page.locator(".notice")
    await expect(notices.last).to_contain_text("asks to be a friend: we met at the lake")
    await choose(page, "Do something in this chat", "Poke the bot")
    await expect(notices.last).to_contain_text("alice poked Sandbox bot")
    await alice.shot("narrow-notices")
    await page.get_by_role("button", name="Back to the chats").click()
    await open_group(page, "lobby")
    await write(page, "hello")
    await choose_member(page, "Sandbox bot", "Remove")
    await expect(notices.last).to_contain_text("alice removed Sandbox bot")
    await expect(page.locator("#chat-about")).to_contain_text("the bot is not in it")
    await choose(page, "Do something in this chat", "Bring the bot in")
    await expect(notices.last).to_contain_text("alice brought Sandbox bot in")
    await expect(page.locator("#chat-about")).not_to_contain_text("the bot is not in it")
    assert await page.evaluate("document.documentElement.scrollWidth") == NARROW[0]
    await alice.shot("narrow-group-notices")
    assert alice.trouble == []


async def choose_member(page: Page, name: str, option: str) -> None:
    await page.locator("#members-count").click()
    await choose(page, f"Do something with {name}", option)
    await page.locator("#members-count").click()


async def test_what_people_write_is_text(browser: Browser, demo: Account) -> None:
    alice = await come_in(browser, demo, "alice")
    page = alice.page
    await open_group(page, "lobby")
    await demo.say(f"{PAYLOAD}<script>alert(2)</script>", user=PAYLOAD, group="lobby")
    await demo.say([{"type": "mention", "data": {"user": PAYLOAD}}], user=PAYLOAD, group="lobby")
    await demo.say("x", user="eve", group=PAYLOAD)
    for message in (PAYLOAD, [{"type": "share", "data": {"url": "javascript:alert(3)"}}]):
        await demo.ok("send_group_msg", group_id="lobby", message=message)
    await expect(page.locator(".message")).to_have_count(4)
    await expect(page.locator(".message strong").first).to_have_text(PAYLOAD)
    await expect(page.locator("#group-chats")).to_contain_text(PAYLOAD)
    where = f"{demo.sandbox}/api/events"
    event = {"type": "friend_requested", "user": "alice", "comment": PAYLOAD}
    renamed = {"type": "group_renamed", "group": "lobby", "name": PAYLOAD}
    for body in (event, renamed):
        async with demo.http.post(where, json=body) as response:
            assert response.status == 200
    await expect(page.locator(".notice")).to_contain_text(PAYLOAD)
    assert await page.locator("img[src='x'], a[href^='javascript'], .message script").count() == 0
    inline = "() => { const s = document.createElement('script'); s.text = 'window.ran = 1';"
    assert await page.evaluate(f"{inline} document.body.append(s); return window.ran ?? 0; }}") == 0
    blocked = [trouble for trouble in alice.trouble if "Content Security Policy" in trouble]
    assert alice.trouble == blocked != []
    await alice.shot("payloads")


async def test_it_comes_back_by_itself(browser: Browser, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.yaml")
    port = int(config.read_text().partition("port: ")[2].split()[0])
    up = ("up", "-c", str(config), "--data-dir", str(tmp_path / "data"))
    async with aiohttp.ClientSession() as http:
        demo = Account(http, f"http://localhost:{port}")
        async with onebus(*up):
            await demo.online()
            alice = await come_in(browser, demo, "alice")
        await expect(alice.page.locator("#live")).to_have_text("reconnecting…")
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
        async with onebus(*up):
            await demo.online()
            await demo.say("I was away", user="alice")
            await expect(alice.page.locator("#live")).to_have_text("live", timeout=15_000)
            await expect(alice.page.locator(".message")).to_contain_text("I was away")


async def test_who_types_while_messages_load_keeps_the_focus(
    browser: Browser, demo: Account
) -> None:
    page = (await come_in(browser, demo, "alice")).page
    await open_group(page, "slow")
    loaded = asyncio.Event()

    async def hold(route: Route) -> None:
        await loaded.wait()
        await route.continue_()

    await page.route("**/api/messages?*", hold)
    async with page.expect_response("**/api/messages?*"):
        await page.get_by_role("button", name="Sandbox bot").click()
        await page.get_by_label("New group").fill("typed meanwhile")
        loaded.set()
    await expect(page.locator("#chat-name")).to_have_text("Sandbox bot")
    await expect(page.get_by_label("New group")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#chat-name")).to_have_text("typed meanwhile")
