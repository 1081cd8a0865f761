"""Pictures and files through real processes: both ways, as bots and people send and get them."""

import base64
import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urljoin

import aiohttp
import pytest
import pytest_asyncio
import yaml
from tests.e2e.processes import Account, onebus, spawn, write_config

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOTS = Path(__file__).parent / "bots"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
BOMB = PNG[:16] + (50_000).to_bytes(4, "big") * 2 + PNG[24:]
"""50,000 × 50,000 pixels, says its header."""
LARGE = b"".join(number.to_bytes(4, "big") for number in range(400_000))
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


class Up(SimpleNamespace):
    account: Account
    http: aiohttp.ClientSession
    base: str
    root: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    folder = tmp_path_factory.mktemp("media")
    root = folder / "files"
    root.mkdir()
    (root / "a b.png").write_bytes(PNG)
    (root / "passwd").symlink_to("/etc/passwd")
    config = write_config(
        folder / "config.yaml",
        media={"roots": [str(root)], "max_bytes": 4 << 20},
        sandbox__other={},
        general={"onebot.v11": {"use_ws": True, "post_message_format": "array"}},
    )
    port = yaml.safe_load(config.read_text())["port"]
    async with (
        onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as process,
        aiohttp.ClientSession() as http,
    ):
        await process.says("the log keeps")
        base = f"http://localhost:{port}"
        account = Account(http, base)
        await account.online()
        await Account(http, base, "other").online()
        yield Up(account=account, http=http, base=base, root=root)


async def upload(
    up: Up, data: bytes, name: str = "a.png", kind: str = "image/png"
) -> dict[str, Any]:
    url = f"{up.account.sandbox}/api/files?name={quote(name, '')}"
    async with up.http.post(url, data=io.BytesIO(data), headers={"Content-Type": kind}) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


async def said(up: Up, segment: dict[str, Any], user: str = "alice") -> dict[str, Any]:
    """What a bot gets of a segment that somebody writes."""
    bot = await up.account.ws()
    try:
        await up.account.say([segment], user=user)
        event = await bot.event()
        data: dict[str, Any] = event["message"][0]["data"]
        return data
    finally:
        await bot.close()


async def shown(up: Up, user: str) -> bytes:
    """The picture that the page shows last."""
    message = (await up.account.messages(user=user))[-1]
    url = message["message"][-1]["data"]["url"]
    async with up.http.get(urljoin(f"{up.account.sandbox}/", url)) as response:
        assert response.status == 200
        return await response.read()


FORMS = ("base64", "url-safe", "data", "path", "file", "http", "received")
"""In the standard's table are base64, file, http and the name of what was received."""
SOUND = b"#!AMR\n" + bytes(range(256))
FILM = b"\0\0\0\x18ftypmp42" + bytes(range(256))


@pytest.mark.proves(550, 551)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "data"), [("image", PNG), ("record", SOUND), ("video", FILM)], ids=lambda x: str(x)[:6]
)
async def test_what_a_bot_sends_is_on_the_page(up: Up, kind: str, data: bytes, form: str) -> None:
    """Source: checklist 550-551, message/segment.md:95."""
    (up.root / f"a b.{kind}").write_bytes(data)
    uploaded = await upload(up, data, f"a.{kind}", "application/octet-stream")
    files = {
        "base64": f"base64://{base64.b64encode(data).decode()}",
        "url-safe": f"base64://{base64.urlsafe_b64encode(data).decode().rstrip('=')}",
        "data": f"data:image/png;base64,{base64.b64encode(data).decode()}",
        "path": f"{up.root}/a b.{kind}",
        "file": f"file://{up.root}/a%20b.{kind}",
        "http": f"{up.account.sandbox}/{uploaded['url']}",
        "received": uploaded["file"],
    }
    user = f"bot-{kind}-{form}"
    segment = {"type": kind, "data": {"file": files[form]}}
    sent = await up.account.ok("send_private_msg", user_id=user, message=[segment])
    assert await shown(up, user) == data
    message = await up.account.ok("get_msg", message_id=sent["message_id"])
    assert base64.b64encode(data).decode() not in json.dumps(message)
    seen = message["message"][0]["data"]
    async with up.http.get(seen["url"]) as response:
        assert await response.read() == data
    if form != "http":  # the sandbox shows what is on the web from there
        assert seen["file_size"] == str(len(data))


