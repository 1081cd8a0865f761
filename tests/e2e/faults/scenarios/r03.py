"""R3: power failure cannot be staged here; asserted is the configuration that withstands it.

Not the source is asked but a running server: one with the configuration that `onebus up` has
written, and one with that of the compose file.
"""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from tests.e2e.faults.report import Row
from tests.e2e.faults.scenario import Run, Scenario
from tests.e2e.faults.stage import ROOT
from tests.e2e.processes import BIN, free_port, onebus, spawn, write_config

COMPOSE = ROOT / "deploy" / "compose" / "nats.conf"
ANSWER_S = 10.0


async def r3(run: Run) -> list[Row]:
    """Both servers, as they really run."""
    told = {"onebus up": await _embedded(run.folder / "up"), "compose": await _compose(run.folder)}
    synced = {name: bool(config.get("sync_always")) for name, config in told.items()}
    return [
        run.row(
            "power failure, as an assertion on the rendered configuration: each append is synced"
            " to the disk (sync_interval: always)",
            "; ".join(
                f"{name}: /jsz says sync_always {'yes' if always else 'NO'}"
                for name, always in synced.items()
            ),
            all(synced.values()),
        )
    ]


async def _embedded(folder: Path) -> dict[str, Any]:
    """What a server says of itself that has the very configuration that `up` has written."""
    folder.mkdir(parents=True)
    config = write_config(folder / "config.yaml", bus={})
    async with onebus("up", "-c", str(config), "--data-dir", str(folder / "data")) as up:
        await up.says("connected to NATS")
        text = (folder / "data" / "nats.conf").read_text()
    return await _asked(folder, text)


async def _compose(folder: Path) -> dict[str, Any]:
    """The same of the compose file's configuration, with a user and a place of this machine."""
    text = COMPOSE.read_text().replace("store_dir: /data", f'store_dir: "{folder / "store"}"')
    user = f"authorization {{ user: onebus, password: {secrets.token_hex()} }}"
    return await _asked(folder, re.sub(r"^include .*$", user, text, flags=re.MULTILINE))


async def _asked(folder: Path, text: str) -> dict[str, Any]:
    """Run a server of this configuration, on ports of our own; what JetStream says of itself."""
    listen, monitor = free_port(), free_port()
    text = re.sub(r"^listen:.*$", f'listen: "127.0.0.1:{listen}"', text, flags=re.MULTILINE)
    text = re.sub(r"^(http|log_file):.*$", "", text, flags=re.MULTILINE)
    config = folder / "asked.conf"
    config.write_text(f'{text}\nhttp: "127.0.0.1:{monitor}"\n')
    async with _server(config), aiohttp.ClientSession() as http:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with http.get(
            f"http://127.0.0.1:{monitor}/jsz?config=true", timeout=timeout
        ) as answer:
            found: dict[str, Any] = (await answer.json())["config"]
            return found


@asynccontextmanager
async def _server(config: Path) -> AsyncIterator[None]:
    running = await spawn("nats-server", str(BIN / "nats-server"), "--config", str(config))
    try:
        await running.says("Server is ready")
        yield
    finally:
        await running.kill()


SCENARIOS = [Scenario("R3", r3, alone=False)]
