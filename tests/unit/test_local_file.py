"""Files of this machine: only plain ones below a configured folder (S7)."""

import asyncio
import os
from pathlib import Path

import pytest

from onebus.errors import BadParams, Forbidden
from onebus.local_file import open_local

MOST = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "media"
    (root / "sub").mkdir(parents=True)
    (root / "a b.png").write_bytes(b"picture")
    (root / "sub" / "x").write_bytes(b"y" * MOST)
    (root / "large").write_bytes(b"y" * (MOST + 1))
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    return root


async def read(text: str, *roots: Path) -> tuple[str, bytes]:
    async with asyncio.timeout(5), open_local(text, roots, max_bytes=MOST) as file:
        return file.name, b"".join([piece async for piece in file.chunks()])


async def test_files_below_a_root(root: Path) -> None:
    for text in (f"file://{root}/a%20b.png", f"{root}/a b.png", f"file://localhost{root}/a b.png"):
        assert await read(text, root) == ("a b.png", b"picture")
    assert await read(f"{root}/./sub//x", Path("/elsewhere"), root) == ("x", b"y" * MOST)
    with pytest.raises(BadParams):
        await read(f"{root}/large", root)


REFUSED = (
    "file:///etc/passwd",
    "file:///proc/self/environ",
    "file://localhost/etc/passwd",
    "/etc/passwd",
    "file://{root}/../secret",
    "file://{root}/%2e%2e/secret",
    "file://{root}/sub/..%2f..%2fsecret",
    "{root}/link",
    "{root}/folder/secret",
    "{root}/pipe",
    "{root}/sub",
    "{root}",
    "{root}/",
    "{root}/never",
    "{root}/a b.png/x",
    "{root}er/secret",
    "/dev/zero",
    "file:///dev/zero",
    "{root}/a\0b",
    "C:\\x",
    "\\\\host\\share",
)


@pytest.mark.parametrize("text", REFUSED)
async def test_everything_else_is_refused(text: str, root: Path) -> None:
    with pytest.raises(Forbidden) as refused:
        await read(text.format(root=root), root)
    assert "secret" not in str(refused.value)


async def test_a_host_in_a_file_url(root: Path) -> None:
    with pytest.raises(BadParams):
        await read("file://elsewhere/media/x", root)


@pytest.mark.parametrize("text", ["/dev/zero", "/dev/stdin"])
async def test_devices_are_no_files(text: str) -> None:
    with pytest.raises(Forbidden):
        await read(text, Path("/dev"))


async def test_off_by_default(root: Path) -> None:
    with pytest.raises(Forbidden, match=r"media\.roots"):
        await read(f"{root}/a b.png")