@pytest.mark.parametrize(
    "file",
    [
        "file:///etc/passwd",
        "file:///proc/self/environ",
        "file://localhost/etc/passwd",
        "/etc/passwd",
        "{root}/passwd",
        "file://{root}/%2e%2e/config.yaml",
        "{root}/../config.yaml",
        "/dev/zero",
        "base64://***",
        f"base64://{base64.b64encode(BOMB).decode()}",
        "ftp://localhost/x",
    ],
)
async def test_what_may_not_be_sent(up: Up, file: str) -> None:
    file = file.replace("{root}", str(up.root))
    image = {"type": "image", "data": {"file": file}}
    node = {"type": "node", "data": {"user_id": "1", "content": [image]}}
    for action, params in (
        ("send_private_msg", {"user_id": "eve", "message": [image]}),
        ("send_private_msg", {"user_id": "eve", "message": [node]}),
        ("upload_private_file", {"user_id": "eve", "file": file}),
    ):
        answer = await up.account.call(action, **params)
        assert answer["status"] == "failed", answer
        assert "root:" not in json.dumps(answer)
    cq = await up.account.call(
        "send_private_msg", user_id="eve", message=f"[CQ:image,file={file[:1000]}]"
    )
    assert cq["status"] == "failed"


async def test_more_than_is_taken(up: Up) -> None:
    """Refused by its length alone: nothing is decoded."""
    file = "base64://" + "A" * (6 << 20)
    body = json.dumps({"user_id": "eve", "message": [{"type": "image", "data": {"file": file}}]})
    url = f"{up.account.base}/onebot/v11/send_private_msg"
    headers = {"Content-Type": "application/json"}
    async with up.http.post(url, data=io.BytesIO(body.encode()), headers=headers) as response:
        answer = await response.json()
    assert (answer["status"], answer["retcode"]) == ("failed", 1400)
    assert "4,194,304 bytes" in answer["message"]


async def test_what_is_received_has_an_address(up: Up) -> None:
    uploaded = await upload(up, LARGE, "../..\\large\u202e.bin", "application/x-thing")
    data = await said(up, {"type": "file", "data": {"file": uploaded["file"]}})
    assert data["name"] == "large.bin"
    async with up.http.get(data["url"]) as response:
        assert response.status == 200
        assert await response.read() == LARGE
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''large.bin"
        assert response.headers["Content-Type"] == "application/octet-stream"
        etag = response.headers["ETag"]
    async with up.http.head(data["url"]) as response:
        assert (response.status, response.content_length) == (200, len(LARGE))
        assert response.headers["Accept-Ranges"] == "bytes"
    async with up.http.get(data["url"], headers={"If-None-Match": etag}) as response:
        assert response.status == 304
    for header, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=131071-131072", 131071, 131073),
        ("bytes=1500000-", 1_500_000, len(LARGE)),
        ("bytes=-10", len(LARGE) - 10, len(LARGE)),
    ):
        async with up.http.get(data["url"], headers={"Range": header}) as response:
            assert response.status == 206
            assert await response.read() == LARGE[start:stop]
            assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(LARGE)}"
    async with up.http.get(data["url"], headers={"Range": "bytes=9999999-"}) as response:
        assert response.status == 416


async def test_pictures_are_shown_and_scripts_are_not(up: Up) -> None:
    picture = await said(up, {"type": "image", "data": {"file": (await upload(up, PNG))["file"]}})
    async with up.http.get(picture["url"]) as response:
        assert response.headers["Content-Type"] == "image/png"
        assert response.headers["Content-Disposition"].startswith("inline")
    svg = await upload(up, SVG, "x.svg", "image/svg+xml")
    script = await said(up, {"type": "image", "data": {"file": svg["file"]}})
    async with up.http.get(script["url"]) as response:
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["Content-Disposition"].startswith("attachment")


async def test_an_address_is_for_one_file_of_one_account(up: Up) -> None:
    data = await said(up, {"type": "image", "data": {"file": (await upload(up, PNG))["file"]}})
    base, _, token = data["url"].rpartition("/")
    payload, _, mac = token.partition(".")
    other = payload[:-2] + ("AA" if payload[-2:] != "AA" else "BB")
    bad = [
        f"{base}/{payload}",
        f"{base}/{payload}.{mac[:-1]}",
        f"{base}/{payload}.{mac[::-1]}",
        f"{base}/{other}.{mac}",
        f"{base}/{token}.{mac}",
        f"{base}/%2Fetc%2Fpasswd",
        f"{base}/..%2f..%2fetc/passwd",
        f"{base}/{'A' * 5000}.{mac}",
        f"{base}/é.ü",
        data["url"].replace("/demo/", "/other/"),
        data["url"].replace("/demo/", "/never/"),
    ]
    for url in bad:
        async with up.http.get(url) as response:
            assert response.status == 404, url
    answer = await Account(up.http, up.base, "other").call(
        "send_private_msg",
        user_id="eve",
        message=[{"type": "image", "data": {"file": data["file"]}}],
    )
    assert answer["status"] == "failed"


async def test_actions_on_files(up: Up) -> None:
    uploaded = await upload(up, PNG, "cat.png")
    file = (await said(up, {"type": "image", "data": {"file": uploaded["file"]}}))["file"]
    for action, params in (
        ("get_image", {"file": file}),
        ("get_file", {"file_id": file}),
        ("get_record", {"file": file, "out_format": "mp3"}),
    ):
        answer = await up.account.call(action, **params)
        found = answer["data"]
        assert (found["file_name"], found["file_size"]) == ("cat.png", str(len(PNG)))
        async with up.http.get(found["url"]) as response:
            assert await response.read() == PNG
        assert ("it is png" in answer["message"]) == (action == "get_record")
    answer = await up.account.call("get_file", file="media:never")
    assert answer["status"] == "failed"


async def test_a_file_of_a_group(up: Up) -> None:
    uploaded = await upload(up, LARGE, "notes.bin")
    bot = await up.account.ws()
    await up.account.say("hello", group="lobby")
    await bot.event()
    body = {
        "type": "file_uploaded",
        "user": "alice",
        "group": "lobby",
        "file": {"name": "notes.bin", "file": uploaded["file"]},
    }
    async with up.http.post(f"{up.account.sandbox}/api/events", json=body) as response:
        assert response.status == 200, await response.text()
    notice = await bot.event()
    assert (notice["file"]["name"], notice["file"]["size"]) == ("notes.bin", len(LARGE))
    found = await up.account.ok(
        "get_group_file_url", group_id=notice["group_id"], file_id=notice["file"]["id"]
    )
    for url in (notice["file"]["url"], found["url"]):
        async with up.http.get(url) as response:
            assert await response.read() == LARGE
    await bot.close()


async def test_multipart_uploads(up: Up) -> None:
    form = aiohttp.FormData()
    form.add_field("group_id", "lobby")
    form.add_field("file", io.BytesIO(LARGE), filename="../big.zip", content_type="application/zip")
    async with up.http.post(
        f"{up.account.base}/onebot/v11/upload_group_file", data=form
    ) as response:
        answer = await response.json()
    assert answer["status"] == "ok", answer
    message = await up.account.ok("get_msg", message_id=answer["data"]["message_id"])
    data = message["message"][0]["data"]
    assert data["name"] == "big.zip"
    async with up.http.get(data["url"]) as response:
        assert await response.read() == LARGE


async def test_multipart_bodies_that_are_none(up: Up) -> None:
    url = f"{up.account.base}/onebot/v11/upload_private_file"
    large = aiohttp.FormData()
    large.add_field("user_id", "eve")
    large.add_field("file", io.BytesIO(b"x" * (5 << 20)), filename="x")
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    broken: list[dict[str, Any]] = [
        {"data": large},
        {"data": b"nothing", "headers": kind},
        {"data": b"--x\r\n\r\nno name\r\n--x--\r\n", "headers": kind},
        {"data": b"", "headers": {"Content-Type": "multipart/form-data"}},
    ]
    for body in broken:
        async with up.http.post(url, **body) as response:
            assert response.status in (200, 400), response.status
            text = await response.text()
            assert "failed" in text or "error" in text


async def test_nonebot_loads_a_picture_and_sends_it_back(up: Up) -> None:
    """`MessageSegment.image(bytes)` is what its authors write."""
    url = f"ws{up.account.base.removeprefix('http')}/onebot/v11"
    script = str(BOTS / "nonebot_pictures.py")
    picture = PNG + bytes(300_000)
    bot = await spawn("nonebot", sys.executable, script, env={"ONEBOT_WS_URL": url})
    try:
        await bot.says("connected")
        await up.account.say(
            [{"type": "image", "data": {"file": (await upload(up, picture))["file"]}}], user="nora"
        )
        found = await up.account.wait_for_messages(2, user="nora")
        text, image = found[-1]["message"]
        assert text["data"]["text"] == f"{len(picture)} bytes: "
        assert image["type"] == "image"
        assert await shown(up, "nora") == picture
    finally:
        await bot.kill()
